// For sums by destination (scatter_sum.comp): where in dx each element of dy goes, and how many go
// to each element of dx.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "index.glsl"
#include "gather.glsl"

BINDING(0, readonly, uint, index)
BINDING(1, writeonly, uint, keys)
BINDING(2, coherent, uint, counts)
BINDING(3, coherent, uint, fault)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint place = INDEX(index, i);
  uint key = ~0u;
  if (place < push.extent) {
    key = gather_line(i) + place * push.axis_stride;
    atomicAdd(AT(counts, key), 1u);
  } else {
    REPORT_FAULT();
  }
  AT(keys, i) = key;
}
