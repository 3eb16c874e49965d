// dx[o, d, :] = Σ dy[o, j, :] over all j with index[j] = d, in order, by walking over all indices:
// for few of them. dx is [outer, length, inner]; the row `padding` stays 0.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "divide.glsl"
#include "index.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, uint, index)
BINDING(2, writeonly, T, dx)
BINDING(3, coherent, uint, fault)
PARAMS(uint n; uint count; Divisor extent; Divisor inner; uint padding; uint op;)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint row = divide(i, push.inner);
  const uint column = i - row * push.inner.number;
  const uint outer = divide(row, push.extent);
  const uint place = row - outer * push.extent.number;
  T total = T(0);
  for (uint j = 0u; j < push.count; ++j) {
    const uint to = INDEX(index, j);
    if (to >= push.extent.number) REPORT_FAULT();
    if (to == place && to != push.padding)
      total += AT(dy, (outer * push.count + j) * push.inner.number + column);
  }
  AT(dx, i) = total;
}
