#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::cli {

/// What a launcher of many processes says of this one.
struct Launch {
  std::uint32_t rank = 0;
  std::uint32_t world = 1;
  std::string master;  ///< where rank 0 listens: HOST:PORT
};

/// From RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun and its like set them; nothing
/// where there is neither RANK nor WORLD_SIZE, or a world of one. Throws `invalid_argument` for
/// values that are none, and for what is missing, saying which.
[[nodiscard]] std::optional<Launch> launch_from_environment();

}  // namespace troupe::cli
