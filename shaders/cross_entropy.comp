// The loss of each sample and its weight, and of each the logits' maximum and log Σ exp(x −
// maximum).
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 8
#include "troupe.glsl"
#include "float_functions.glsl"
#include "lines.glsl"

BINDING(0, readonly, T, logits)
BINDING(1, readonly, uint, target)
BINDING(2, readonly, T, probabilities)
BINDING(3, readonly, T, weight)
BINDING(4, writeonly, T, statistics)
BINDING(5, writeonly, T, losses)
BINDING(6, writeonly, T, weights)
BINDING(7, , uint, fault)
#include "class_target.glsl"

void main() {
  const uint line = LINE;
  if (line >= push.lines) return;
  const uint first = LINE_FIRST(line);
  A most = A(-INFINITY_F);
  FOR_LINE(i) most = max(most, AT(logits, first + i * push.inner));
  most = line_max(most);
  Wide sum = wide(T(0));
  FOR_LINE(i) sum = wide_add(sum, EXP(AT(logits, first + i * push.inner) - most));
  const A log_total = LOG(line_sum(sum));

  const Wanted wanted = wanted_of(line);
  A loss = A(0);
  if (is_dense()) {
    Wide dense = wide(T(0));
    FOR_LINE(i) {
      const uint at = first + i * push.inner;
      dense = wide_add(dense, dense_at(i, at) * (log_total - (AT(logits, at) - most)));
    }
    loss = line_sum(dense);
  }
  if (!LINE_LEADER) return;
  if (!wanted.counts) loss = A(0);
  if (wanted.place < push.extent)
    loss += wanted.entry * (log_total - (AT(logits, first + wanted.place * push.inner) - most));
  AT(statistics, line) = most;
  AT(statistics, push.lines + line) = log_total;
  AT(losses, line) = loss;
  // A mean over classes divides by their weights, one over probabilities by the samples.
  AT(weights, line) = wanted.counts ? wanted.weight : A(0);
}
