// y[o, j, :] = x[o, index[j], :]; x is [outer, length, inner].
//
// variants: size
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "divide.glsl"
#include "index.glsl"

BINDING(0, readonly, T, x)
BINDING(1, readonly, uint, index)
BINDING(2, writeonly, T, y)
BINDING(3, coherent, uint, fault)
PARAMS(uint n; Divisor count; uint extent; Divisor inner; uint op;)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint slice = divide(i, push.inner);
  const uint outer = divide(slice, push.count);
  const uint from = INDEX(index, slice - outer * push.count.number);
#if SIZE == 8
  T element = uvec2(0u);
#else
  T element = T(0);
#endif
  if (from < push.extent)
    element = AT(x, (outer * push.extent + from - slice) * push.inner.number + i);
  else
    REPORT_FAULT();
  AT(y, i) = element;
}
