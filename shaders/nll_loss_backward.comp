// dx = −w[class] · dloss at each sample's class, 0 elsewhere.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"

BINDING(0, readonly, T, dloss)
BINDING(1, readonly, uint, target)
BINDING(2, readonly, T, divisor)
BINDING(3, readonly, T, weight)
BINDING(4, writeonly, T, dx)
BINDING(5, , uint, fault)
PARAMS(uint op; uint ignored_low; uint ignored_high; uint classes; uint inner; uint elements;)
#include "class_index.glsl"

layout(constant_id = 2) const bool WEIGHTED = false;
layout(constant_id = 3) const uint REDUCTION = 0;  // 0: none, 1: mean, 2: sum

void main() {
  const uint i = INVOCATION;
  if (i >= push.elements) return;
  const uint line = i / push.inner;
  const uint n = line / push.classes * push.inner + i % push.inner;
  T value = T(0);
  if (class_of(n) == line % push.classes) {
    const uint c = line % push.classes;
    T scale = AT(dloss, REDUCTION == 0u ? n : 0u);
    if (REDUCTION == 1u) scale /= AT(divisor, 0);
    value = -(WEIGHTED ? AT(weight, c) : T(1)) * scale;
  }
  AT(dx, i) = value;
}
