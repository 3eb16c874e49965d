// y = (x − mean) · rstd · weight + bias along rows; the rows' means and 1 / √(variance + eps).
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"
#include "number.glsl"
#include "lines.glsl"

layout(constant_id = 2) const bool WEIGHTED = false;
layout(constant_id = 3) const bool BIASED = false;

BINDING(0, readonly, T, x)
BINDING(1, readonly, T, weight)
BINDING(2, readonly, T, bias)
BINDING(3, writeonly, T, y)
BINDING(4, writeonly, T, means)
BINDING(5, writeonly, T, rstds)
PARAMS(LINE_PARAMS NUMBER_PARAM(eps))

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = line * push.extent;
  const A size = A(push.extent);
  Wide sum = wide(T(0));
  FOR_LINE(i) sum = wide_add(sum, AT(x, first + i));
  const A mean = line_sum(sum) / size;
  Wide squares = wide(T(0));
  FOR_LINE(i) {
    const A d = AT(x, first + i) - mean;
    squares = wide_add(squares, d * d);
  }
  const A rstd = A(1) / sqrt(line_sum(squares) / size + NUMBER(eps));
  FOR_LINE(i) {
    A normal = (AT(x, first + i) - mean) * rstd;
    if (WEIGHTED) normal *= AT(weight, i);
    if (BIASED) normal += AT(bias, i);
    AT(y, first + i) = normal;
  }
  if (!LINE_LEADER) return;
  AT(means, line) = mean;
  AT(rstds, line) = rstd;
}
