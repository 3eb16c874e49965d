#pragma once

#include <cstdint>

namespace troupe {

/// How far a system has come with its work: of two readings, the later of one that works has done
/// more, or is not busy.
struct Progress {
  std::uint64_t done = 0;  ///< messages begun and chunks of kernels run, ever
  bool busy = false;       ///< some are being handled or run, or wait for a thread that should

  friend bool operator==(const Progress&, const Progress&) noexcept = default;
};

}  // namespace troupe
