#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace troupe::cpu::test {

/// Eight tiles of 16 rows of 64 bytes. What was not loaded is NaN, so that reading it shows.
/// `Caller` names a type of the file that uses them, for the linker: the code is compiled for that
/// file's instruction set.
template <class Caller>
class EmulatedTiles {
 public:
  EmulatedTiles() noexcept { std::memset(tiles_, 0xff, sizeof tiles_); }

  template <int I>
  void zero() noexcept {
    std::memset(tiles_[I], 0, sizeof tiles_[I]);
  }
  template <int I>
  void load(const void* from, std::int64_t row_bytes) noexcept {
    for (int row = 0; row < 16; ++row)
      std::memcpy(tiles_[I][row], static_cast<const std::byte*>(from) + row * row_bytes, 64);
  }
  template <int I>
  void store(void* to, std::int64_t row_bytes) noexcept {
    for (int row = 0; row < 16; ++row)
      std::memcpy(static_cast<std::byte*>(to) + row * row_bytes, tiles_[I][row], 64);
  }
  /// TDPBF16PS of Intel's manual: first and second factors of pairs are added up apart, then to
  /// each other, then to the sum; denormals are 0 before and after each step.
  template <int Sums, int A, int B>
  void multiply() noexcept {
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 16; ++n) {
        float even = 0, odd = 0;
        for (int k = 0; k < 16; ++k) {
          const std::uint32_t left = word(tiles_[A][m], k);
          const std::uint32_t right = word(tiles_[B][k], n);
          even = flush(std::fma(half(left << 16), half(right << 16), even));
          odd = flush(std::fma(half(left & 0xffff0000), half(right & 0xffff0000), odd));
        }
        float sum;
        std::memcpy(&sum, tiles_[Sums][m] + 4 * n, 4);
        sum = flush(sum + flush(even + odd));
        std::memcpy(tiles_[Sums][m] + 4 * n, &sum, 4);
      }
  }

 private:
  static std::uint32_t word(const std::byte* row, int i) noexcept {
    std::uint32_t bits;
    std::memcpy(&bits, row + 4 * i, 4);
    return bits;
  }
  static float half(std::uint32_t bits) noexcept {
    float x;
    std::memcpy(&x, &bits, 4);
    return flush(x);
  }
  static float flush(float x) noexcept { return std::fpclassify(x) == FP_SUBNORMAL ? 0.0f : x; }

  std::byte tiles_[8][16][64];
};

}  // namespace troupe::cpu::test
