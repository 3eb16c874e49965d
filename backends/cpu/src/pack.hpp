#pragma once

#include "simd.hpp"

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace troupe::cpu {

/// What an elementwise op's `kernel` computes with: a few elements of one dtype, on one instruction
/// set. For float and double a SIMD register; for the other types a single number, whose loops the
/// compiler turns into vectors by itself.
///
/// Both offer the same words: + − · /, comparisons that give a `Mask`, `select(mask, a, b)`, `max`,
/// `min`, `abs`, … and, for floats, the functions of pack_math.hpp. Numbers convert by themselves,
/// so that an op may write `1 - y * y`. Found by argument-dependent lookup: op headers include
/// nothing.
template <class T, class A>
struct Pack;

/// One yes or no, where a SIMD mask would be many.
template <class A>
struct PackMask {
  bool yes;
  friend PackMask operator&(PackMask a, PackMask b) { return {a.yes && b.yes}; }
  friend PackMask operator|(PackMask a, PackMask b) { return {a.yes || b.yes}; }
  friend PackMask operator^(PackMask a, PackMask b) { return {a.yes != b.yes}; }
  friend PackMask operator!(PackMask a) { return {!a.yes}; }
};

/// Yes or no for each element of a register.
template <class T, class A>
struct RegisterMask {
  using Lanes = typename Vec<T, A>::batch_bool_type;

  Lanes lanes;

  RegisterMask(Lanes lanes) : lanes(lanes) {}  // NOLINT: meant implicit

  friend RegisterMask operator&(RegisterMask a, RegisterMask b) { return a.lanes & b.lanes; }
  friend RegisterMask operator|(RegisterMask a, RegisterMask b) { return a.lanes | b.lanes; }
  /// Spelled out: between masks of AVX-512, xsimd 8.1 takes ^ for "or".
  friend RegisterMask operator^(RegisterMask a, RegisterMask b) { return (a & !b) | (b & !a); }
  friend RegisterMask operator!(RegisterMask a) { return !a.lanes; }
  friend bool any(RegisterMask a) { return xsimd::any(a.lanes); }
};

template <std::floating_point T, class A>
struct Pack<T, A> {
  using Number = T;
  using Register = Vec<T, A>;
  using Mask = RegisterMask<T, A>;
  static constexpr std::int64_t size = static_cast<std::int64_t>(Register::size);

  Register r;

  Pack() = default;
  Pack(Register r) : r(r) {}                          // NOLINT: meant implicit
  Pack(double number) : r(static_cast<T>(number)) {}  // NOLINT: meant implicit

  /// An attribute's value, as near as the type comes.
  static Pack from(double number) { return number; }
  static Pack load(const T* from) { return Register::load_unaligned(from); }
  static Pack of_bytes(const std::uint8_t* from) { return numbers_of_bytes<T, A>(from); }
  void store(T* to) const { r.store_unaligned(to); }
  /// Past the caches, to aligned memory.
  void stream(T* to) const {
    const auto bits = std::bit_cast<Bits>(r);
#ifdef __AVX512F__
    if constexpr (sizeof(r) == 64) _mm512_stream_si512(reinterpret_cast<__m512i*>(to), bits);
#endif
#ifdef __AVX__
    if constexpr (sizeof(r) == 32) _mm256_stream_si256(reinterpret_cast<__m256i*>(to), bits);
#endif
    if constexpr (sizeof(r) == 16) _mm_stream_si128(reinterpret_cast<__m128i*>(to), bits);
  }

  friend Pack operator+(Pack a, Pack b) { return a.r + b.r; }
  friend Pack operator-(Pack a, Pack b) { return a.r - b.r; }
  friend Pack operator*(Pack a, Pack b) { return a.r * b.r; }
  friend Pack operator/(Pack a, Pack b) { return a.r / b.r; }
  friend Pack operator-(Pack a) { return a.r ^ Register(T(-0.0)); }

  friend Mask operator==(Pack a, Pack b) { return a.r == b.r; }
  friend Mask operator!=(Pack a, Pack b) { return !(a.r == b.r); }
  friend Mask operator<(Pack a, Pack b) { return a.r < b.r; }
  friend Mask operator<=(Pack a, Pack b) { return a.r <= b.r; }
  friend Mask operator>(Pack a, Pack b) { return b.r < a.r; }
  friend Mask operator>=(Pack a, Pack b) { return b.r <= a.r; }
  friend Mask is_nan(Pack a) { return !(a.r == a.r); }
  friend Mask is_infinite(Pack a) {
    return xsimd::abs(a.r) == Register(std::numeric_limits<T>::infinity());
  }

  friend Pack select(Mask mask, Pack yes, Pack no) {
    return xsimd::select(mask.lanes, yes.r, no.r);
  }
  /// The larger; a NaN in either place gives NaN.
  friend Pack max(Pack a, Pack b) { return select(is_nan(a), a, Pack(xsimd::max(a.r, b.r))); }
  friend Pack min(Pack a, Pack b) { return select(is_nan(a), a, Pack(xsimd::min(a.r, b.r))); }
  /// The larger, or smaller; `b` where either is a NaN.
  friend Pack larger(Pack a, Pack b) { return xsimd::max(a.r, b.r); }
  friend Pack smaller(Pack a, Pack b) { return xsimd::min(a.r, b.r); }
  friend Pack abs(Pack a) { return xsimd::abs(a.r); }
  /// The magnitude of `a` with the sign bit of `b`.
  friend Pack copysign(Pack a, Pack b) { return xsimd::abs(a.r) | (b.r & Register(T(-0.0))); }
  friend Pack sqrt(Pack a) { return xsimd::sqrt(a.r); }
  friend Pack floor(Pack a) { return xsimd::floor(a.r); }
  friend Pack ceil(Pack a) { return xsimd::ceil(a.r); }
  friend Pack trunc(Pack a) { return xsimd::trunc(a.r); }
  friend Pack round(Pack a) { return copysign(Pack(xsimd::nearbyint(a.r)), a); }
  /// a·b + c, rounded once where the instruction set can.
  friend Pack fma(Pack a, Pack b, Pack c) { return fused_multiply_add<T, A>(a.r, b.r, c.r); }
  /// Kept from going below or above a number; a NaN stays, for the processor gives its second
  /// operand then.
  friend Pack at_least(double low, Pack x) {
    return xsimd::max(Register(static_cast<T>(low)), x.r);
  }
  friend Pack at_most(double high, Pack x) {
    return xsimd::min(Register(static_cast<T>(high)), x.r);
  }

 private:
  using Bits = typename Vec<std::int32_t, A>::register_type;
};

template <class T, class A>
requires std::integral<T>
struct Pack<T, A> {
  using Number = T;
  using Mask = PackMask<A>;
  static constexpr std::int64_t size = 1;

  T r;

  Pack() = default;
  Pack(T number) : r(number) {}  // NOLINT: meant implicit
  Pack(int number) requires(!std::is_same_v<T, int>) : r(static_cast<T>(number)) {}  // NOLINT

  static Pack from(double number) {
    constexpr double least = static_cast<double>(std::numeric_limits<T>::min());
    constexpr double most = static_cast<double>(std::numeric_limits<T>::max());
    if (number >= most) return std::numeric_limits<T>::max();
    return number > least ? static_cast<T>(number) : std::numeric_limits<T>::min();
  }
  static Pack load(const T* from) { return *from; }
  static Pack of_bytes(const std::uint8_t* from) { return static_cast<T>(*from); }
  void store(T* to) const { *to = r; }

  // Sums and products wrap around, as in two's complement; on bool they are "or" and "and".
  friend Pack operator+(Pack a, Pack b) { return wrap(word(a) + word(b)); }
  friend Pack operator-(Pack a, Pack b) { return wrap(word(a) - word(b)); }
  friend Pack operator*(Pack a, Pack b) { return wrap(word(a) * word(b)); }
  friend Pack operator-(Pack a) { return wrap(Word{0} - word(a)); }

  friend Mask operator==(Pack a, Pack b) { return {a.r == b.r}; }
  friend Mask operator!=(Pack a, Pack b) { return {a.r != b.r}; }
  friend Mask operator<(Pack a, Pack b) { return {a.r < b.r}; }
  friend Mask operator<=(Pack a, Pack b) { return {a.r <= b.r}; }
  friend Mask operator>(Pack a, Pack b) { return {a.r > b.r}; }
  friend Mask operator>=(Pack a, Pack b) { return {a.r >= b.r}; }
  friend Mask is_nan(Pack) { return {false}; }
  friend Mask is_infinite(Pack) { return {false}; }

  friend Pack select(Mask mask, Pack yes, Pack no) { return mask.yes ? yes : no; }
  friend Pack max(Pack a, Pack b) { return a.r < b.r ? b : a; }
  friend Pack min(Pack a, Pack b) { return b.r < a.r ? b : a; }
  friend Pack abs(Pack a) {
    if constexpr (std::is_signed_v<T>) return a.r < 0 ? -a : a;
    return a;
  }
  friend Pack floor(Pack a) { return a; }
  friend Pack ceil(Pack a) { return a; }
  friend Pack trunc(Pack a) { return a; }
  friend Pack round(Pack a) { return a; }
  /// The quotient rounded toward 0, and what it leaves; 0 where the divisor is 0, and where the
  /// most negative number meets −1, for the processor traps at both.
  friend Pack quotient(Pack a, Pack b) {
    if (b.r == 0) return T(0);
    if constexpr (std::is_signed_v<T>)
      if (b.r == T(-1)) return -a;
    return static_cast<T>(a.r / b.r);
  }
  friend Pack rest(Pack a, Pack b) {
    if (b.r == 0) return T(0);
    if constexpr (std::is_signed_v<T>)
      if (b.r == T(-1)) return T(0);
    return static_cast<T>(a.r % b.r);
  }

 private:
  using Word = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  static Word word(Pack a) { return static_cast<Word>(a.r); }
  static Pack wrap(Word word) { return static_cast<T>(word); }
};

/// Two packs that are computed in step, each operation on both before the next: for lines of a
/// tensor that lie side by side.
template <class P>
struct Twin {
  using Number = typename P::Number;
  struct Mask {
    typename P::Mask low, high;
  };
  static constexpr std::int64_t size = 2 * P::size;

  P low, high;

  Twin() = default;
  Twin(P low, P high) : low(low), high(high) {}
  Twin(P both) : low(both), high(both) {}             // NOLINT: meant implicit
  Twin(double number) : low(number), high(number) {}  // NOLINT: meant implicit

  static Twin load(const Number* from) { return {P::load(from), P::load(from + P::size)}; }
  void store(Number* to) const {
    low.store(to);
    high.store(to + P::size);
  }
  void stream(Number* to) const {
    low.stream(to);
    high.stream(to + P::size);
  }

  friend Twin operator+(Twin a, Twin b) { return {a.low + b.low, a.high + b.high}; }
  friend Twin operator-(Twin a, Twin b) { return {a.low - b.low, a.high - b.high}; }
  friend Twin operator*(Twin a, Twin b) { return {a.low * b.low, a.high * b.high}; }
  friend Twin operator/(Twin a, Twin b) { return {a.low / b.low, a.high / b.high}; }
  friend Mask operator==(Twin a, Twin b) { return {a.low == b.low, a.high == b.high}; }
  friend Mask operator<(Twin a, Twin b) { return {a.low < b.low, a.high < b.high}; }
  friend Twin select(Mask mask, Twin yes, Twin no) {
    return {select(mask.low, yes.low, no.low), select(mask.high, yes.high, no.high)};
  }
  friend Twin sqrt(Twin a) { return {sqrt(a.low), sqrt(a.high)}; }
  friend Twin fma(Twin a, Twin b, Twin c) {
    return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)};
  }
  friend Twin at_least(double low, Twin x) { return {at_least(low, x.low), at_least(low, x.high)}; }
  friend Twin at_most(double high, Twin x) { return {at_most(high, x.low), at_most(high, x.high)}; }
  friend Twin larger(Twin a, Twin b) { return {larger(a.low, b.low), larger(a.high, b.high)}; }
};

}  // namespace troupe::cpu
