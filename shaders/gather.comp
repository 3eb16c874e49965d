// y[i, j, k] = x[i, index[i, j, k], k], whichever axis is the looked up one.
//
// variants: size
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "index.glsl"
#include "gather.glsl"

BINDING(0, readonly, T, x)
BINDING(1, readonly, uint, index)
BINDING(2, writeonly, T, y)
BINDING(3, coherent, uint, fault)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint from = INDEX(index, i);
#if SIZE == 8
  T element = uvec2(0u);
#else
  T element = T(0);
#endif
  if (from < push.extent)
    element = AT(x, gather_line(i) + from * push.axis_stride);
  else
    REPORT_FAULT();
  AT(y, i) = element;
}
