// Gives each destination that something goes to a stretch of the list of sources, as long as its
// count. Which stretch depends on who comes first, but what is in it does not.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"

BINDING(0, coherent, uint, counts)  // of each destination, and behind them how much is given away
BINDING(1, writeonly, uint, places)
PARAMS(uint destinations;)

void main() {
  const uint i = INVOCATION;
  const uint count = i < push.destinations ? AT(counts, i) : 0u;
  // One atomic operation a subgroup.
  const uint before = subgroupExclusiveAdd(count);
  const uint all = subgroupAdd(count);
  uint begin = 0u;
  if (subgroupElect() && all != 0u) begin = atomicAdd(AT(counts, push.destinations), all);
  begin = subgroupAdd(begin);  // 0 but in one invocation
  if (count != 0u) AT(places, i) = begin + before;
}
