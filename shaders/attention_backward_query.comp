// dquery of attention: W · key · scale, W = P · (dy · valueᵀ − delta); see attention.glsl. A
// workgroup has a block of queries.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 7
#include "troupe.glsl"
#include "attention.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, query)
BINDING(2, readonly, T, key)
BINDING(3, readonly, T, value)
BINDING(4, readonly, T, logarithms)
BINDING(5, readonly, T, deltas)
BINDING(6, writeonly, T, dquery)
PARAMS(ATTENTION_PARAMS)

void main() {
  const uint blocks = (push.queries + BLOCK - 1u) / BLOCK;
  const uint parts = (push.features + COLUMNS - 1u) / COLUMNS;
  head = GROUP / (blocks * parts);
  if (head >= push.heads) return;  // the whole group
  first_query = GROUP / parts % blocks * BLOCK;
  const uint column = GROUP % parts * COLUMNS;
  const uint rows = min(BLOCK, push.queries - first_query);
  const uint end = CAUSAL ? min(push.keys, first_query + rows) : push.keys;

  T sums[EACH * COLUMNS_EACH];
  [[unroll]] for (uint n = 0u; n < EACH * COLUMNS_EACH; ++n) sums[n] = T(0);
  for (first_key = 0u; first_key < end; first_key += BLOCK) {
    const uint count = min(BLOCK, push.keys - first_key);
    T scores[EACH * EACH];
    T slopes[EACH * EACH];
    SCORES(scores, query, QUERY_ROW, rows, key, KEY_ROW, count, push.features)
    SCORES(slopes, dy, RESULT_ROW, rows, value, VALUE_ROW, count, push.values)
    [[unroll]] for (uint i = 0u; i < EACH; ++i)
      [[unroll]] for (uint j = 0u; j < EACH; ++j) {
        const uint row = own_row + i * SIDE;
        const uint k = own_column + j * SIDE;
        T slope = T(0);
        if (row < rows && k < count && !(CAUSAL && first_key + k > first_query + row)) {
          const T power = EXP(
              scores[i * EACH + j] * NUMBER(scale) -
              AT(logarithms, head * push.queries + first_query + row));
          const T delta = AT(deltas, RESULT_NUMBER(head, first_query + row));
          slope = power * (slopes[i * EACH + j] - delta) * NUMBER(scale);
        }
        weights[row * ROW + k] = slope;
      }
    MIX(sums, key, KEY_ROW, count, column, push.features)
    barrier();
  }
  STORE(sums, dquery, QUERY_ROW, rows, column, push.features)
}
