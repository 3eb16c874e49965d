// Of each sample −w[class] · x[class], and w[class]; 0 for those ignored.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"

BINDING(0, readonly, T, x)
BINDING(1, readonly, uint, target)
BINDING(2, readonly, T, weight)
BINDING(3, writeonly, T, losses)
BINDING(4, writeonly, T, weights)
BINDING(5, , uint, fault)
PARAMS(uint op; uint ignored_low; uint ignored_high; uint classes; uint inner; uint samples;)
#include "class_index.glsl"

layout(constant_id = 2) const bool WEIGHTED = false;

void main() {
  const uint n = INVOCATION;
  if (n >= push.samples) return;
  const uint c = class_of(n);
  T w = T(0);
  T loss = T(0);
  if (c < push.classes) {
    w = WEIGHTED ? AT(weight, c) : T(1);
    loss = -w * AT(x, (n / push.inner * push.classes + c) * push.inner + n % push.inner);
  }
  AT(losses, n) = loss;
  AT(weights, n) = w;
}
