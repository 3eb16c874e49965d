// The losses of all samples as one: their sum, or a mean. In two dispatches where there are many:
// the first leaves parts.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"
#include "wide.glsl"
struct State {
  Wide loss;
  Wide weight;
};
#include "reduce.glsl"

layout(constant_id = 4) const uint REDUCTION = 0;    // 0: none, 1: mean, 2: sum
layout(constant_id = 5) const bool WEIGHED = false;  // weights are added, and give the divisor

BINDING(0, readonly, T, losses)
BINDING(1, readonly, T, weights)
BINDING(2, , Wide, parts)  // two for each State
BINDING(3, writeonly, T, loss)
BINDING(4, writeonly, T, divisor)
BINDING(5, readonly, T, given_divisor)

State none() { return State(wide(T(0)), wide(T(0))); }
State step(State state, uint k, uint r, uint at) {
  state.loss = wide_add(state.loss, AT(losses, at));
  if (WEIGHED) state.weight = wide_add(state.weight, AT(weights, at));
  return state;
}
State join(State a, State b) {
  return State(wide_join(a.loss, b.loss), wide_join(a.weight, b.weight));
}
State shuffled(State state, uint mask) {
  return State(wide_xor(state.loss, mask), wide_xor(state.weight, mask));
}
State part(uint i) { return State(AT(parts, 2u * i), AT(parts, 2u * i + 1u)); }
void store_part(uint i, State state) {
  AT(parts, 2u * i) = state.loss;
  AT(parts, 2u * i + 1u) = state.weight;
}
void finish(uint k, State state) {
  const T weight = wide_round(state.weight);
  if (WEIGHED) AT(divisor, 0) = weight;
  if (REDUCTION == 0u) return;
  T value = wide_round(state.loss);
  if (REDUCTION == 1u) value /= WEIGHED ? weight : AT(given_divisor, 0);
  AT(loss, 0) = value;
}
