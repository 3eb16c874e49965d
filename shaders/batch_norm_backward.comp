// dx = (dy − mean(dy) − x̂ · mean(dy · x̂)) · rstd · weight by channels.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 7
#include "troupe.glsl"
#include "number.glsl"

layout(constant_id = 1) const bool WEIGHTED = false;

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, x)
BINDING(2, readonly, T, statistics)  // means, then 1 / √(variance + eps)
BINDING(3, readonly, T, weight)
BINDING(4, readonly, T, sum_dyx)
BINDING(5, readonly, T, sum_dy)
BINDING(6, writeonly, T, dx)
PARAMS(uint elements; uint channels; uint inner; NUMBER_PARAM(size))

void main() {
  const uint i = INVOCATION;
  if (i >= push.elements) return;
  const uint c = i / push.inner % push.channels;
  const T rstd = AT(statistics, push.channels + c);
  const T normal = (AT(x, i) - AT(statistics, c)) * rstd;
  const T scale = WEIGHTED ? rstd * AT(weight, c) : rstd;
  const T mean_dy = AT(sum_dy, c) / NUMBER(size);
  const T mean_dyx = AT(sum_dyx, c) / NUMBER(size);
  AT(dx, i) = (AT(dy, i) - mean_dy - normal * mean_dyx) * scale;
}
