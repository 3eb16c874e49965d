// The same numbers in another dtype: rounded to the nearest, halves to even; cut toward 0 for
// integers; for bool, whether they differ from 0. Compiled for every ordered pair of dtypes, with
// FROM and DTYPE_FROM_float32 and so on for what is read. Goes by bits wherever a device's own
// conversion may round otherwise or take subnormal numbers for 0.
//
// variants: cast
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "float_bits.glsl"

#if defined(DTYPE_FROM_float32)
#define SOURCE uint
#elif defined(DTYPE_FROM_float64) || defined(DTYPE_FROM_int64)
#define SOURCE uvec2
#elif defined(DTYPE_FROM_int32)
#define SOURCE int
#elif defined(DTYPE_FROM_bfloat16) || defined(DTYPE_FROM_float16)
#define SOURCE uint16_t
#else
#define SOURCE uint8_t
#endif

#if defined(DTYPE_float32)
#define TARGET uint
#elif defined(DTYPE_float64) || defined(DTYPE_int64)
#define TARGET uvec2
#elif defined(DTYPE_int32)
#define TARGET int
#elif defined(DTYPE_bfloat16) || defined(DTYPE_float16)
#define TARGET uint16_t
#else
#define TARGET uint8_t
#endif

#if defined(DTYPE_FROM_float32) || defined(DTYPE_FROM_float64) || \
    defined(DTYPE_FROM_bfloat16) || defined(DTYPE_FROM_float16)
#define FROM_FLOATING
#endif

Real source_real(SOURCE x) {
#if defined(DTYPE_FROM_float32)
  return real_of(x, format_float32);
#elif defined(DTYPE_FROM_float64)
  return real_of_float64(x);
#elif defined(DTYPE_FROM_float16)
  return real_of(uint(x), format_float16);
#elif defined(DTYPE_FROM_bfloat16)
  return real_of(uint(x), format_bfloat16);
#elif defined(DTYPE_FROM_int64)
  const bool negative = (x.y & 0x80000000u) != 0u;
  if (negative) x = uvec2(~x.x + 1u, ~x.y + (x.x == 0u ? 1u : 0u));
  return real_of_integer(negative, x.x, x.y);
#elif defined(DTYPE_FROM_int32)
  return real_of_integer(x < 0, uint(x < 0 ? -x : x), 0u);
#else
  return real_of_integer(false, uint(x), 0u);
#endif
}

bool source_differs_from_zero(SOURCE x) {
#if defined(DTYPE_FROM_float32)
  return (x & 0x7fffffffu) != 0u;
#elif defined(DTYPE_FROM_float64)
  return (x.y & 0x7fffffffu) != 0u || x.x != 0u;
#elif defined(DTYPE_FROM_int64)
  return x.x != 0u || x.y != 0u;
#elif defined(DTYPE_FROM_bfloat16) || defined(DTYPE_FROM_float16)
  return (uint(x) & 0x7fffu) != 0u;
#else
  return x != SOURCE(0);
#endif
}

// As an int64, in words: integers are extended, floating numbers cut. Out of range, anything.
uvec2 source_integer(SOURCE x) {
#if defined(FROM_FLOATING)
#if defined(DTYPE_FROM_float64)
  // The Real has lost the digits below the 32nd, which an int64 needs.
  const int exponent = int(x.y >> 20 & 0x7ffu) - 1023;
  uvec2 size = uvec2(x.x, 0x100000u | (x.y & 0xfffffu));  // times 2^(exponent − 52)
  const int right = 52 - exponent;
  if (exponent < 0)
    size = uvec2(0u);
  else if (right >= 32)
    size = uvec2(size.y >> (right - 32), 0u);
  else if (right > 0)
    size = uvec2(size.x >> right | size.y << (32 - right), size.y >> right);
  else if (right < 0)
    size = uvec2(size.x << -right, size.y << -right | size.x >> (32 + right));
  const bool negative = (x.y & 0x80000000u) != 0u;
#else
  const Real real = source_real(x);
  uvec2 size = uvec2(0u);
  if (real.kind == real_finite && real.exponent >= 0) {
    if (real.exponent <= 31)
      size.x = real.mantissa >> (31 - real.exponent);
    else if (real.exponent < 63)
      size = uvec2(
          real.mantissa << (real.exponent - 31), real.mantissa >> (63 - real.exponent));
    else
      size.y = 0x80000000u;
  }
  const bool negative = real.negative;
#endif
  return negative ? uvec2(~size.x + 1u, ~size.y + (size.x == 0u ? 1u : 0u)) : size;
#elif defined(DTYPE_FROM_int64)
  return x;
#elif defined(DTYPE_FROM_int32)
  return uvec2(uint(x), uint(x >> 31));
#else
  return uvec2(uint(x), 0u);
#endif
}

#if defined(DTYPE_float64) && defined(DTYPE_FROM_int64)
// Of an int64's 64 digits a float64 keeps 53: rounds to those in the integer.
uvec2 float64_of_int64(uvec2 x) {
  const bool negative = (x.y & 0x80000000u) != 0u;
  if (negative) x = uvec2(~x.x + 1u, ~x.y + (x.x == 0u ? 1u : 0u));
  if (x.y == 0u) return float64_bits_of(real_of_integer(negative, x.x, 0u));
  const int highest = 32 + findMSB(x.y);
  const int right = highest - 52;
  if (right > 0) {
    const uint rest = x.x & ((1u << right) - 1u);
    const uint half_way = 1u << (right - 1);
    uint low = x.x >> right | x.y << (32 - right);
    uint high = x.y >> right;
    if (rest > half_way || (rest == half_way && (low & 1u) != 0u)) {
      ++low;
      if (low == 0u) ++high;
    }
    x = uvec2(low, high);
  } else if (right < 0) {
    x = uvec2(x.x << -right, x.y << -right | x.x >> (32 + right));
  }
  // The leading digit, and a carry beyond it, count the exponent up.
  const uint exponent = uint(highest + 1022) << 20;
  return uvec2(x.x, (exponent + x.y) | (negative ? 0x80000000u : 0u));
}
#endif

BINDING(0, readonly, SOURCE, x)
BINDING(1, writeonly, TARGET, y)
PARAMS(uint n;)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const SOURCE element = AT(x, i);
#if defined(DTYPE_float32)
  AT(y, i) = bits_of(source_real(element), format_float32);
#elif defined(DTYPE_float16)
  AT(y, i) = uint16_t(bits_of(source_real(element), format_float16));
#elif defined(DTYPE_bfloat16)
  AT(y, i) = uint16_t(bits_of(source_real(element), format_bfloat16));
#elif defined(DTYPE_float64) && defined(DTYPE_FROM_int64)
  AT(y, i) = float64_of_int64(element);
#elif defined(DTYPE_float64)
  AT(y, i) = float64_bits_of(source_real(element));
#elif defined(DTYPE_bool)
  AT(y, i) = uint8_t(source_differs_from_zero(element) ? 1u : 0u);
#elif defined(DTYPE_int64)
  AT(y, i) = source_integer(element);
#else
  AT(y, i) = TARGET(source_integer(element).x);
#endif
}
