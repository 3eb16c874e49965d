// For sums by destination (scatter_sum.comp): the row that each index names, and how often each row
// is named. The row `padding` is not counted.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "index.glsl"

BINDING(0, readonly, uint, index)
BINDING(1, writeonly, uint, keys)
BINDING(2, coherent, uint, counts)
BINDING(3, coherent, uint, fault)
PARAMS(uint n; uint rows; uint padding; uint op;)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  uint key = INDEX(index, i);
  if (key >= push.rows) {
    REPORT_FAULT();
    key = ~0u;
  }
  if (key == push.padding) key = ~0u;
  if (key != ~0u) atomicAdd(AT(counts, key), 1u);
  AT(keys, i) = key;
}
