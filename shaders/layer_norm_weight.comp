// dweight = Σ dy · x̂ and dbias = Σ dy over rows. Not centered: x̂ = x · rstd, and no dbias.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 7
#include "troupe.glsl"
#include "wide.glsl"
struct State {
  Wide weight;
  Wide bias;
};
#include "reduce.glsl"

layout(constant_id = 4) const bool CENTERED = true;

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, x)
BINDING(2, readonly, T, means)
BINDING(3, readonly, T, rstds)
BINDING(4, , Wide, parts)  // two for each State
BINDING(5, writeonly, T, dweight)
BINDING(6, writeonly, T, dbias)

State none() { return State(wide(T(0)), wide(T(0))); }
State step(State state, uint k, uint r, uint at) {
  const T d = AT(dy, at);
  state.bias = wide_add(state.bias, d);
  T distance = AT(x, at);
  if (CENTERED) distance -= AT(means, r);
  state.weight = wide_add(state.weight, d * (distance * AT(rstds, r)));
  return state;
}
State join(State a, State b) {
  return State(wide_join(a.weight, b.weight), wide_join(a.bias, b.bias));
}
State shuffled(State state, uint mask) {
  return State(wide_xor(state.weight, mask), wide_xor(state.bias, mask));
}
State part(uint i) { return State(AT(parts, 2u * i), AT(parts, 2u * i + 1u)); }
void store_part(uint i, State state) {
  AT(parts, 2u * i) = state.weight;
  AT(parts, 2u * i + 1u) = state.bias;
}
void finish(uint k, State state) {
  AT(dweight, k) = wide_round(state.weight);
  if (CENTERED) AT(dbias, k) = wide_round(state.bias);
}
