#pragma once

#include <troupe/tensor/philox.hpp>

#include <cstddef>
#include <cstdint>

namespace troupe::data {

/// Numbers drawn by counter, as DESIGN has it for everything random: draw n of one key is the same
/// whoever asks for it and when.
class PhiloxDraws {
 public:
  /// @param stream  tells apart what is drawn for different purposes under one seed
  PhiloxDraws(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter = 0) noexcept
      : seed_(seed), stream_(stream), counter_(counter) {}

  /// The next 32 bits.
  std::uint32_t next() noexcept {
    if (used_ == 4) {
      block_ = philox<PhiloxDraws>(seed_, stream_, counter_++);
      used_ = 0;
    }
    return block_.words[used_++];
  }
  /// The next number in 0 … count − 1; even to one part in 2³².
  std::uint64_t below(std::uint64_t count) noexcept {
    const std::uint64_t upper = next();
    return (upper << 32 | next()) % count;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t counter_;
  PhiloxBlock block_{};
  std::size_t used_ = 4;
};

}  // namespace troupe::data
