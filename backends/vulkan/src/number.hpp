#pragma once

#include <troupe/tensor/dtype.hpp>

#include <bit>
#include <cstdint>

namespace troupe::vulkan {

/// A number of a tensor's dtype among a shader's parameters (shaders/number.glsl): the two halves
/// of a double; or a float, and what its rounding left.
struct Number {
  std::uint32_t low = 0;
  std::uint32_t high = 0;

  /// Any 64 bits.
  static constexpr Number of(std::uint64_t bits) noexcept {
    return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
  }
  static constexpr Number of(DType dtype, double value) noexcept {
    if (dtype == DType::float64) return of(std::bit_cast<std::uint64_t>(value));
    const auto rounded = static_cast<float>(value);
    const auto rest = static_cast<float>(value - static_cast<double>(rounded));
    return {std::bit_cast<std::uint32_t>(rounded), std::bit_cast<std::uint32_t>(rest)};
  }
};

}  // namespace troupe::vulkan
