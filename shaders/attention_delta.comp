// Σ dy · y along the rows of attention's result.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "lines.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, y)
BINDING(2, writeonly, T, deltas)
PARAMS(LINE_PARAMS)

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = line * push.extent;
  Wide sum = wide(T(0));
  FOR_LINE(i) sum = wide_add(sum, AT(dy, first + i) * AT(y, first + i));
  const A total = line_sum(sum);
  if (LINE_LEADER) AT(deltas, line) = total;
}
