// Numbers as unevaluated sums of two floats, high and low, with some 48 bits between them: what
// float32 is added and multiplied in, so that rounding shows once, at the end. float64 would do,
// but not every device has it, and few are fast at it. `precise` keeps compilers from simplifying
// what in real numbers is 0.
//
// Where the high part is not finite the low one means nothing.

bool is_finite_bits(float x) { return (floatBitsToUint(x) & 0x7f800000u) != 0x7f800000u; }

// a + b and what its rounding left, exactly. Source: Knuth, TAOCP 2, 4.2.2, theorem B.
vec2 two_sum(float a, float b) {
  precise float sum = a + b;
  precise float b_kept = sum - a;
  precise float rest = (a - (sum - b_kept)) + (b - b_kept);
  return vec2(sum, rest);
}

// The upper half of a float's bits; cut off rather than rounded, so that nothing overflows.
float upper_half(float x) { return uintBitsToFloat(floatBitsToUint(x) & 0xfffff000u); }

// a · b and what its rounding left, exactly but for underflow. Source: Dekker 1971.
vec2 two_product(float a, float b) {
  precise float a_high = upper_half(a);
  precise float a_low = a - a_high;
  precise float b_high = upper_half(b);
  precise float b_low = b - b_high;
  precise float product = a * b;
  precise float rest =
      (((a_high * b_high - product) + a_high * b_low) + a_low * b_high) + a_low * b_low;
  return vec2(product, rest);
}

vec2 two_add(vec2 a, vec2 b) {
  const vec2 sum = two_sum(a.x, b.x);
  precise float rest = sum.y + (a.y + b.y);
  return vec2(sum.x, rest);
}
vec2 two_add(vec2 a, float b) {
  const vec2 sum = two_sum(a.x, b);
  precise float rest = sum.y + a.y;
  return vec2(sum.x, rest);
}

vec2 two_multiply(vec2 a, vec2 b) {
  const vec2 product = two_product(a.x, b.x);
  if (!is_finite_bits(a.x) || !is_finite_bits(b.x)) return vec2(product.x, 0.0);
  precise float rest = product.y + (a.x * b.y + a.y * b.x);
  return vec2(product.x, rest);
}

// Rounded to one float.
float two_round(vec2 a) {
  if (!is_finite_bits(a.x)) return a.x;
  precise float sum = a.x + a.y;
  return sum;
}

// Rounded to some 40 bits, so that what should be a float alone, but for errors in the last bits,
// is one.
vec2 two_snap(vec2 a) {
  if (!is_finite_bits(a.x)) return vec2(a.x, 0.0);
  const vec2 exact = two_sum(a.x, a.y);
  precise float coarse = exact.x * (1.5 / 65536.0);
  precise float rest = (exact.y + coarse) - coarse;
  return vec2(exact.x, rest);
}
