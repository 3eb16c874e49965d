#pragma once

#include <cstdint>

namespace troupe {

/// Philox4x32-10, a random function: 128 bits of counter and 64 of key give 128 bits that look
/// random. No state, so any element of a random tensor can be drawn at once, by anyone, in any
/// order.
///
/// Always inlined: kernels for several instruction sets use it, and none may keep another's copy.
///
/// Source   Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
struct Philox {
  static constexpr int rounds = 10;
  static constexpr std::uint32_t multiplier[2] = {0xD2511F53, 0xCD9E8D57};
  static constexpr std::uint32_t weyl[2] = {0x9E3779B9, 0xBB67AE85};

  /// Replaces the counters of `N` blocks, block i in `c[0][i] … c[3][i]`, by their random bits. The
  /// loop over blocks is innermost, for compilers to turn into vectors.
  template <int N>
  [[gnu::always_inline]] static inline constexpr void run(
      std::uint32_t (&c)[4][N], std::uint32_t key0, std::uint32_t key1) noexcept {
    for (int round = 0; round < rounds; ++round) {
      for (int i = 0; i < N; ++i) {
        const std::uint64_t a = std::uint64_t{multiplier[0]} * c[0][i];
        const std::uint64_t b = std::uint64_t{multiplier[1]} * c[2][i];
        const std::uint32_t first = static_cast<std::uint32_t>(b >> 32) ^ c[1][i] ^ key0;
        const std::uint32_t third = static_cast<std::uint32_t>(a >> 32) ^ c[3][i] ^ key1;
        c[1][i] = static_cast<std::uint32_t>(b);
        c[3][i] = static_cast<std::uint32_t>(a);
        c[0][i] = first;
        c[2][i] = third;
      }
      key0 += weyl[0];
      key1 += weyl[1];
    }
  }
};

/// The 128 random bits of one block.
struct PhiloxBlock {
  std::uint32_t words[4];
};

/// Block `block` of random call `call`, a `RandomState::call`, under a seed. `Arch` keeps apart the
/// copies that kernels of several instruction sets make.
template <class Arch>
[[gnu::always_inline]] inline constexpr PhiloxBlock philox(
    std::uint64_t seed, std::uint64_t call, std::uint64_t block) noexcept {
  std::uint32_t c[4][1] = {
      {static_cast<std::uint32_t>(block)},
      {static_cast<std::uint32_t>(block >> 32)},
      {static_cast<std::uint32_t>(call)},
      {static_cast<std::uint32_t>(call >> 32)}};
  Philox::run(c, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
  return {{c[0][0], c[1][0], c[2][0], c[3][0]}};
}

/// A number in [0, 1) of 24 random bits.
template <class Arch>
[[gnu::always_inline]] inline constexpr float unit_float(std::uint32_t bits) noexcept {
  // Signed: instruction sets before AVX-512 convert no unsigned integers.
  return static_cast<float>(static_cast<std::int32_t>(bits >> 8)) * 0x1p-24F;
}
/// A number in [0, 1) of 53 random bits.
template <class Arch>
[[gnu::always_inline]] inline constexpr double unit_double(
    std::uint32_t low, std::uint32_t high) noexcept {
  return static_cast<double>(static_cast<std::int32_t>(high >> 5)) * 0x1p-27 +
         static_cast<double>(static_cast<std::int32_t>(low >> 6)) * 0x1p-53;
}

}  // namespace troupe
