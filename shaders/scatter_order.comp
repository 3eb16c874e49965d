// Brings each stretch of the list into the order of the sources: a source's place is the number of
// those before it.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 5
#include "troupe.glsl"

BINDING(0, readonly, uint, keys)
BINDING(1, readonly, uint, counts)
BINDING(2, readonly, uint, places)
BINDING(3, readonly, uint, list)
BINDING(4, writeonly, uint, ordered)
PARAMS(uint destinations;)

void main() {
  const uint i = INVOCATION;
  if (i >= AT(counts, push.destinations)) return;  // the length of the list
  const uint source = AT(list, i);
  const uint key = AT(keys, source);
  const uint end = AT(places, key);
  const uint begin = end - AT(counts, key);
  uint place = begin;
  for (uint k = begin; k < end; ++k) place += AT(list, k) < source ? 1u : 0u;
  AT(ordered, place) = source;
}
