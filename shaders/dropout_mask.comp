// Whether an element's 32 random bits are not below the threshold, of 33. An invocation uses up one
// block of random words.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "philox.glsl"

BINDING(0, writeonly, uint8_t, mask)
BINDING(1, readonly, uint, state)
PARAMS(uint n; uint seed[2]; uint call[2]; uint threshold[2];)

void main() {
  const uint block = INVOCATION;
  const uint first = block * 4u;
  if (first >= push.n) return;
  const uvec4 words = DRAW(block);
  const bool drops_all = push.threshold[1] != 0u;
  for (uint k = 0u; k < 4u && first + k < push.n; ++k)
    AT(mask, first + k) = uint8_t(!drops_all && words[k] >= push.threshold[0] ? 1u : 0u);
}
