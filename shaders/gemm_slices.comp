// Adds the slices that a long sum was cut into, [slice][element], in order; then a bias along the
// last dimension, of `columns` elements; then what becomes of them (epilogue.glsl).
//
// variants: float32 float64 int32 int64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"

layout(constant_id = 1) const uint BIAS = 0;

BINDING(0, readonly, T, x)
BINDING(1, readonly, T, bias)
BINDING(2, writeonly, T, y)
PARAMS(uint count; uint slices; uint columns; uint origin;)
#include "epilogue.glsl"

void main() {
  const uint i = INVOCATION;
  if (i >= push.count) return;
  T sum = AT(x, i);
  for (uint s = 1u; s < push.slices; ++s) sum += AT(x, s * push.count + i);
  if (BIAS == 1u) sum += AT(bias, i % push.columns);
  AT(y, push.origin + i) = FINISH(push.origin + i, i % push.columns, sum);
}
