// The words that elementwise ops are written in, for the type T that one computes in; math.glsl comes
// before.

#if defined(DTYPE_float64)
bool t_isnan(double x) { return isnan(x); }
bool t_isinf(double x) { return isinf(x); }
double t_copysign(double a, double b) {
  const uvec2 x = unpackDouble2x32(a);
  const uvec2 y = unpackDouble2x32(b);
  return packDouble2x32(uvec2(x.x, (x.y & 0x7fffffffu) | (y.y & 0x80000000u)));
}
double t_max(double a, double b) { return t_isnan(a) ? a : t_isnan(b) ? b : a < b ? b : a; }
double t_min(double a, double b) { return t_isnan(a) ? a : t_isnan(b) ? b : b < a ? b : a; }
double t_round(double x) { return t_copysign(roundEven(x), x); }
#endif

#if defined(DTYPE_float32) || defined(DTYPE_float64)
// What division toward 0 leaves, exactly: multiples of the divisor, as large as fit, go one after
// another.
T t_fmod(T x, T y) {
  if (t_isnan(x) || t_isnan(y) || t_isinf(x) || y == T(0)) return T(NAN_F);
  if (t_isinf(y)) return x;
  precise T left = abs(x);
  const T divisor = abs(y);
  while (left >= divisor) {
    int of_left, of_divisor;
    frexp(left, of_left);
    frexp(divisor, of_divisor);
    T part = ldexp(divisor, of_left - of_divisor);
    if (part > left) part = ldexp(divisor, of_left - of_divisor - 1);
    left = left - part;
  }
  return t_copysign(left, x);
}
T t_div_trunc(T x, T y) { return trunc(x / y); }
// A rounded quotient may have reached the next whole number already, so it is made from what divides
// without a rest.
T t_div_floor(T x, T y) {
  if (y == T(0)) return x / y;
  const T left = t_fmod(x, y);
  precise T q = (x - left) / y;
  if (left != T(0) && (left < T(0)) != (y < T(0))) q = q - T(1);
  if (q == T(0)) return t_copysign(T(0), x / y);
  precise T whole = floor(q);
  return q - whole > T(0.5) ? whole + T(1) : whole;
}
#else
T t_max(T a, T b) { return a < b ? b : a; }
T t_min(T a, T b) { return b < a ? b : a; }
// 0 where the divisor is 0; negative numbers by their magnitudes, for what a driver makes of them
// differs.
#if defined(DTYPE_int32) || defined(DTYPE_int64)
#ifdef DTYPE_int32
#define UNSIGNED uint
#else
#define UNSIGNED uint64_t
#endif
T t_div_trunc(T x, T y) {
  if (y == T(0)) return T(0);
  const UNSIGNED a = x < T(0) ? UNSIGNED(0) - UNSIGNED(x) : UNSIGNED(x);
  const UNSIGNED b = y < T(0) ? UNSIGNED(0) - UNSIGNED(y) : UNSIGNED(y);
  const T q = T(a / b);
  return (x < T(0)) != (y < T(0)) ? -q : q;
}
T t_fmod(T x, T y) { return y == T(0) ? T(0) : x - t_div_trunc(x, y) * y; }
#else
T t_div_trunc(T x, T y) { return y == T(0) ? T(0) : T(uint(x) / uint(y)); }
T t_fmod(T x, T y) { return y == T(0) ? T(0) : T(uint(x) % uint(y)); }
#endif
T t_div_floor(T x, T y) {
  const T q = t_div_trunc(x, y);
  const T left = t_fmod(x, y);
  return left != T(0) && (left < T(0)) != (y < T(0)) ? q - T(1) : q;
}
// By squaring, wrapping around; a negative power of anything but 1 and -1 is 0.
T t_pow(T x, T y) {
  if (y < T(0)) {
    if (x == T(1)) return x;
    if (x + T(1) == T(0)) return (uint(y) & 1u) != 0u ? x : T(1);
    return T(0);
  }
#ifdef DTYPE_bool
  return T((x != T(0) || y == T(0)) ? 1u : 0u);
#else
  T result = T(1);
  for (T n = y; n != T(0); n = T(n >> 1)) {
    if ((uint(n) & 1u) != 0u) result = T(result * x);
    x = T(x * x);
  }
  return result;
#endif
}
#endif

#ifdef DTYPE_float32
// e^(y log x), the logarithm and the product in two floats each: one alone would lose the bits that an
// exponent of up to 128 takes.
float t_pow(float x, float y) {
  if (y == 0.0 || x == 1.0) return 1.0;
  if (t_isnan(x) || t_isnan(y)) return NAN_F;
  const float a = abs(x);
  const bool whole = floor(y) == y;
  const bool odd = whole && floor(y * 0.5) * 2.0 != y;
  if (t_isinf(y)) {
    if (a == 1.0) return 1.0;
    return (a > 1.0) == (y > 0.0) ? INFINITY_F : 0.0;
  }
  float magnitude;
  if (a == 0.0 || t_isinf(a)) {
    magnitude = (a == 0.0) == (y < 0.0) ? INFINITY_F : 0.0;
  } else {
    if (x < 0.0 && !whole) return NAN_F;
    // a = 2^e m as in t_log.
    const bool subnormal = a < 1.17549435e-38;
    const float normal = subnormal ? a * 8388608.0 : a;
    const uint moved = floatBitsToUint(normal) + (0x3f800000u - 0x3f3504f3u);
    const float e = float(int(moved >> 23) - 127 - (subnormal ? 23 : 0));
    const float m = uintBitsToFloat((moved & 0x007fffffu) + 0x3f3504f3u);
    // 2 artanh(s) with s = (m - 1) / (m + 1) as high + low.
    precise float f = m - 1.0;
    precise float d = m + 1.0;
    precise float d_low = m - (d - 1.0);
    precise float s = f / d;
    const float s_top = uintBitsToFloat(floatBitsToUint(s) & 0xfffff000u);
    const float d_top = uintBitsToFloat(floatBitsToUint(d) & 0xfffff000u);
    precise float rest = f - s_top * d_top;
    rest = rest - s_top * (d - d_top);
    rest = rest - (s - s_top) * d;
    rest = rest - s * d_low;
    precise float s_low = rest / d;
    precise float z = s * s;
    precise float tail = s * z *
        ((((0.18181818 * z + 0.22222222) * z + 0.28571429) * z + 0.4) * z + 0.66666667);
    // The first term of the tail in full: 2 s^3 / 3.
    precise float high = 2.0 * s;
    precise float low = 2.0 * s_low + tail;
    precise float e_high = e * 0.693145751953125;
    precise float sum = e_high + high;
    precise float sum_low = high - (sum - e_high);
    sum_low = sum_low + (low + e * 1.4286068203094172321e-6);
    precise float log_high = sum + sum_low;
    precise float log_low = sum_low - (log_high - sum);
    // times y
    const float l_top = uintBitsToFloat(floatBitsToUint(log_high) & 0xfffff000u);
    const float y_top = uintBitsToFloat(floatBitsToUint(y) & 0xfffff000u);
    precise float p = log_high * y;
    precise float p_low = l_top * y_top - p;
    p_low = p_low + l_top * (y - y_top);
    p_low = p_low + (log_high - l_top) * y_top;
    p_low = p_low + (log_high - l_top) * (y - y_top);
    p_low = p_low + log_low * y;
    if (t_isinf(p) || t_isnan(p_low)) p_low = 0.0;
    precise float power = t_exp(p);
    if (power > 0.0 && !t_isinf(power)) power = power + power * p_low;
    magnitude = power;
  }
  return odd ? t_copysign(magnitude, x) : magnitude;
}
#endif
