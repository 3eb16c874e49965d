#pragma once

#include "pack.hpp"

#include <bit>
#include <cmath>
#include <cstdint>

// exp, log and their kin on packs of floats. Polynomials are our own fits (interpolation at
// Chebyshev points, or minimax, in 40 digits or more); the reductions are the textbook ones, named
// where they stand. No branch depends on a neighbour's value, so an element's bits do not depend on
// its place.
//
// The largest errors over all floats, in units in the last place of the result (with one rounding
// for two, where there is no FMA): exp 0.96 (1.3), expm1 1.6 (1.8), log 0.9, log1p 1.5, tanh 1.91
// (2.1), erf 1.92 (2.2); of ops made of them: sigmoid and silu 2.5 (2.5), both about x = −16.6,
// where the power's last place is worth 2, elsewhere 2.0; gelu 2.2 (2.5) and gelu through tanh 2.0
// (2.1), in the last place of x/8 where y is smaller than that. tests/cpu/pack_math_test.cpp.
namespace troupe::cpu {

/// The numbers by which the functions differ between float and double.
template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  using Word = std::uint32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr Word one = 0x3f800000;        // bits of 1
  static constexpr Word sqrt_half = 0x3f3504f3;  // bits of √½
  static constexpr Word mantissa = 0x007fffff;
  static constexpr Word two_to_mantissa = 0x4b000000;  // bits of 2²³
  static constexpr double magic = 12582912.0;          // 1.5·2²³: adding it rounds to an integer
  static constexpr double exponent_bias = 127;
  static constexpr double subnormal_scale = 8388608.0;  // 2²³
  static constexpr double least_normal = 1.17549435e-38;
  static constexpr double exp_low = -104, exp_high = 89;
  static constexpr double exp2_low = -151, exp2_high = 129;
  static constexpr double expm1_low = -18;
  static constexpr double tanh_limit = 9;  // where h has no more bits than make tanh 1
  // ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
  static constexpr double ln2_high = 0.693145751953125, ln2_low = 1.4286068203094172321e-6;
  // π/2 in four parts, the first three of 11 bits each: products with n < 2¹³ are exact.
  static constexpr double half_pi[4] = {
      1.5703125, 0.0004837512969970703125, 7.549533620476722717285e-8, 2.563344151594518788189e-12};
  static constexpr double trigonometric_limit = 8192;
};

template <>
struct MathConstants<double> {
  using Word = std::uint64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr Word one = 0x3ff0000000000000;
  static constexpr Word sqrt_half = 0x3fe6a09e667f3bcd;
  static constexpr Word mantissa = 0x000fffffffffffff;
  static constexpr Word two_to_mantissa = 0x4330000000000000;
  static constexpr double magic = 6755399441055744.0;  // 1.5·2⁵²
  static constexpr double exponent_bias = 1023;
  static constexpr double subnormal_scale = 4503599627370496.0;
  static constexpr double least_normal = 2.2250738585072014e-308;
  static constexpr double exp_low = -746, exp_high = 710;
  static constexpr double exp2_low = -1076, exp2_high = 1025;
  static constexpr double expm1_low = -40;
  static constexpr double tanh_limit = 20;
  static constexpr double ln2_high = 0.6931471803691238164901733,
                          ln2_low = 1.908214929270587816144266e-10;
  static constexpr double half_pi[4] = {
      1.570796326734125614166,
      6.077100506303965976596e-11,
      2.022266248711166455796e-21,
      8.478427660368899643959e-32};
  static constexpr double trigonometric_limit = 524288;
};

/// Packs of floats.
template <class P>
concept FloatPack = std::floating_point<typename P::Number>;

/// The bits of a pack as unsigned integers.
template <class T, class A>
struct PackBits {
  using Word = typename MathConstants<T>::Word;
  using Words = Vec<Word, A>;
  static Words of(Pack<T, A> x) { return std::bit_cast<Words>(x.r); }
  static Pack<T, A> to(Words bits) { return std::bit_cast<Vec<T, A>>(bits); }
};

/// c₀ + c₁·x + c₂·x² + …, by Horner's rule.
template <class P>
P polynomial(P, double last) {
  return last;
}
template <class P, class... More>
P polynomial(P x, double first, More... more) {
  return fma(polynomial(x, more...), x, P(first));
}

/// Applies a function of plain numbers to each element: for what is rare or hard.
template <class P, class Function>
P each(P x, Function function) {
  using T = typename P::Number;
  alignas(64) T lanes[P::size];
  x.store(lanes);
  for (T& lane : lanes) lane = static_cast<T>(function(static_cast<double>(lane)));
  return P::load(lanes);
}
template <class P, class Function>
P each(P x, P y, Function function) {
  using T = typename P::Number;
  alignas(64) T lanes[P::size];
  alignas(64) T others[P::size];
  x.store(lanes);
  y.store(others);
  for (std::int64_t i = 0; i < P::size; ++i)
    lanes[i] =
        static_cast<T>(function(static_cast<double>(lanes[i]), static_cast<double>(others[i])));
  return P::load(lanes);
}

/// The nearest integer, for |x| below a quarter of what the mantissa holds.
template <FloatPack P>
P nearest(P x) {
  const P magic(MathConstants<typename P::Number>::magic);
  return (x + magic) - magic;
}

/// 2ⁿ for an integer n that is a normal number's exponent.
template <class T, class A>
Pack<T, A> power_of_two(Pack<T, A> n) {
  using C = MathConstants<T>;
  using Words = typename PackBits<T, A>::Words;
  // The sum's low bits are n; shifting drops what lies above them.
  const Words bits = PackBits<T, A>::of(n + Pack<T, A>(C::magic));
  return PackBits<T, A>::to((bits << C::mantissa_bits) + Words(C::one));
}

/// x·2ⁿ for an integer n, rounded once; x is near 1, n may lie a little outside the exponents.
template <class T, class A>
Pack<T, A> times_power_of_two(Pack<T, A> x, Pack<T, A> n) {
#ifdef __AVX512F__
  if constexpr (sizeof(Vec<T, A>) == 64) {
    if constexpr (std::is_same_v<T, float>)
      return Vec<T, A>(_mm512_scalef_ps(x.r, n.r));
    else
      return Vec<T, A>(_mm512_scalef_pd(x.r, n.r));
  }
#endif
  // In two factors, for 2ⁿ alone overflows or underflows before the product does; the first
  // product is exact.
  const Pack<T, A> half = nearest(n * Pack<T, A>(0.5));
  return x * power_of_two(half) * power_of_two(n - half);
}

template <class P>
Twin<P> times_power_of_two(Twin<P> x, Twin<P> n) {
  return {times_power_of_two(x.low, n.low), times_power_of_two(x.high, n.high)};
}

/// (e^r − 1 − r) / r² for |r| ≤ ln 2 / 2.
template <FloatPack P>
P exp_tail(P r) {
  if constexpr (std::is_same_v<typename P::Number, float>)
    return polynomial(r, 0.5, 0.1666657699, 0.04166655462, 0.008363179053, 0.001392618359);
  else
    return polynomial(
        r,
        0.5,
        0.16666666666666670991,
        0.041666666666666669755,
        0.0083333333333261351258,
        0.0013888888888883748305,
        0.00019841269874820625271,
        0.000024801587325547741216,
        2.755725540020642443e-6,
        2.7557273643110295328e-7,
        2.5105217004720745164e-8,
        2.0914686968087677233e-9);
}

/// e^r − 1 for |r| ≤ ln 2 / 2.
template <FloatPack P>
P expm1_near_zero(P r) {
  return fma(r * r, exp_tail(r), r);
}

/// n and r with x = n·ln 2 + r, |r| ≤ ln 2 / 2.
template <FloatPack P>
void reduce_by_ln2(P x, P& n, P& r) {
  using C = MathConstants<typename P::Number>;
  const P magic(C::magic);
  n = fma(x, P(1.4426950408889634074), magic) - magic;
  r = fma(n, P(-C::ln2_low), fma(n, P(-C::ln2_high), x));
}

/// eˣ / 2^shift; a shift of 64 keeps the quotient from overflowing up to x = 133.
template <FloatPack P>
P exp_scaled(P x, P shift) {
  using C = MathConstants<typename P::Number>;
  P n, r;
  reduce_by_ln2(at_most(C::exp_high + 45, at_least(C::exp_low, x)), n, r);
  return times_power_of_two(fma(fma(exp_tail(r), r, P(1)), r, P(1)), n - shift);
}

template <FloatPack P>
P exp(P x) {
  using C = MathConstants<typename P::Number>;
  P n, r;
  reduce_by_ln2(at_most(C::exp_high, at_least(C::exp_low, x)), n, r);
  return times_power_of_two(fma(fma(exp_tail(r), r, P(1)), r, P(1)), n);
}

/// eˣ for x ≤ 0, with the bits of exp.
template <FloatPack P>
P exp_below_one(P x) {
  using C = MathConstants<typename P::Number>;
  P n, r;
  reduce_by_ln2(at_least(C::exp_low, x), n, r);
  return times_power_of_two(fma(fma(exp_tail(r), r, P(1)), r, P(1)), n);
}

/// 2^r for |r| ≤ ½, times `first`.
template <FloatPack P>
P exp2_near_zero(P r, double first = 1) {
  if constexpr (std::is_same_v<typename P::Number, float>)
    return polynomial(
        r,
        first,
        first * 0.6931472035,
        first * 0.2402264783,
        first * 0.05550330922,
        first * 0.00961844361,
        first * 0.001339952071,
        first * 0.0001535284106);
  else
    return fma(expm1_near_zero(r * P(0.69314718055994530942)), P(first), P(first));
}

/// 2^(x + low): `low` is what rounding x has lost, below its last place.
template <FloatPack P>
P exp2(P x, P low) {
  using C = MathConstants<typename P::Number>;
  const P bounded = at_most(C::exp2_high, at_least(C::exp2_low, x));
  const P n = nearest(bounded);
  return times_power_of_two(exp2_near_zero((bounded - n) + low), n);
}

template <FloatPack P>
P expm1(P x) {
  using C = MathConstants<typename P::Number>;
  P n, r;
  reduce_by_ln2(at_most(C::exp_high, at_least(C::expm1_low, x)), n, r);
  // (e^r − 1)·2ⁿ + (2ⁿ − 1), everything halved so that n = 128 (1024) does not overflow too early.
  const P scale = power_of_two(n - P(1));
  const P y = fma(scale, expm1_near_zero(r), scale - P(0.5));
  return copysign(y + y, x);
}

/// e and m with x = 2ᵉ·m, m in [√½, √2), for positive normal numbers: by moving the exponent's step
/// from 1 to √½.
template <class T, class A>
void split_exponent(Pack<T, A> x, Pack<T, A>& e, Pack<T, A>& m) {
  using C = MathConstants<T>;
  using Bits = PackBits<T, A>;
  using Words = typename Bits::Words;
  const Words moved = Bits::of(x) + Words(C::one - C::sqrt_half);
  const Words biased = moved >> C::mantissa_bits;
  e = Bits::to(biased | Words(C::two_to_mantissa)) - Bits::to(Words(C::two_to_mantissa)) -
      Pack<T, A>(C::exponent_bias);
  m = Bits::to((moved & Words(C::mantissa)) + Words(C::sqrt_half));
}

template <class P>
void split_exponent(Twin<P> x, Twin<P>& e, Twin<P>& m) {
  split_exponent(x.low, e.low, m.low);
  split_exponent(x.high, e.high, m.high);
}

template <FloatPack P>
P log(P x) {
  using T = typename P::Number;
  using C = MathConstants<T>;
  const auto subnormal = x < P(C::least_normal);
  P e, m;
  split_exponent(select(subnormal, x * P(C::subnormal_scale), x), e, m);
  e = select(subnormal, e - P(C::mantissa_bits), e);

  // log(1 + f) = 2·artanh(s), s = f / (2 + f); arranged as in Tang 1990 so that f itself, exact,
  // leads.
  const P f = m - P(1);
  const P s = f / (P(2) + f);
  const P z = s * s;
  P tail;
  if constexpr (std::is_same_v<T, float>)
    tail = polynomial(z, 0.6666666655, 0.4000012947, 0.2854996428, 0.2335354249);
  else
    tail = polynomial(
        z,
        0.6666666666666666643,
        0.40000000000001010273,
        0.28571428570722826681,
        0.22222222409844037886,
        0.18181793722272505586,
        0.15386342974308153091,
        0.13266035037261050827,
        0.13114976096717038329);
  const P half_square = P(0.5) * f * f;
  const P low = fma(s, fma(tail, z, half_square), e * P(C::ln2_low));
  const P y = fma(e, P(C::ln2_high), f - (half_square - low));

  constexpr T infinity = std::numeric_limits<T>::infinity();
  P result = select(x < P(infinity), y, x);  // +∞ and NaN stay
  result = select(x == P(0), P(-infinity), result);
  return select(x < P(0), P(std::numeric_limits<T>::quiet_NaN()), result);
}

template <FloatPack P>
P log1p(P x) {
  using T = typename P::Number;
  // What rounding 1 + x loses is put back to first order.
  const P u = P(1) + x;
  const P lost = x - (u - P(1));
  const P y = log(u);
  // Where nothing is lost, 0 and ∞ among it, the logarithm stands; and log1p(−0) is −0.
  return select(
      (u - P(1)) == x,
      select(x == P(0), x, y),
      select(u < P(std::numeric_limits<T>::infinity()), y + lost / u, y));
}

/// By h = (e^2|x| − 1) / 2: tanh |x| = h / (h + 1).
template <FloatPack P>
P tanh(P x) {
  using C = MathConstants<typename P::Number>;
  const P a = at_most(C::tanh_limit, abs(x));
  P n, r;
  reduce_by_ln2(a + a, n, r);
  const P scale = power_of_two(n - P(1));
  const P h = fma(scale, expm1_near_zero(r), scale - P(0.5));
  const P q = h / (h + P(1));
  // h − h·q is the same, and less of what rounding the divisor loses is left where h is small.
  return copysign(select(h < P(0.375), fma(-h, q, h), q), x);
}

/// y, negative where `shifted` + quadrants, whole numbers in their last bits, are 2 or 3 modulo 4.
template <class T, class A>
Pack<T, A> turn_sign(Pack<T, A> y, Pack<T, A> shifted, int quadrants) {
  using Bits = PackBits<T, A>;
  using Words = typename Bits::Words;
  const Words sign = ((Bits::of(shifted) + Words(quadrants)) & Words(2))
                     << (MathConstants<T>::mantissa_bits > 30 ? 62 : 30);
  return Bits::to(Bits::of(y) ^ sign);
}

/// What sin and cos are made of, by Cody and Waite's reduction: those of r = x − n·π/2, and n in
/// the last bits of `shifted`.
template <FloatPack P>
struct Turned {
  P sine, cosine;
  P n;
  P shifted;

  explicit Turned(P x) {
    using T = typename P::Number;
    using C = MathConstants<T>;
    const P magic(C::magic);
    shifted = fma(x, P(0.63661977236758134308), magic);
    n = shifted - magic;
    P r = x;
    for (const double part : C::half_pi) r = fma(n, P(-part), r);
    const P z = r * r;
    P s, c;
    if constexpr (std::is_same_v<T, float>) {
      s = polynomial(z, -0.1666666465, 0.008332745936, -0.0001958738707);
      c = polynomial(z, 0.04166666465, -0.00138883007, 2.454743721e-5);
    } else {
      s = polynomial(
          z,
          -0.16666666666666664599,
          0.0083333333333309245621,
          -0.00019841269836722417756,
          2.755731608381635861e-6,
          -2.5051127944014187575e-8,
          1.5917848524808261007e-10);
      c = polynomial(
          z,
          0.041666666666666665373,
          -0.0013888888888887382271,
          0.000024801587298743069286,
          -2.7557317260008838164e-7,
          2.0876143837993132496e-9,
          -1.1382456778061305849e-11);
    }
    sine = fma(r * z, s, r);
    cosine = fma(z * z, c, fma(P(-0.5), z, P(1)));
  }
  /// sin of x + quadrants·π/2.
  [[nodiscard]] P sin_of(int quadrants) const {
    const P half = (n + P(quadrants)) * P(0.5);
    return turn_sign(select(nearest(half) == half, sine, cosine), shifted, quadrants);
  }
};

template <FloatPack P>
P sin(P x) {
  using T = typename P::Number;
  const P y = select(x == P(0), x, Turned<P>(x).sin_of(0));
  const auto far = !(abs(x) < P(MathConstants<T>::trigonometric_limit));
  if (!any(far)) return y;
  return select(far, each(x, [](double v) { return ::sin(v); }), y);
}

template <FloatPack P>
P cos(P x) {
  using T = typename P::Number;
  const P y = Turned<P>(x).sin_of(1);
  const auto far = !(abs(x) < P(MathConstants<T>::trigonometric_limit));
  if (!any(far)) return y;
  return select(far, each(x, [](double v) { return ::cos(v); }), y);
}

/// Both at once, for |x| below `trigonometric_limit`.
template <FloatPack P>
void sin_and_cos(P x, P& sine, P& cosine) {
  const Turned<P> turned(x);
  sine = turned.sin_of(0);
  cosine = turned.sin_of(1);
}

/// By erf |x| = 1 − e^(−|x|·(1 + g(|x|))), where g is smooth on all of [0, 4].
template <FloatPack P>
P erf(P x) {
  if constexpr (std::is_same_v<typename P::Number, double>)
    return each(x, [](double v) { return ::erf(v); });
  const P t = at_most(4, abs(x));  // erf(4) rounds to 1
  const P g = polynomial(
      t,
      0.12837917161,
      0.636619382155,
      0.102777830791,
      -0.0191530740097,
      -0.000160362630682,
      0.00166698232033,
      -0.000632807229582,
      0.000117631915042,
      -9.25513081527e-6);
  P n, r;
  reduce_by_ln2(-fma(t, g, t), n, r);
  const P scale = power_of_two(n);
  return copysign(fma(scale, expm1_near_zero(r), scale - P(1)), x);
}

/// ½·erfc(a/√2), the share of a normal distribution above a, for a ≥ 0.
///
/// Floats by ½·2^(−a·(1 + g(a))), with g fitted on [0, 5.75]: beyond, where the share is below
/// 5e-9, it falls on as it does there.
template <FloatPack P>
P normal_tail(P a) {
  if constexpr (std::is_same_v<typename P::Number, double>)
    return each(a, [](double v) { return 0.5 * ::erfc(v * 0.70710678118654752440); });
  const P g = polynomial(
      at_most(5.75, a),
      0.151105651,
      0.4592049341,
      0.05249988953,
      -0.007051318088,
      0.0001040504228,
      0.000217578457,
      -5.382198468e-5,
      6.046612781e-6,
      -2.757981935e-7);
  const P bounded = at_most(50, a);
  const P v = fma(bounded, g, bounded);
  const P lost = fma(bounded, g, bounded - v);
  const P n = nearest(v);
  return times_power_of_two(exp2_near_zero((n - v) - lost, 0.5), -n);
}

template <class A>
Pack<double, A> pow(Pack<double, A> x, Pack<double, A> y) {
  return each(x, y, [](double a, double b) { return ::pow(a, b); });
}
/// In double, where e^(y·log x) keeps all of float's bits.
template <class A>
Pack<float, A> pow(Pack<float, A> x, Pack<float, A> y) {
  using D = Pack<double, A>;
  constexpr std::int64_t lanes = Pack<float, A>::size;
  alignas(64) float narrow[2][lanes];
  alignas(64) double wide[2][lanes];
  x.store(narrow[0]);
  y.store(narrow[1]);
  for (int k = 0; k < 2; ++k)
    for (std::int64_t i = 0; i < lanes; ++i) wide[k][i] = narrow[k][i];
  for (std::int64_t i = 0; i < lanes; i += D::size) {
    const D a = D::load(wide[0] + i);
    const D b = D::load(wide[1] + i);
    const D logarithm = log(abs(a));
    D p = exp(select(logarithm == D(0), logarithm, b * logarithm));
    const D half = b * D(0.5);
    const auto whole = floor(b) == b;
    const auto odd = whole & (floor(half) != half);
    p = select(odd, copysign(p, a), p);
    // Powers of negative numbers exist for whole exponents, and, as limits, for −∞.
    constexpr double infinity = std::numeric_limits<double>::infinity();
    p = select(
        (a < D(0)) & (a != D(-infinity)) & !whole, D(std::numeric_limits<double>::quiet_NaN()), p);
    p = select((b == D(0)) | (a == D(1)), D(1), p);
    p.store(wide[0] + i);
  }
  for (std::int64_t i = 0; i < lanes; ++i) narrow[0][i] = static_cast<float>(wide[0][i]);
  return Pack<float, A>::load(narrow[0]);
}
/// By squaring, wrapping around; a negative power of anything but ±1 is 0.
template <std::integral T, class A>
Pack<T, A> pow(Pack<T, A> x, Pack<T, A> y) {
  if ((y < Pack<T, A>(T(0))).yes) {
    if (x.r == T(1)) return x;
    if constexpr (std::is_signed_v<T>)
      if (x.r == T(-1)) return (y.r & T(1)) != 0 ? T(-1) : T(1);
    return T(0);
  }
  Pack<T, A> result = T(1);
  for (auto n = static_cast<std::uint64_t>(y.r); n != 0; n >>= 1) {
    if (n & 1) result = result * x;
    x = x * x;
  }
  return result;
}

/// What division toward 0 leaves; has the sign of `x`. Exact.
template <FloatPack P>
P fmod(P x, P y) {
  return each(x, y, [](double a, double b) { return ::fmod(a, b); });
}
template <std::integral T, class A>
Pack<T, A> fmod(Pack<T, A> x, Pack<T, A> y) {
  return rest(x, y);
}

/// The quotient cut toward 0.
template <FloatPack P>
P div_trunc(P x, P y) {
  return trunc(x / y);
}
template <std::integral T, class A>
Pack<T, A> div_trunc(Pack<T, A> x, Pack<T, A> y) {
  return quotient(x, y);
}

/// The whole number below the quotient. A rounded quotient may have reached the next one already,
/// so it is made from what divides without a rest.
template <FloatPack P>
P div_floor(P x, P y) {
  const P left = fmod(x, y);
  P q = (x - left) / y;
  q = select((left != P(0)) & ((left < P(0)) ^ (y < P(0))), q - P(1), q);
  P whole = floor(q);
  whole = select(q - whole > P(0.5), whole + P(1), whole);
  whole = select(q == P(0), copysign(P(0), x / y), whole);
  return select(y == P(0), x / y, whole);
}
template <std::integral T, class A>
Pack<T, A> div_floor(Pack<T, A> x, Pack<T, A> y) {
  using P = Pack<T, A>;
  const P q = quotient(x, y);
  const P left = rest(x, y);
  return select((left != P(T(0))) & ((left < P(T(0))) ^ (y < P(T(0)))), q - P(T(1)), q);
}

}  // namespace troupe::cpu
