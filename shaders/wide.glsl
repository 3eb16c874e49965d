// Wide: what numbers of a dtype are added in. Two floats for float32, and double for itself;
// integers and bools wrap around in int64.
#ifdef DTYPE_float32
#include "two_floats.glsl"
#define Wide vec2
Wide wide(float x) { return vec2(x, 0.0); }
Wide wide_add(Wide sum, float x) { return two_add(sum, x); }
Wide wide_join(Wide a, Wide b) { return two_add(a, b); }
float wide_round(Wide x) { return two_round(x); }
// x · factor; a quotient is a product with a reciprocal, which the host has in two floats.
Wide wide_scale(Wide x, Wide factor) { return two_multiply(x, factor); }
#define WIDE_NUMBER(NAME)                                                    \
  vec2(uintBitsToFloat(push.NAME##_low), uintBitsToFloat(push.NAME##_high))
#define WIDE_ROUNDED float
#elif defined(DTYPE_float64)
#define Wide double
Wide wide(double x) { return x; }
Wide wide_add(Wide sum, double x) { return sum + x; }
Wide wide_join(Wide a, Wide b) { return a + b; }
double wide_round(Wide x) { return x; }
#define WIDE_ROUNDED double
#else
#define Wide int64_t
Wide wide(T x) { return int64_t(x); }
Wide wide_add(Wide sum, T x) { return sum + int64_t(x); }
Wide wide_join(Wide a, Wide b) { return a + b; }
int64_t wide_round(Wide x) { return x; }
#define WIDE_ROUNDED int64_t
#endif

// Shuffles; those of 64-bit integers go by halves, for which every device has the operations.
#if defined(DTYPE_float32) || defined(DTYPE_float64)
Wide wide_xor(Wide x, uint mask) { return subgroupShuffleXor(x, mask); }
Wide wide_from(Wide x, uint lane) { return subgroupShuffle(x, lane); }
#else
Wide wide_xor(Wide x, uint mask) {
  return packInt2x32(subgroupShuffleXor(unpackInt2x32(x), mask));
}
Wide wide_from(Wide x, uint lane) {
  return packInt2x32(subgroupShuffle(unpackInt2x32(x), lane));
}
#endif
