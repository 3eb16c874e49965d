// Ordered: what elements of a dtype are compared as. A NaN comes before all numbers.
#ifdef DTYPE_float32
#define Ordered float
bool is_nan(Ordered x) { return is_nan_bits(x); }
Ordered last_of_all(bool least) { return least ? INFINITY_F : -INFINITY_F; }
#elif defined(DTYPE_float64)
#define Ordered double
bool is_nan(Ordered x) {
  const uvec2 bits = unpackDouble2x32(x);
  const uint high = bits.y & 0x7fffffffu;
  return high > 0x7ff00000u || (high == 0x7ff00000u && bits.x != 0u);
}
Ordered last_of_all(bool least) {
  return packDouble2x32(uvec2(0u, least ? 0x7ff00000u : 0xfff00000u));
}
#elif defined(DTYPE_int64)
#define Ordered int64_t
bool is_nan(Ordered x) { return false; }
Ordered last_of_all(bool least) {
  return least ? packInt2x32(ivec2(-1, 0x7fffffff)) : packInt2x32(ivec2(0, int(0x80000000u)));
}
#else
#define Ordered int
bool is_nan(Ordered x) { return false; }
Ordered last_of_all(bool least) { return least ? 0x7fffffff : int(0x80000000u); }
#endif

// Its bits, in two words.
#if defined(DTYPE_float64)
uvec2 ordered_bits(Ordered x) { return unpackDouble2x32(x); }
Ordered ordered_of(uvec2 bits) { return packDouble2x32(bits); }
#elif defined(DTYPE_int64)
uvec2 ordered_bits(Ordered x) { return uvec2(unpackInt2x32(x)); }
Ordered ordered_of(uvec2 bits) { return packInt2x32(ivec2(bits)); }
#elif defined(DTYPE_float32)
uvec2 ordered_bits(Ordered x) { return uvec2(floatBitsToUint(x), 0u); }
Ordered ordered_of(uvec2 bits) { return uintBitsToFloat(bits.x); }
#else
uvec2 ordered_bits(Ordered x) { return uvec2(uint(x), 0u); }
Ordered ordered_of(uvec2 bits) { return int(bits.x); }
#endif

#ifdef DTYPE_int64
Ordered ordered_xor(Ordered x, uint mask) {
  return ordered_of(subgroupShuffleXor(ordered_bits(x), mask));
}
#else
Ordered ordered_xor(Ordered x, uint mask) { return subgroupShuffleXor(x, mask); }
#endif
