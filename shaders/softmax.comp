// y = exp(x − max x) / Σ exp(x − max x) along lines.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "float_functions.glsl"
#include "lines.glsl"

// Between the passes y holds the exponentials, where making them twice costs more than memory does.
layout(constant_id = 2) const bool KEEP = false;

BINDING(0, readonly, T, x)
BINDING(1, , T, y)
PARAMS(LINE_PARAMS)

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = LINE_FIRST(line);
  A most = A(-INFINITY_F);
  FOR_LINE(i) most = max(most, AT(x, first + i * push.inner));
  most = line_max(most);
  Wide sum = wide(T(0));
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    const A e = EXP(AT(x, at) - most);
    sum = wide_add(sum, e);
    if (KEEP) AT(y, at) = e;
  }
  const A total = line_sum(sum);
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    const A e = KEEP ? AT(y, at) : EXP(AT(x, at) - most);
    AT(y, at) = e / total;
  }
}
