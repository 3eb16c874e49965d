// The largest or the smallest element; NaN where there is one.
//
// variants: float32 float64 int32 int64 uint8 bool
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "ordered.glsl"
#define State Ordered
#include "reduce.glsl"

layout(constant_id = 4) const bool LEAST = false;

#include "element.glsl"
BINDING(1, , Ordered, parts)
BINDING(2, writeonly, T, y)

State none() { return last_of_all(LEAST); }
State join(State best, State other) {
  const bool better = LEAST ? other < best : other > best;
  return better && !is_nan(best) || is_nan(other) ? other : best;
}
State step(State state, uint k, uint r, uint at) { return join(state, Ordered(ELEMENT(at))); }
State shuffled(State state, uint mask) { return ordered_xor(state, mask); }
State part(uint i) { return AT(parts, i); }
void store_part(uint i, State state) { AT(parts, i) = state; }
void finish(uint k, State state) { AT(y, k) = T(state); }
