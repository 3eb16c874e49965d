// The two numbers, float64, that update rules get with each step: the learning rate and the number
// of the step, bound as pairs of words.

#ifdef DTYPE_float64
#define SCALAR(NAME, I) packDouble2x32(AT(NAME, I))
#else
#include "float_bits.glsl"
#define SCALAR(NAME, I) uintBitsToFloat(bits_of(real_of_float64(AT(NAME, I)), format_float32))
#endif

// Each invocation updates several elements with what it made of the two numbers.
layout(constant_id = 5) const uint turns = 4;
#define FOR_ELEMENTS(I) FOR_SPREAD(I, push.n, turns)
