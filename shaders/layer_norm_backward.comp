// dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)) along rows, g = dy · weight.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"
#include "lines.glsl"

layout(constant_id = 2) const bool WEIGHTED = false;

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, x)
BINDING(2, readonly, T, means)
BINDING(3, readonly, T, rstds)
BINDING(4, readonly, T, weight)
BINDING(5, writeonly, T, dx)
PARAMS(LINE_PARAMS)

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = line * push.extent;
  const A mean = AT(means, line);
  const A rstd = AT(rstds, line);
  Wide sum_g = wide(T(0));
  Wide sum_gx = wide(T(0));
  FOR_LINE(i) {
    A g = AT(dy, first + i);
    if (WEIGHTED) g *= AT(weight, i);
    sum_g = wide_add(sum_g, g);
    sum_gx = wide_add(sum_gx, g * ((AT(x, first + i) - mean) * rstd));
  }
  const A mean_g = line_sum(sum_g) / A(push.extent);
  const A mean_gx = line_sum(sum_gx) / A(push.extent);
  FOR_LINE(i) {
    A g = AT(dy, first + i);
    if (WEIGHTED) g *= AT(weight, i);
    const A normal = (AT(x, first + i) - mean) * rstd;
    AT(dx, first + i) = (g - mean_g - normal * mean_gx) * rstd;
  }
}
