// y = (x − mean) · rstd · weight + bias by channels, with rstd saved or from the running variance.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"
#include "number.glsl"

layout(constant_id = 1) const bool RUNNING = false;
layout(constant_id = 2) const bool WEIGHTED = false;
layout(constant_id = 3) const bool BIASED = false;

BINDING(0, readonly, T, x)
BINDING(1, readonly, T, means)
BINDING(2, readonly, T, spreads)  // variances if RUNNING; else behind the means, their rstd
BINDING(3, readonly, T, weight)
BINDING(4, readonly, T, bias)
BINDING(5, writeonly, T, y)
PARAMS(uint elements; uint channels; uint inner; NUMBER_PARAM(eps))

void main() {
  const uint i = INVOCATION;
  if (i >= push.elements) return;
  const uint c = i / push.inner % push.channels;
  T value = AT(x, i) - AT(means, c);
  if (RUNNING) {
    T scale = T(1) / sqrt(AT(spreads, c) + NUMBER(eps));
    if (WEIGHTED) scale *= AT(weight, c);
    value *= scale;
  } else {
    value *= AT(spreads, push.channels + c);
    if (WEIGHTED) value *= AT(weight, c);
  }
  if (BIASED) value += AT(bias, c);
  AT(y, i) = value;
}
