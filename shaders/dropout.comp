// y = x · scale where an element's 32 random bits are not below the threshold, else 0; the mask
// says where. An invocation uses up one block of random words.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "number.glsl"
#include "philox.glsl"

layout(constant_id = 1) const bool drops_all = false;  // the threshold is 2³²

BINDING(0, readonly, T, x)
BINDING(1, writeonly, T, y)
BINDING(2, writeonly, uint8_t, mask)
BINDING(3, readonly, uint, state)
PARAMS(uint n; uint seed[2]; uint call[2]; uint threshold; NUMBER_PARAM(scale))

void main() {
  const uint block = INVOCATION;
  const uint first = block * 4u;
  if (first >= push.n) return;
  const uvec4 words = DRAW(block);
  for (uint k = 0u; k < 4u && first + k < push.n; ++k) {
    const bool keep = !drops_all && words[k] >= push.threshold;
    AT(y, first + k) = keep ? AT(x, first + k) * NUMBER(scale) : T(0);
    AT(mask, first + k) = uint8_t(keep ? 1u : 0u);
  }
}
