// How many elements of two tensors differ in their bits, and how many by more than a tolerance.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "number.glsl"

#ifdef DTYPE_float64
#define BITS(X) unpackDouble2x32(X)
#else
#define BITS(X) floatBitsToUint(X)
#endif

BINDING(0, readonly, T, x)
BINDING(1, readonly, T, y)
BINDING(2, , uint, differ)
PARAMS(uint n; uint turns; NUMBER_PARAM(tolerance))

void main() {
  uint other_bits = 0u;
  uint wrong = 0u;
  FOR_SPREAD(i, push.n, push.turns) {
    const T a = AT(x, i);
    const T b = AT(y, i);
    if (BITS(a) == BITS(b)) continue;
    ++other_bits;
    if (!(abs(a - b) <= NUMBER(tolerance))) ++wrong;  // NaN too
  }
  if (other_bits > 0u) atomicAdd(AT(differ, 0), other_bits);
  if (wrong > 0u) atomicAdd(AT(differ, 1), wrong);
}
