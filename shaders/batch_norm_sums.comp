// Σ dy · x̂ and Σ dy of each channel.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"
#include "wide.glsl"
struct State {
  Wide dyx;
  Wide dy;
};
#include "reduce.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, x)
BINDING(2, readonly, T, statistics)  // means, then 1 / √(variance + eps)
BINDING(3, , Wide, parts)            // two for each State
BINDING(4, writeonly, T, sum_dyx)
BINDING(5, writeonly, T, sum_dy)

State none() { return State(wide(T(0)), wide(T(0))); }
State step(State state, uint k, uint r, uint at) {
  const T d = AT(dy, at);
  const T normal = (AT(x, at) - AT(statistics, k)) * AT(statistics, push.kept + k);
  state.dy = wide_add(state.dy, d);
  state.dyx = wide_add(state.dyx, d * normal);
  return state;
}
State join(State a, State b) { return State(wide_join(a.dyx, b.dyx), wide_join(a.dy, b.dy)); }
State shuffled(State state, uint mask) {
  return State(wide_xor(state.dyx, mask), wide_xor(state.dy, mask));
}
State part(uint i) { return State(AT(parts, 2u * i), AT(parts, 2u * i + 1u)); }
void store_part(uint i, State state) {
  AT(parts, 2u * i) = state.dyx;
  AT(parts, 2u * i + 1u) = state.dy;
}
void finish(uint k, State state) {
  AT(sum_dyx, k) = wide_round(state.dyx);
  AT(sum_dy, k) = wide_round(state.dy);
}
