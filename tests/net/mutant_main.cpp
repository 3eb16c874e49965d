// Runs the simulation until it finds the fault that was planted into the session it is linked with.

#include "session_world.hpp"

#include <cstdint>
#include <cstdio>
#include <exception>

int main() {
  constexpr std::uint64_t seeds_max = 500;
  for (std::uint64_t seed = 0; seed < seeds_max; ++seed) {
    try {
      troupe::testing::run_seed(seed);
    } catch (const std::exception& caught) {
      std::printf("found: %s\n", caught.what());
      return 0;
    }
  }
  std::printf("not found in %llu seeds\n", static_cast<unsigned long long>(seeds_max));
  return 1;
}
