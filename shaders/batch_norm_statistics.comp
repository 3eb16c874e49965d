// From each channel's mean and sum of squares around it: what normalizes the batch, and the running
// statistics moved towards it.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 7
#include "troupe.glsl"
#include "number.glsl"
#include "wide.glsl"

layout(constant_id = 1) const bool TRACKED = false;

BINDING(0, readonly, Wide, means)
BINDING(1, readonly, T, squares)
BINDING(2, readonly, T, old_mean)
BINDING(3, readonly, T, old_variance)
BINDING(4, writeonly, T, statistics)
BINDING(5, writeonly, T, new_mean)
BINDING(6, writeonly, T, new_variance)
PARAMS(uint channels; NUMBER_PARAM(size) NUMBER_PARAM(eps) NUMBER_PARAM(momentum)
       NUMBER_PARAM(kept))

void main() {
  const uint c = INVOCATION;
  if (c >= push.channels) return;
  const T mean = wide_round(AT(means, c));
  const T sum = AT(squares, c);
  AT(statistics, c) = mean;
  AT(statistics, push.channels + c) = T(1) / sqrt(sum / NUMBER(size) + NUMBER(eps));
  if (!TRACKED) return;
  const T variance = sum / (NUMBER(size) - T(1));
  AT(new_mean, c) = mean * NUMBER(momentum) + AT(old_mean, c) * NUMBER(kept);
  AT(new_variance, c) = variance * NUMBER(momentum) + AT(old_variance, c) * NUMBER(kept);
}
