// Numbers drawn evenly from [low, low + width). An invocation uses up one block of random words.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "number.glsl"
#include "philox.glsl"

BINDING(0, writeonly, T, y)
BINDING(1, readonly, uint, state)
PARAMS(uint n; uint seed[2]; uint call[2]; NUMBER_PARAM(low) NUMBER_PARAM(width))

void main() {
  const uint block = INVOCATION;
  const uint first = block * UNITS;
  if (first >= push.n) return;
  const uvec4 words = DRAW(block);
  for (uint k = 0u; k < UNITS && first + k < push.n; ++k) {
    // Rounded twice, as on the CPU, never fused.
    precise const T part = NUMBER(width) * UNIT(words, k);
    precise const T number = NUMBER(low) + part;
    AT(y, first + k) = number;
  }
}
