// dx = scale · (p · Σ w·q − w·q), the probabilities p from the saved statistics.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 9
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
BINDING(7, writeonly, T, dx)
BINDING(8, , uint, fault)
#include "class_target.glsl"

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = LINE_FIRST(line);
  const Wanted wanted = wanted_of(line);
  const A scale = scale_of(wanted, line);
  const A scaled_total = scale * total_of(wanted, first);
  const A most = AT(statistics, line);
  const A log_total = AT(statistics, push.lines + line);
  FOR_LINE(i) {
    const uint at = first + i * push.inner;
    A gradient = EXP(AT(logits, at) - most - log_total) * scaled_total;
    if (is_dense()) gradient -= dense_at(i, at) * scale;
    if (i == wanted.place) gradient -= scale * wanted.entry;
    AT(dx, at) = gradient;
  }
}
