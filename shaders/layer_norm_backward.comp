// dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)) along rows, g = dy · weight. Not centered: without the
// means of x and of g.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 10
#include "troupe.glsl"
#include "lines.glsl"

layout(constant_id = 2) const bool WEIGHTED = false;
layout(constant_id = 3) const bool CENTERED = true;

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, x)
BINDING(2, readonly, T, means)
BINDING(3, readonly, T, rstds)
BINDING(4, readonly, T, weight)
BINDING(5, writeonly, T, dx)
BINDING_BY(16, 6, readonly, vec4, dy_fours)
BINDING_BY(16, 7, readonly, vec4, x_fours)
BINDING_BY(16, 8, readonly, vec4, weight_fours)
BINDING_BY(16, 9, writeonly, vec4, dx_fours)
PARAMS(LINE_PARAMS)

#ifdef DTYPE_float32
void hold(uint line) {
  const uint first = line * FOURS;
  float mean = 0.0;
  if (CENTERED) mean = AT(means, line);
  const float rstd = AT(rstds, line);
  vec4 g[HELD];
  vec4 normal[HELD];
  Wide sum_g = wide(0.0);
  Wide sum_gx = wide(0.0);
  FOR_HELD(i, n) {
    g[i] = normal[i] = vec4(0.0);
    if (n < FOURS) {
      g[i] = AT(dy_fours, first + n);
      if (WEIGHTED) g[i] *= AT(weight_fours, n);
      normal[i] = (AT(x_fours, first + n) - mean) * rstd;
    }
    [[unroll]] for (uint c = 0u; c < 4u; ++c) {
      if (CENTERED) sum_g = wide_add(sum_g, g[i][c]);
      sum_gx = wide_add(sum_gx, g[i][c] * normal[i][c]);
    }
  }
  float mean_g = 0.0;
  if (CENTERED) mean_g = line_sum(sum_g) / float(push.extent);
  const float mean_gx = line_sum(sum_gx) / float(push.extent);
  FOR_HELD(i, n)
    if (n < FOURS) AT(dx_fours, first + n) = (g[i] - mean_g - normal[i] * mean_gx) * rstd;
}
#endif

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
#ifdef DTYPE_float32
  if (HOLDS) {
    hold(line);
    return;
  }
#endif
  const uint first = line * push.extent;
  A mean = A(0);
  if (CENTERED) mean = AT(means, line);
  const A rstd = AT(rstds, line);
  Wide sum_g = wide(T(0));
  Wide sum_gx = wide(T(0));
  FOR_LINE(i) {
    A g = AT(dy, first + i);
    if (WEIGHTED) g *= AT(weight, i);
    if (CENTERED) sum_g = wide_add(sum_g, g);
    sum_gx = wide_add(sum_gx, g * ((AT(x, first + i) - mean) * rstd));
  }
  A mean_g = A(0);
  if (CENTERED) mean_g = line_sum(sum_g) / A(push.extent);
  const A mean_gx = line_sum(sum_gx) / A(push.extent);
  FOR_LINE(i) {
    A g = AT(dy, first + i);
    if (WEIGHTED) g *= AT(weight, i);
    const A normal = (AT(x, first + i) - mean) * rstd;
    AT(dx, first + i) = (g - mean_g - normal * mean_gx) * rstd;
  }
}
