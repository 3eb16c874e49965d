// scale · Σ w·q · p · (g − Σ p·g), and of each sample what g times the gradient comes to.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 11
#define CROSS_ENTROPY_BACKWARD
#include "troupe.glsl"
#include "float_functions.glsl"
#include "lines.glsl"

BINDING(0, readonly, T, logits)
BINDING(1, readonly, uint, target)
BINDING(2, readonly, T, probabilities)
BINDING(3, readonly, T, weight)
BINDING(4, readonly, T, statistics)
BINDING(5, readonly, T, divisor)
BINDING(6, readonly, T, dloss)
BINDING(7, readonly, T, direction)
BINDING(8, writeonly, T, dx)
BINDING(9, writeonly, T, along_gradient)
BINDING(10, , uint, fault)
#include "class_target.glsl"

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = LINE_FIRST(line);
  const Wanted wanted = wanted_of(line);
  const A most = AT(statistics, line);
  const A log_total = AT(statistics, push.lines + line);
  Wide sum_along = wide(T(0));
  Wide sum_dense = wide(T(0));
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    const A g = AT(direction, at);
    sum_along = wide_add(sum_along, EXP(AT(logits, at) - most - log_total) * g);
    if (is_dense()) sum_dense = wide_add(sum_dense, dense_at(i, at) * g);
  }
  const A along = line_sum(sum_along);
  const A dense = line_sum(sum_dense);
  const A total = total_of(wanted, first);
  const A scaled_total = scale_of(wanted, line) * total;
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    AT(dx, at) =
        scaled_total * EXP(AT(logits, at) - most - log_total) * (AT(direction, at) - along);
  }
  if (!LINE_LEADER) return;
  A value = total * along - dense;
  if (wanted.place < push.extent)
    value -= wanted.entry * AT(direction, first + wanted.place * push.inner);
  AT(along_gradient, line) = wanted.counts ? value : A(0);
}
