// Writes each source into its destination's stretch, in any order; `places` moves to the ends of
// the stretches.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"

BINDING(0, readonly, uint, keys)
BINDING(1, coherent, uint, places)
BINDING(2, writeonly, uint, list)
PARAMS(uint n;)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint key = AT(keys, i);
  if (key != ~0u) AT(list, atomicAdd(AT(places, key), 1u)) = i;
}
