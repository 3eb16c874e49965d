#pragma once

#include "dispatch.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace troupe::vulkan {

/// What has been read and written since the last barrier, by ranges of memory: two tensors may lie
/// in the same bytes, one after the other or as views, so it is never asked which tensor it was.
class Hazards {
 public:
  /// Whether the two share memory that one of them writes.
  [[nodiscard]] static bool overlap(const Bound& a, const Bound& b) noexcept {
    return (a.written || b.written) && a.block == b.block && a.begin < b.end && b.begin < a.end;
  }
  /// Whether work with these ranges must wait for what has been added: one of the two writes where
  /// the other reads or writes.
  [[nodiscard]] bool conflict(std::span<const Bound> ranges) const noexcept;
  void add(std::span<const Bound> ranges);
  void clear() noexcept { ranges_.clear(); }
  /// So many that asking costs more than the barrier it would save.
  [[nodiscard]] bool full() const noexcept { return ranges_.size() >= ranges_max; }

 private:
  static constexpr std::size_t ranges_max = 192;
  std::vector<Bound> ranges_;
};

}  // namespace troupe::vulkan
