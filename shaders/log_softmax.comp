// y = x − max x − log Σ exp(x − max x) along lines.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "float_functions.glsl"
#include "lines.glsl"

BINDING(0, readonly, T, x)
BINDING(1, writeonly, T, y)
PARAMS(LINE_PARAMS)

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = LINE_FIRST(line);
  A most = A(-INFINITY_F);
  FOR_LINE(i) most = max(most, AT(x, first + i * push.inner));
  most = line_max(most);
  Wide sum = wide(T(0));
  FOR_LINE(i) sum = wide_add(sum, EXP(AT(x, first + i * push.inner) - most));
  const A log_total = LOG(line_sum(sum));
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    AT(y, at) = AT(x, at) - most - log_total;
  }
}
