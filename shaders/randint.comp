// Whole numbers drawn evenly from low, …, low + range − 1: the upper half of a 64-bit draw times
// the range. A range of 2³² comes as 0. int64 as two words.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "philox.glsl"

BINDING(0, writeonly, uvec2, y)
BINDING(1, readonly, uint, state)
PARAMS(uint n; uint seed[2]; uint call[2]; uint low[2]; uint range;)

void main() {
  const uint block = INVOCATION;
  const uint first = block * 2u;
  if (first >= push.n) return;
  const uvec4 words = DRAW(block);
  for (uint k = 0u; k < 2u && first + k < push.n; ++k) {
    uint draw = words[2u * k + 1u];
    if (push.range != 0u) {
      uint low_part, high_low, high_high, unused, carry;
      umulExtended(words[2u * k], push.range, low_part, unused);
      umulExtended(words[2u * k + 1u], push.range, high_high, high_low);
      uaddCarry(high_low, low_part, carry);
      draw = high_high + carry;
    }
    uint carry;
    const uint low_word = uaddCarry(push.low[0], draw, carry);
    AT(y, first + k) = uvec2(low_word, push.low[1] + carry);
  }
}
