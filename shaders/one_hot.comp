// y[n, c] = 1 where x[n] is c, else 0; int64.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "divide.glsl"
#include "index.glsl"

BINDING(0, readonly, uint, x)
BINDING(1, writeonly, uvec2, y)
BINDING(2, coherent, uint, fault)
PARAMS(uint n; Divisor classes; uint op;)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint row = divide(i, push.classes);
  const uint one = INDEX(x, row);
  if (one >= push.classes.number) REPORT_FAULT();
  AT(y, i) = uvec2(i - row * push.classes.number == one ? 1u : 0u, 0u);
}
