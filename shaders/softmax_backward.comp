// dx = y · (dy − Σ dy·y) along lines.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "lines.glsl"

BINDING(0, readonly, T, y)
BINDING(1, readonly, T, dy)
BINDING(2, writeonly, T, dx)
PARAMS(LINE_PARAMS)

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = LINE_FIRST(line);
  Wide sum = wide(T(0));
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    sum = wide_add(sum, AT(dy, at) * AT(y, at));
  }
  const A total = line_sum(sum);
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    AT(dx, at) = AT(y, at) * (AT(dy, at) - total);
  }
}
