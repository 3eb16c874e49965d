// Floating-point numbers taken apart and put together by integers, so that the result is rounded
// to the nearest, halves to even, subnormal numbers included, whatever the device's own conversions
// do.

// (−1)^sign · mantissa · 2^(exponent − 31); the mantissa's highest bit is set, its lowest one
// stands for all that lies below it.
struct Real {
  bool negative;
  uint kind;
  int exponent;
  uint mantissa;
};
const uint real_zero = 0u;
const uint real_finite = 1u;
const uint real_infinite = 2u;
const uint real_nan = 3u;

// A binary format of at most 32 bits: digits of the significand, the leading one included; the
// exponent of the smallest normal number; the bit of the sign.
struct Format {
  uint digits;
  int least;
  uint sign;
};
const Format format_float32 = Format(24u, -126, 0x80000000u);
const Format format_float16 = Format(11u, -14, 0x8000u);
const Format format_bfloat16 = Format(8u, -126, 0x8000u);

Real real_of(uint bits, Format format) {
  const uint places = format.digits - 1u;
  const uint infinity = format.sign - (1u << places);
  const uint size = bits & (format.sign - 1u);
  Real x = Real((bits & format.sign) != 0u, real_finite, 0, 0u);
  const uint field = size >> places;
  const uint fraction = size & ((1u << places) - 1u);
  if (size >= infinity) {
    x.kind = size == infinity ? real_infinite : real_nan;
  } else if (size == 0u) {
    x.kind = real_zero;
  } else if (field == 0u) {
    const int highest = findMSB(fraction);
    x.exponent = format.least - int(places) + highest;
    x.mantissa = fraction << (31 - highest);
  } else {
    x.exponent = format.least + int(field) - 1;
    x.mantissa = (fraction | 1u << places) << (31u - places);
  }
  return x;
}

// Of the bits of a float64. What is subnormal there is 0 in every format of 32 bits.
Real real_of_float64(uvec2 bits) {
  const uint field = bits.y >> 20 & 0x7ffu;
  const bool fraction = (bits.y & 0xfffffu) != 0u || bits.x != 0u;
  Real x = Real((bits.y & 0x80000000u) != 0u, real_finite, int(field) - 1023, 0u);
  if (field == 0x7ffu) x.kind = fraction ? real_nan : real_infinite;
  if (field == 0u) x.kind = real_zero;
  x.mantissa = 0x80000000u | (bits.y & 0xfffffu) << 11 | bits.x >> 21;
  if ((bits.x & 0x1fffffu) != 0u) x.mantissa |= 1u;
  return x;
}

Real real_of_integer(bool negative, uint low, uint high) {
  Real x = Real(negative, (low | high) == 0u ? real_zero : real_finite, 0, 0u);
  if (high != 0u) {
    const int highest = findMSB(high);
    x.exponent = 32 + highest;
    // All of `high` and what fits of `low`.
    x.mantissa = high << (31 - highest);
    if (highest < 31) x.mantissa |= low >> (highest + 1);
    const uint lost = highest == 31 ? low : low & ((2u << highest) - 1u);
    if (lost != 0u) x.mantissa |= 1u;
  } else if (low != 0u) {
    x.exponent = findMSB(low);
    x.mantissa = low << (31 - x.exponent);
  }
  return x;
}

uint bits_of(Real x, Format format) {
  const uint places = format.digits - 1u;
  const uint infinity = format.sign - (1u << places);
  uint size = 0u;
  if (x.kind == real_finite) {
    const int normal = max(x.exponent, format.least);
    const uint dropped = 32u - format.digits + uint(min(normal - x.exponent, 32));
    uint kept = 0u;
    if (dropped < 32u) {
      kept = x.mantissa >> dropped;
      const uint rest = x.mantissa & ((1u << dropped) - 1u);
      const uint half_way = 1u << (dropped - 1u);
      if (rest > half_way || (rest == half_way && (kept & 1u) != 0u)) ++kept;
    } else if (dropped == 32u && x.mantissa > 0x80000000u) {
      kept = 1u;
    }
    // A significand rounded up to the next power of two carries into the exponent as it should.
    size = min((uint(normal - format.least) << places) + kept, infinity);
    if (normal > 1 - format.least) size = infinity;
  } else if (x.kind == real_infinite) {
    size = infinity;
  } else if (x.kind == real_nan) {
    size = infinity | 1u << (places - 1u);
  }
  return size | (x.negative ? format.sign : 0u);
}

// Exact, as a float64 holds 53 digits.
uvec2 float64_bits_of(Real x) {
  uvec2 bits = uvec2(0u);
  if (x.kind == real_finite) {
    const uint fraction = x.mantissa << 1;
    bits = uvec2(fraction << 20, uint(x.exponent + 1023) << 20 | fraction >> 12);
  } else if (x.kind == real_infinite) {
    bits.y = 0x7ff00000u;
  } else if (x.kind == real_nan) {
    bits.y = 0x7ff80000u;
  }
  if (x.negative) bits.y |= 0x80000000u;
  return bits;
}
