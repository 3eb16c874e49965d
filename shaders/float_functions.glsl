// EXP and LOG of the dtype. GLSL has none of double; these are good to a unit or two. EXP is for
// numbers up to 0, or hardly more, as in all that is normalized by a maximum.
#ifdef DTYPE_float64

// 2^k · e^r with |r| ≤ ln 2 / 2, by Taylor's series.
double exp_float64(double x) {
  if (!(x > -745.2lf)) return x <= -745.2lf ? 0.0lf : x;  // a NaN stays
  if (x > 709.79lf) return packDouble2x32(uvec2(0u, 0x7ff00000u));
  const double whole = floor(x * 1.4426950408889634074lf + 0.5lf);
  const int k = int(whole);
  // ln 2 in two parts, the first short enough for whole · part to be exact.
  precise double high = x - whole * 6.93147180369123816490e-01lf;
  precise double r = high - whole * 1.90821492927058770002e-10lf;
  double sum = 1.0lf;
  for (int i = 13; i > 0; --i) sum = 1.0lf + sum * (r / double(i));
  // In two steps, for 2^k alone may be too small.
  const int half_k = k / 2;
  return sum * packDouble2x32(uvec2(0u, uint(half_k + 1023) << 20)) *
         packDouble2x32(uvec2(0u, uint(k - half_k + 1023) << 20));
}

// k · ln 2 + 2 artanh((m − 1) / (m + 1)) with m from √½ to √2.
double log_float64(double x) {
  const double infinity = packDouble2x32(uvec2(0u, 0x7ff00000u));
  if (x == 0.0lf) return -infinity;
  if (!(x > 0.0lf)) return packDouble2x32(uvec2(0u, 0x7ff80000u));
  if (x == infinity) return x;
  int k = 0;
  if (x < 1e-300lf) {
    x *= 18014398509481984.0lf;  // 2^54
    k = -54;
  }
  uvec2 bits = unpackDouble2x32(x);
  k += int(bits.y >> 20) - 1023;
  bits.y = (bits.y & 0x000fffffu) | 0x3ff00000u;
  double m = packDouble2x32(bits);
  if (m > 1.4142135623730951lf) {
    m *= 0.5lf;
    ++k;
  }
  const double f = (m - 1.0lf) / (m + 1.0lf);
  const double square = f * f;
  double sum = 0.0lf;
  for (int i = 23; i > 1; i -= 2) sum = (sum + 1.0lf / double(i)) * square;
  const double tail = double(k) * 1.90821492927058770002e-10lf + 2.0lf * f * sum;
  return double(k) * 6.93147180369123816490e-01lf + (2.0lf * f + tail);
}

#define EXP(X) exp_float64(X)
#define LOG(X) log_float64(X)
#else
#include "math.glsl"

// As t_exp, with one power of two: what would be subnormal is 0. A NaN stays.
float exp_below_0(float x) {
  float n, r;
  t_reduce_by_ln2(x, n, r);
  precise float y = (t_expm1_near_zero(r) + 1.0) * t_power_of_two(n);
  return x < -87.0 ? 0.0 : y;
}

#define EXP(X) exp_below_0(X)
#define LOG(X) t_log(X)
#endif
