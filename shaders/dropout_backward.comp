// dx = dy · scale where the mask is true, else 0.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "number.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, uint8_t, mask)
BINDING(2, writeonly, T, dx)
PARAMS(uint n; NUMBER_PARAM(scale))

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  AT(dx, i) = uint(AT(mask, i)) != 0u ? AT(dy, i) * NUMBER(scale) : T(0);
}
