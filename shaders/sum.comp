// Sums, and what is made of them: means, and sums of squares around means.
//
// variants: float32 float64 int32 int64 uint8 bool
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "wide.glsl"
#define State Wide
#include "reduce.glsl"

layout(constant_id = 4) const bool CENTRED = false;  // (x − mean)² are added
layout(constant_id = 5) const uint RESULT = 0;       // 0: a number, 1: its root, 2: a mean's parts

#include "element.glsl"
BINDING(1, , Wide, parts)
BINDING(2, , Wide, means)
BINDING(3, writeonly, WIDE_ROUNDED, y)

State none() { return wide(T(0)); }
State step(State state, uint k, uint r, uint at) {
#ifdef DTYPE_float32
  if (CENTRED) {
    const vec2 mean = AT(means, k);
    precise float d = (ELEMENT(at) - mean.x) - mean.y;
    return wide_add(state, d * d);
  }
#elif defined(DTYPE_float64)
  if (CENTRED) {
    const double d = ELEMENT(at) - AT(means, k);
    return state + d * d;
  }
#endif
  return wide_add(state, ELEMENT(at));
}
State join(State a, State b) { return wide_join(a, b); }
State shuffled(State state, uint mask) { return wide_xor(state, mask); }
State part(uint i) { return AT(parts, i); }
void store_part(uint i, State state) { AT(parts, i) = state; }

void finish(uint k, State state) {
#ifdef DTYPE_float32
  state = wide_scale(state, WIDE_NUMBER(factor));
#elif defined(DTYPE_float64)
  state /= NUMBER(factor);
#endif
  if (RESULT == 2u) {
#ifdef DTYPE_float32
    state = two_snap(state);  // of equal elements the squares around the mean are 0
#endif
    AT(means, k) = state;
    return;
  }
#if defined(DTYPE_float32) || defined(DTYPE_float64)
  if (RESULT == 1u) {
    AT(y, k) = sqrt(wide_round(state));
    return;
  }
#endif
  AT(y, k) = wide_round(state);
}
