// y = exp(x − max x) / Σ exp(x − max x) along lines.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "float_functions.glsl"
#include "lines.glsl"

// Between the passes y holds the exponentials, where making them twice costs more than memory does.
layout(constant_id = 2) const bool KEEP = false;

BINDING(0, readonly, T, x)
BINDING(1, , T, y)
BINDING_BY(16, 2, readonly, vec4, x_fours)
BINDING_BY(16, 3, writeonly, vec4, y_fours)
PARAMS(LINE_PARAMS)

#ifdef DTYPE_float32
void hold(uint first) {
  vec4 some[HELD];
  float most = -INFINITY_F;
  FOR_HELD(i, n) {
    some[i] = n < FOURS ? AT(x_fours, first + n) : vec4(-INFINITY_F);
    [[unroll]] for (uint c = 0u; c < 4u; ++c) most = max(most, some[i][c]);
  }
  most = group_max(most);
  Wide sum = wide(0.0);
  FOR_HELD(i, n)
    [[unroll]] for (uint c = 0u; c < 4u; ++c) {
      some[i][c] = EXP(some[i][c] - most);
      sum = wide_add(sum, some[i][c]);
    }
  const float total = line_sum(sum);
  FOR_HELD(i, n)
    if (n < FOURS) AT(y_fours, first + n) = some[i] / total;
}
#endif

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = LINE_FIRST(line);
#ifdef DTYPE_float32
  if (HOLDS) {
    hold(first / 4u);
    return;
  }
#endif
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
