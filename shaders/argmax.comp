// The largest or the smallest element and where it stands: the first of several, and a NaN before
// all numbers.
//
// variants: float32 float64 int32 int64 uint8 bool
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "ordered.glsl"

struct State {
  Ordered value;
  uint place;  // nowhere: no element yet
};
const uint nowhere = 0xffffffffu;
#include "reduce.glsl"

layout(constant_id = 4) const bool LEAST = false;
layout(constant_id = 5) const bool VALUES = false;  // both are wanted

BINDING(0, readonly, T, x)
BINDING(1, , uvec4, parts)
BINDING(2, writeonly, T, values)
BINDING(3, writeonly, uint, places)  // the halves of int64

State none() { return State(last_of_all(LEAST), nowhere); }
State join(State a, State b) {
  if (b.place == nowhere) return a;
  if (a.place == nowhere) return b;
  const bool a_nan = is_nan(a.value);
  const bool b_nan = is_nan(b.value);
  if (a_nan != b_nan) return a_nan ? a : b;
  const bool better = !b_nan && (LEAST ? b.value < a.value : b.value > a.value);
  const bool worse = !b_nan && (LEAST ? b.value > a.value : b.value < a.value);
  return better || !worse && b.place < a.place ? b : a;
}
State step(State state, uint k, uint r, uint at) {
  return join(state, State(Ordered(AT(x, at)), r));
}
State shuffled(State state, uint mask) {
  return State(ordered_xor(state.value, mask), subgroupShuffleXor(state.place, mask));
}
State part(uint i) {
  const uvec4 words = AT(parts, i);
  return State(ordered_of(words.xy), words.z);
}
void store_part(uint i, State state) {
  AT(parts, i) = uvec4(ordered_bits(state.value), state.place, 0u);
}
void finish(uint k, State state) {
  if (VALUES) AT(values, k) = T(state.value);
  AT(places, 2u * k) = state.place;
  AT(places, 2u * k + 1u) = 0u;
}
