#pragma once

#include "simd.hpp"

#include <troupe/tensor/philox.hpp>

#include <cstdint>

namespace troupe::cpu {

/// Philox's random words in their order, several blocks at a time: a block's state lies in the low
/// halves of four registers' lanes of 64 bits, for those are what processors multiply to 64 bits.
template <class A>
class PhiloxWords {
#if defined(__AVX512F__)
  using Lanes = __m512i;
#elif defined(__AVX2__)
  using Lanes = __m256i;
#else
  using Lanes = __m128i;
#endif
  static constexpr std::int64_t lanes = sizeof(Lanes) / 8;
  static constexpr int sets = 2;  ///< computed in step, for each round waits for the one before

 public:
  static constexpr std::int64_t count = 4 * sets * lanes;  ///< words at a time

  PhiloxWords(std::uint64_t seed, std::uint64_t call)
      : call_{all(static_cast<std::uint32_t>(call)), all(static_cast<std::uint32_t>(call >> 32))},
        key_{all(static_cast<std::uint32_t>(seed)), all(static_cast<std::uint32_t>(seed >> 32))} {}

  /// The words of as many blocks, the first of number `block`, a multiple of their count.
  void draw(std::uint64_t block, std::uint32_t* to) const {
    // Even lanes hold the first half of the blocks: joining words then leaves them in order.
    alignas(64) std::uint64_t numbers[sets * lanes];
    for (std::int64_t i = 0; i < sets * lanes; ++i)
      numbers[i] = block + static_cast<std::uint64_t>(
                               i / lanes * lanes + i % 2 * (lanes / 2) + i % lanes / 2);
    Lanes c[sets][4];
    for (int s = 0; s < sets; ++s) {
      c[s][0] = load(numbers + s * lanes);
      c[s][1] = upper_half(c[s][0]);
      c[s][2] = call_[0];
      c[s][3] = call_[1];
    }
    Lanes key0 = key_[0];
    Lanes key1 = key_[1];
    const Lanes multiplier0 = all(Philox::multiplier[0]);
    const Lanes multiplier1 = all(Philox::multiplier[1]);
    const Lanes weyl0 = all(Philox::weyl[0]);
    const Lanes weyl1 = all(Philox::weyl[1]);
#pragma GCC unroll 10
    for (int round = 0; round < Philox::rounds; ++round) {
#pragma GCC unroll 2
      for (int s = 0; s < sets; ++s) {
        const Lanes a = multiply(c[s][0], multiplier0);
        const Lanes b = multiply(c[s][2], multiplier1);
        c[s][0] = xor_all(upper_half(b), c[s][1], key0);
        c[s][2] = xor_all(upper_half(a), c[s][3], key1);
        c[s][1] = b;  // upper halves are left as they are: nothing reads them
        c[s][3] = a;
      }
      key0 = add(key0, weyl0);
      key1 = add(key1, weyl1);
    }
    for (int s = 0; s < sets; ++s) {
      const Lanes first = join(c[s][0], c[s][1]);
      const Lanes second = join(c[s][2], c[s][3]);
      store(to + 4 * s * lanes, unpack_low(first, second));
      store(to + 4 * s * lanes + 2 * lanes, unpack_high(first, second));
    }
  }

 private:
#if defined(__AVX512F__)
  static Lanes load(const std::uint64_t* from) { return _mm512_load_si512(from); }
  static void store(std::uint32_t* to, Lanes x) { _mm512_storeu_si512(to, x); }
  static Lanes all(std::uint32_t x) { return _mm512_set1_epi64(static_cast<std::int64_t>(x)); }
  static Lanes add(Lanes a, Lanes b) { return _mm512_add_epi32(a, b); }
  static Lanes multiply(Lanes a, Lanes b) { return _mm512_mul_epu32(a, b); }
  static Lanes upper_half(Lanes a) { return _mm512_srli_epi64(a, 32); }
  static Lanes xor_all(Lanes a, Lanes b, Lanes c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
  }
  static Lanes join(Lanes low, Lanes high) {
    return _mm512_mask_blend_epi32(0xaaaa, low, _mm512_slli_epi64(high, 32));
  }
  static Lanes unpack_low(Lanes a, Lanes b) { return _mm512_unpacklo_epi64(a, b); }
  static Lanes unpack_high(Lanes a, Lanes b) { return _mm512_unpackhi_epi64(a, b); }
#elif defined(__AVX2__)
  static Lanes load(const std::uint64_t* from) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void store(std::uint32_t* to, Lanes x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x);
  }
  static Lanes all(std::uint32_t x) { return _mm256_set1_epi64x(static_cast<std::int64_t>(x)); }
  static Lanes add(Lanes a, Lanes b) { return _mm256_add_epi32(a, b); }
  static Lanes multiply(Lanes a, Lanes b) { return _mm256_mul_epu32(a, b); }
  static Lanes upper_half(Lanes a) { return _mm256_srli_epi64(a, 32); }
  static Lanes xor_all(Lanes a, Lanes b, Lanes c) {
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
  }
  static Lanes join(Lanes low, Lanes high) {
    return _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0xaa);
  }
  static Lanes unpack_low(Lanes a, Lanes b) { return _mm256_unpacklo_epi64(a, b); }
  static Lanes unpack_high(Lanes a, Lanes b) { return _mm256_unpackhi_epi64(a, b); }
#else
  static Lanes load(const std::uint64_t* from) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(from));
  }
  static void store(std::uint32_t* to, Lanes x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), x);
  }
  static Lanes all(std::uint32_t x) { return _mm_set1_epi64x(static_cast<std::int64_t>(x)); }
  static Lanes add(Lanes a, Lanes b) { return _mm_add_epi32(a, b); }
  static Lanes multiply(Lanes a, Lanes b) { return _mm_mul_epu32(a, b); }
  static Lanes upper_half(Lanes a) { return _mm_srli_epi64(a, 32); }
  static Lanes xor_all(Lanes a, Lanes b, Lanes c) { return _mm_xor_si128(_mm_xor_si128(a, b), c); }
  static Lanes join(Lanes low, Lanes high) {
    return _mm_or_si128(_mm_and_si128(low, all(0xffffffff)), _mm_slli_epi64(high, 32));
  }
  static Lanes unpack_low(Lanes a, Lanes b) { return _mm_unpacklo_epi64(a, b); }
  static Lanes unpack_high(Lanes a, Lanes b) { return _mm_unpackhi_epi64(a, b); }
#endif

  Lanes call_[2];
  Lanes key_[2];
};

}  // namespace troupe::cpu
