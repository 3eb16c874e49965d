// dx[o, d, :] = Σ dy[o, s, :] over the sources s of destination d, in their order; 0 without any.
// dx is [outer, destinations, inner], dy [outer, sources, inner].
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 5
#include "troupe.glsl"
#include "divide.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, uint, counts)
BINDING(2, readonly, uint, places)  // where each destination's stretch of the list ends
BINDING(3, readonly, uint, ordered)
BINDING(4, writeonly, T, dx)
PARAMS(uint n; Divisor destinations; uint sources; Divisor inner;)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint row = divide(i, push.inner);
  const uint column = i - row * push.inner.number;
  const uint outer = divide(row, push.destinations);
  const uint destination = row - outer * push.destinations.number;
  const uint count = AT(counts, destination);
  T total = T(0);
  if (count != 0u) {
    const uint end = AT(places, destination);
    for (uint k = end - count; k < end; ++k)
      total += AT(dy, (outer * push.sources + AT(ordered, k)) * push.inner.number + column);
  }
  AT(dx, i) = total;
}
