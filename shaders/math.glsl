// exp, log and their kin on float, by the very polynomials of the CPU's kernels (pack_math.hpp there):
// within 2 units in the last place or so, where a driver's own may be off by many. `precise` keeps a
// driver from fusing what is written apart.

float t_nearest(float x) {
  precise float shifted = x + 12582912.0;
  precise float y = shifted - 12582912.0;  // not precise, it may be taken for x
  return y;
}
// 2^n for whole n from -126 to 127.
float t_power_of_two(float n) { return uintBitsToFloat(uint(int(n) + 127) << 23); }

bool t_isnan(float x) { return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u; }
bool t_isinf(float x) { return (floatBitsToUint(x) & 0x7fffffffu) == 0x7f800000u; }
float t_copysign(float a, float b) {
  return uintBitsToFloat((floatBitsToUint(a) & 0x7fffffffu) | (floatBitsToUint(b) & 0x80000000u));
}
float t_max(float a, float b) { return t_isnan(a) ? a : t_isnan(b) ? b : a < b ? b : a; }
float t_min(float a, float b) { return t_isnan(a) ? a : t_isnan(b) ? b : b < a ? b : a; }
float t_round(float x) { return t_copysign(roundEven(x), x); }

// (e^r - 1 - r) / r^2 for |r| up to ln 2 / 2.
float t_exp_tail(float r) {
  precise float q = (((0.001392618359 * r + 0.008363179053) * r + 0.04166655462) * r +
                     0.1666657699) * r + 0.5;
  return q;
}
// e^r - 1 there.
float t_expm1_near_zero(float r) { return fma(r * r, t_exp_tail(r), r); }
// n and r with x = n ln 2 + r.
void t_reduce_by_ln2(float x, out float n, out float r) {
  n = t_nearest(x * 1.4426950408889634074);
  precise float high = x - n * 0.693145751953125;
  precise float low = high - n * 1.4286068203094172321e-6;
  r = low;
}
// x 2^n in two factors, for 2^n alone overflows or underflows before the product does.
float t_times_power_of_two(float x, float n) {
  const float half_n = t_nearest(n * 0.5);
  precise float y = x * t_power_of_two(half_n);
  return y * t_power_of_two(n - half_n);
}

// e^x / 2^shift; a shift of 64 keeps the quotient from overflowing up to x = 133.
float t_exp_scaled(float x, float shift) {
  if (t_isnan(x)) return x;
  float n, r;
  t_reduce_by_ln2(min(max(x, -104.0), 134.0), n, r);
  precise float y = (t_exp_tail(r) * r + 1.0) * r + 1.0;
  return t_times_power_of_two(y, n - shift);
}
float t_exp(float x) { return t_exp_scaled(x, 0.0); }

// 2^r for |r| up to 1/2.
float t_exp2_near_zero(float r) {
  precise float y = (((((0.0001535284106 * r + 0.001339952071) * r + 0.00961844361) * r +
                       0.05550330922) * r + 0.2402264783) * r + 0.6931472035) * r + 1.0;
  return y;
}
// 2^(x + low): low is what rounding x has lost.
float t_exp2(float x, float low) {
  if (t_isnan(x)) return x;
  const float bounded = min(max(x, -151.0), 129.0);
  const float n = t_nearest(bounded);
  precise float r = (bounded - n) + low;
  return t_times_power_of_two(t_exp2_near_zero(r), n);
}

float t_expm1(float x) {
  if (t_isnan(x)) return x;
  float n, r;
  t_reduce_by_ln2(min(max(x, -18.0), 89.0), n, r);
  // (e^r - 1) 2^n + (2^n - 1), halved so that n = 128 does not overflow too early.
  const float scale = t_power_of_two(n - 1.0);
  precise float y = scale * t_expm1_near_zero(r) + (scale - 0.5);
  return t_copysign(y + y, x);
}

float t_log(float x) {
  if (t_isnan(x) || x < 0.0) return NAN_F;
  if (x == 0.0) return -INFINITY_F;
  if (t_isinf(x)) return x;
  const bool subnormal = x < 1.17549435e-38;
  const float normal = subnormal ? x * 8388608.0 : x;
  // x = 2^e m with m from root 1/2 to root 2, by moving the exponent's step there.
  const uint moved = floatBitsToUint(normal) + (0x3f800000u - 0x3f3504f3u);
  const float e = float(int(moved >> 23) - 127 - (subnormal ? 23 : 0));
  const float m = uintBitsToFloat((moved & 0x007fffffu) + 0x3f3504f3u);
  // log(1 + f) = 2 artanh(s), s = f / (2 + f); arranged so that f itself, exact, leads.
  precise float f = m - 1.0;
  precise float s = f / (2.0 + f);
  precise float z = s * s;
  precise float tail = ((0.2335354249 * z + 0.2854996428) * z + 0.4000012947) * z + 0.6666666655;
  precise float half_square = 0.5 * f * f;
  precise float low = s * (tail * z + half_square) + e * 1.4286068203094172321e-6;
  precise float y = e * 0.693145751953125 + (f - (half_square - low));
  return y;
}

float t_log1p(float x) {
  // What rounding 1 + x loses is put back to first order.
  precise float u = 1.0 + x;
  precise float back = u - 1.0;
  precise float lost = x - back;
  const float y = t_log(u);
  if (back == x) return x == 0.0 ? x : y;
  return u < INFINITY_F ? y + lost / u : y;
}

// By h = (e^2|x| - 1) / 2: tanh |x| = h / (h + 1).
float t_tanh(float x) {
  if (t_isnan(x)) return x;
  const float a = min(abs(x), 9.0);
  float n, r;
  t_reduce_by_ln2(a + a, n, r);
  const float scale = t_power_of_two(n - 1.0);
  precise float h = scale * t_expm1_near_zero(r) + (scale - 0.5);
  precise float q = h / (h + 1.0);
  // h - h q is the same, and less of what rounding the divisor loses is left where h is small.
  precise float y = h < 0.375 ? h - h * q : q;
  return t_copysign(y, x);
}

// By erf |x| = 1 - e^(-|x| (1 + g(|x|))).
float t_erf(float x) {
  if (t_isnan(x)) return x;
  const float t = min(abs(x), 4.0);  // erf(4) rounds to 1
  precise float g = (((((((-9.25513081527e-6 * t + 0.000117631915042) * t - 0.000632807229582) * t +
                         0.00166698232033) * t - 0.000160362630682) * t - 0.0191530740097) * t +
                      0.102777830791) * t + 0.636619382155) * t + 0.12837917161;
  precise float v = g * t + t;
  float n, r;
  t_reduce_by_ln2(-v, n, r);
  const float scale = t_power_of_two(n);
  precise float y = scale * t_expm1_near_zero(r) + (scale - 1.0);
  return t_copysign(y, x);
}

// erfc(a / root 2) / 2, the share of a normal distribution above a, for a of 0 and more: as
// 2^(-a (1 + g(a))) / 2, with g fitted up to 5.75.
float t_normal_tail(float a) {
  if (t_isnan(a)) return a;
  const float t = min(a, 5.75);
  precise float g = (((((((-2.757981935e-7 * t + 6.046612781e-6) * t - 5.382198468e-5) * t +
                         0.000217578457) * t + 0.0001040504228) * t - 0.007051318088) * t +
                      0.05249988953) * t + 0.4592049341) * t + 0.151105651;
  const float bounded = min(a, 50.0);
  precise float v = fma(bounded, g, bounded);
  precise float lost = fma(bounded, g, bounded - v);
  const float n = t_nearest(v);
  precise float r = (n - v) - lost;
  return t_times_power_of_two(0.5 * t_exp2_near_zero(r), -n);
}

// sin of x + quadrants pi / 2. Beyond 8,192 the rest keeps fewer and fewer bits.
float t_sin_turned(float x, int quadrants) {
  if (t_isnan(x) || t_isinf(x)) return NAN_F;
  const float n = roundEven(x * 0.63661977236758134308);
  precise float r = x - n * 1.5703125;
  r = r - n * 0.0004837512969970703125;
  r = r - n * 7.549533620476722717285e-8;
  r = r - n * 2.563344151594518788189e-12;
  const int quadrant = (int(n) + quadrants) & 3;
  precise float z = r * r;
  precise float y;
  if ((quadrant & 1) == 0)
    y = r + r * z * (((2.7557319e-6 * z - 1.9841270e-4) * z + 8.3333333e-3) * z - 1.6666667e-1);
  else
    y = 1.0 - 0.5 * z +
        z * z * (((-2.7557319e-7 * z + 2.4801587e-5) * z - 1.3888889e-3) * z + 4.1666667e-2);
  return (quadrant & 2) == 0 ? y : -y;
}
float t_sin(float x) { return x == 0.0 ? x : t_sin_turned(x, 0); }
float t_cos(float x) { return t_sin_turned(x, 1); }
