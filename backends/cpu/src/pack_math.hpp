#pragma once

#include "pack.hpp"

#include <bit>
#include <cmath>
#include <cstdint>

// exp, log and their kin on packs of floats. Polynomials are our own fits (interpolation at
// Chebyshev points in 60 digits); the reductions are the textbook ones, named where they stand. No
// branch depends on a neighbour's value, so an element's bits do not depend on its place.
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
  static constexpr double expm1_low = -18;
  static constexpr double tanh_limit = 10;
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

/// The bits of a pack as unsigned integers.
template <class T, class A>
struct PackBits {
  using Word = typename MathConstants<T>::Word;
  using Words = Vec<Word, A>;
  static Words of(Pack<T, A> x) { return std::bit_cast<Words>(x.r); }
  static Pack<T, A> to(Words bits) { return std::bit_cast<Vec<T, A>>(bits); }
};

/// c₀ + c₁·x + c₂·x² + …, by Horner's rule.
template <class T, class A>
Pack<T, A> polynomial(Pack<T, A>, double last) {
  return last;
}
template <class T, class A, class... More>
Pack<T, A> polynomial(Pack<T, A> x, double first, More... more) {
  return fma(polynomial(x, more...), x, Pack<T, A>(first));
}

/// Applies a function of plain numbers to each element: for what is rare or hard.
template <class T, class A, class Function>
Pack<T, A> each(Pack<T, A> x, Function function) {
  alignas(64) T lanes[Pack<T, A>::size];
  x.store(lanes);
  for (T& lane : lanes) lane = static_cast<T>(function(static_cast<double>(lane)));
  return Pack<T, A>::load(lanes);
}
template <class T, class A, class Function>
Pack<T, A> each(Pack<T, A> x, Pack<T, A> y, Function function) {
  alignas(64) T lanes[Pack<T, A>::size];
  alignas(64) T others[Pack<T, A>::size];
  x.store(lanes);
  y.store(others);
  for (std::int64_t i = 0; i < Pack<T, A>::size; ++i)
    lanes[i] =
        static_cast<T>(function(static_cast<double>(lanes[i]), static_cast<double>(others[i])));
  return Pack<T, A>::load(lanes);
}

/// The nearest integer, for |x| below a quarter of what the mantissa holds.
template <class T, class A>
Pack<T, A> nearest(Pack<T, A> x) {
  const Pack<T, A> magic(MathConstants<T>::magic);
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

/// e^r − 1 for |r| ≤ ln 2 / 2.
template <class T, class A>
Pack<T, A> expm1_near_zero(Pack<T, A> r) {
  Pack<T, A> q;
  if constexpr (std::is_same_v<T, float>)
    q = polynomial(r, 0.5, 0.1666657699, 0.04166655462, 0.008363179053, 0.001392618359);
  else
    q = polynomial(
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
  return fma(r * r, q, r);
}

/// n and r with x = n·ln 2 + r, |r| ≤ ln 2 / 2.
template <class T, class A>
void reduce_by_ln2(Pack<T, A> x, Pack<T, A>& n, Pack<T, A>& r) {
  using P = Pack<T, A>;
  using C = MathConstants<T>;
  n = nearest(x * P(1.4426950408889634074));
  r = fma(n, P(-C::ln2_low), fma(n, P(-C::ln2_high), x));
}

template <class T, class A>
Pack<T, A> exp(Pack<T, A> x) {
  using P = Pack<T, A>;
  using C = MathConstants<T>;
  P n, r;
  reduce_by_ln2(min(max(x, P(C::exp_low)), P(C::exp_high)), n, r);
  // In two factors, for 2ⁿ alone overflows or underflows before the product does.
  const P half = nearest(n * P(0.5));
  return (expm1_near_zero(r) + P(1)) * power_of_two(half) * power_of_two(n - half);
}

template <class T, class A>
Pack<T, A> expm1(Pack<T, A> x) {
  using P = Pack<T, A>;
  using C = MathConstants<T>;
  P n, r;
  reduce_by_ln2(min(max(x, P(C::expm1_low)), P(C::exp_high)), n, r);
  // (e^r − 1)·2ⁿ + (2ⁿ − 1), everything halved so that n = 128 (1024) does not overflow too early.
  const P scale = power_of_two(n - P(1));
  const P y = fma(scale, expm1_near_zero(r), scale - P(0.5));
  return y + y;
}

template <class T, class A>
Pack<T, A> log(Pack<T, A> x) {
  using P = Pack<T, A>;
  using C = MathConstants<T>;
  using Bits = PackBits<T, A>;
  using Words = typename Bits::Words;
  const auto subnormal = x < P(C::least_normal);
  const P normal = select(subnormal, x * P(C::subnormal_scale), x);
  // x = 2ᵉ·m with m in [√½, √2), by moving the exponent's step from 1 to √½.
  const Words moved = Bits::of(normal) + Words(C::one - C::sqrt_half);
  const Words biased = moved >> C::mantissa_bits;
  P e = Bits::to(biased | Words(C::two_to_mantissa)) - Bits::to(Words(C::two_to_mantissa)) -
        P(C::exponent_bias);
  e = select(subnormal, e - P(C::mantissa_bits), e);
  const P m = Bits::to((moved & Words(C::mantissa)) + Words(C::sqrt_half));

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

template <class T, class A>
Pack<T, A> log1p(Pack<T, A> x) {
  using P = Pack<T, A>;
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

template <class T, class A>
Pack<T, A> tanh(Pack<T, A> x) {
  using P = Pack<T, A>;
  const P t = expm1(P(2) * min(abs(x), P(MathConstants<T>::tanh_limit)));
  return copysign(t / (t + P(2)), x);
}

/// sin of x + quadrants·π/2, by Cody and Waite's reduction.
template <class T, class A>
Pack<T, A> sin_of_turned(Pack<T, A> x, int quadrants) {
  using P = Pack<T, A>;
  using C = MathConstants<T>;
  using Bits = PackBits<T, A>;
  using Words = typename Bits::Words;
  const P magic(C::magic);
  const P shifted = fma(x, P(0.63661977236758134308), magic);
  const P n = shifted - magic;
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
  s = fma(r * z, s, r);
  c = fma(z * z, c, fma(P(-0.5), z, P(1)));
  const P quadrant = n + P(quadrants);
  const P half = quadrant * P(0.5);
  const P y = select(nearest(half) == half, s, c);
  const Words sign = ((Bits::of(shifted) + Words(quadrants)) & Words(2))
                     << (C::mantissa_bits > 30 ? 62 : 30);
  return Bits::to(Bits::of(y) ^ sign);
}

template <class T, class A>
Pack<T, A> sin(Pack<T, A> x) {
  using P = Pack<T, A>;
  const P y = select(x == P(0), x, sin_of_turned(x, 0));
  const auto far = !(abs(x) < P(MathConstants<T>::trigonometric_limit));
  if (!any(far)) return y;
  return select(far, each(x, [](double v) { return ::sin(v); }), y);
}

template <class T, class A>
Pack<T, A> cos(Pack<T, A> x) {
  using P = Pack<T, A>;
  const P y = sin_of_turned(x, 1);
  const auto far = !(abs(x) < P(MathConstants<T>::trigonometric_limit));
  if (!any(far)) return y;
  return select(far, each(x, [](double v) { return ::cos(v); }), y);
}

template <class A>
Pack<double, A> erf(Pack<double, A> x) {
  return each(x, [](double v) { return ::erf(v); });
}
template <class A>
Pack<float, A> erf(Pack<float, A> x) {
  using P = Pack<float, A>;
  const P t = min(abs(x), P(4));  // erf(4) rounds to 1
  const P near =
      fma(polynomial(
              t * t,
              0.1283791667,
              -0.3761263403,
              0.1128369943,
              -0.02685959231,
              0.005201466869,
              -0.0008147202093,
              8.387591046e-5),
          t,
          t);
  // erf(t) = 1 − e^(−t·(1 + g(t))) with g fitted on [0.92, 3.95].
  const P g = polynomial(
      t,
      0.1286865418,
      0.6349546631,
      0.1066263646,
      -0.02414574572,
      0.00384248762,
      -0.0003754922268,
      1.674160239e-5);
  const P far = P(1) - exp(-fma(t, g, t));
  return copysign(select(t < P(0.921875), near, far), x);
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
template <std::floating_point T, class A>
Pack<T, A> fmod(Pack<T, A> x, Pack<T, A> y) {
  return each(x, y, [](double a, double b) { return ::fmod(a, b); });
}
template <std::integral T, class A>
Pack<T, A> fmod(Pack<T, A> x, Pack<T, A> y) {
  return rest(x, y);
}

/// The quotient cut toward 0.
template <std::floating_point T, class A>
Pack<T, A> div_trunc(Pack<T, A> x, Pack<T, A> y) {
  return trunc(x / y);
}
template <std::integral T, class A>
Pack<T, A> div_trunc(Pack<T, A> x, Pack<T, A> y) {
  return quotient(x, y);
}

/// The whole number below the quotient. A rounded quotient may have reached the next one already,
/// so it is made from what divides without a rest.
template <std::floating_point T, class A>
Pack<T, A> div_floor(Pack<T, A> x, Pack<T, A> y) {
  using P = Pack<T, A>;
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
