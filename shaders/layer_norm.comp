// y = (x − mean) · rstd · weight + bias along rows; the rows' means and 1 / √(variance + eps). Not
// centered: mean = 0, and it is not written.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 10
#include "troupe.glsl"
#include "number.glsl"
#include "lines.glsl"

layout(constant_id = 2) const bool WEIGHTED = false;
layout(constant_id = 3) const bool BIASED = false;
layout(constant_id = 4) const bool CENTERED = true;

BINDING(0, readonly, T, x)
BINDING(1, readonly, T, weight)
BINDING(2, readonly, T, bias)
BINDING(3, writeonly, T, y)
BINDING(4, writeonly, T, means)
BINDING(5, writeonly, T, rstds)
BINDING_BY(16, 6, readonly, vec4, x_fours)
BINDING_BY(16, 7, readonly, vec4, weight_fours)
BINDING_BY(16, 8, readonly, vec4, bias_fours)
BINDING_BY(16, 9, writeonly, vec4, y_fours)
PARAMS(LINE_PARAMS NUMBER_PARAM(eps))

#ifdef DTYPE_float32
void hold(uint line) {
  const uint first = line * FOURS;
  vec4 some[HELD];
  Wide sum = wide(0.0);
  FOR_HELD(i, n) {
    some[i] = n < FOURS ? AT(x_fours, first + n) : vec4(0.0);
    [[unroll]] for (uint c = 0u; c < 4u; ++c) sum = wide_add(sum, some[i][c]);
  }
  float mean = 0.0;
  if (CENTERED) mean = line_sum(sum) / float(push.extent);
  Wide squares = wide(0.0);
  FOR_HELD(i, n) {
    some[i] -= mean;
    if (n < FOURS)
      [[unroll]] for (uint c = 0u; c < 4u; ++c)
        squares = wide_add(squares, some[i][c] * some[i][c]);
  }
  const float rstd = 1.0 / sqrt(line_sum(squares) / float(push.extent) + NUMBER(eps));
  FOR_HELD(i, n)
    if (n < FOURS) {
      vec4 normal = some[i] * rstd;
      if (WEIGHTED) normal *= AT(weight_fours, n);
      if (BIASED) normal += AT(bias_fours, n);
      AT(y_fours, first + n) = normal;
    }
  if (!LINE_LEADER) return;
  if (CENTERED) AT(means, line) = mean;
  AT(rstds, line) = rstd;
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
  const A size = A(push.extent);
  A mean = A(0);
  if (CENTERED) {
    Wide sum = wide(T(0));
    FOR_LINE(i) sum = wide_add(sum, AT(x, first + i));
    mean = line_sum(sum) / size;
  }
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
  if (CENTERED) AT(means, line) = mean;
  AT(rstds, line) = rstd;
}
