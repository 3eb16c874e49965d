// dx = y · (dy − Σ dy·y) along lines.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"
#include "lines.glsl"

BINDING(0, readonly, T, y)
BINDING(1, readonly, T, dy)
BINDING(2, writeonly, T, dx)
BINDING_BY(16, 3, readonly, vec4, y_fours)
BINDING_BY(16, 4, readonly, vec4, dy_fours)
BINDING_BY(16, 5, writeonly, vec4, dx_fours)
PARAMS(LINE_PARAMS)

#ifdef DTYPE_float32
void hold(uint first) {
  vec4 of_y[HELD];
  vec4 of_dy[HELD];
  Wide sum = wide(0.0);
  FOR_HELD(i, n) {
    of_y[i] = n < FOURS ? AT(y_fours, first + n) : vec4(0.0);
    of_dy[i] = n < FOURS ? AT(dy_fours, first + n) : vec4(0.0);
    [[unroll]] for (uint c = 0u; c < 4u; ++c) sum = wide_add(sum, of_dy[i][c] * of_y[i][c]);
  }
  const float total = line_sum(sum);
  FOR_HELD(i, n)
    if (n < FOURS) AT(dx_fours, first + n) = of_y[i] * (of_dy[i] - total);
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
