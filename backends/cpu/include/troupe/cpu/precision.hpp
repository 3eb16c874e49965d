#pragma once

#include <cstdint>
#include <string_view>

namespace troupe::cpu {

/// How exactly products of float32 matrices (`matmul`, `linear`) are computed, by PyTorch's names.
/// Which of these make a difference depends on the instruction set; results always depend on what
/// was asked for and on the instruction set alone.
enum class Precision : std::uint8_t {
  highest,  ///< as sums of float32 products: an error of about k · 2⁻²⁴ of the sum of sizes
  high,     ///< factors of 16 bits at least: about 2⁻¹⁶ of the sum of sizes
  medium,   ///< factors rounded to bfloat16: about 2⁻⁸ of the sum of sizes
};

[[nodiscard]] constexpr std::string_view name_of(Precision precision) noexcept {
  constexpr std::string_view names[] = {"highest", "high", "medium"};
  return names[static_cast<std::size_t>(precision)];
}

}  // namespace troupe::cpu
