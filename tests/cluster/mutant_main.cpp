// Runs simulated fleets until one shows the fault that was planted into what it is linked with.

#include "fleet_simulation.hpp"

#include <cstdint>
#include <cstdio>
#include <exception>

int main() {
  constexpr std::uint64_t seeds_max = 500;
  for (std::uint64_t seed = 0; seed < seeds_max; ++seed) {
    try {
      (void)troupe::testing::run_fleet(seed);
    } catch (const std::exception& caught) {
      std::printf("found: %s\n", caught.what());
      return 0;
    }
  }
  std::printf("not found in %llu seeds\n", static_cast<unsigned long long>(seeds_max));
  return 1;
}
