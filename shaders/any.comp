// Whether any element is other than 0, or all are.
//
// variants: float32 float64 int32 int64 uint8 bool
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#define State uint
#include "reduce.glsl"

layout(constant_id = 4) const bool ALL = false;

#include "element.glsl"
BINDING(1, , uint, parts)
BINDING(2, writeonly, uint8_t, y)

State none() { return ALL ? 1u : 0u; }
State join(State a, State b) { return ALL ? a & b : a | b; }
State step(State state, uint k, uint r, uint at) {
  return join(state, ELEMENT(at) != T(0) ? 1u : 0u);
}
State shuffled(State state, uint mask) { return subgroupShuffleXor(state, mask); }
State part(uint i) { return AT(parts, i); }
void store_part(uint i, State state) { AT(parts, i) = state; }
void finish(uint k, State state) { AT(y, k) = uint8_t(state); }
