#pragma once

#include <troupe/tensor/philox.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstddef>
#include <cstdint>

namespace troupe::nn {

/// Numbers for initial values: one random call of the scope, counted as an op's is, so that layers
/// made in the same order from the same seed begin alike.
///
/// Source   Box and Muller 1958 for the normal ones.
class Draws {
 public:
  /// Takes the next call of a random state.
  explicit Draws(RandomState& state) noexcept : seed_(state.seed), call_(state.call()) {
    ++state.calls;
  }

  /// From [0, 1), in steps of 2⁻³².
  double uniform() noexcept;
  /// Mean 0, variance 1.
  double normal() noexcept;

 private:
  std::uint32_t next() noexcept;

  std::uint64_t seed_;
  std::uint64_t call_;
  std::uint64_t counter_ = 0;
  PhiloxBlock block_{};
  std::size_t used_ = 4;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace troupe::nn
