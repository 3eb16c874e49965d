// dkey and dvalue of attention: Wᵀ · query · scale and Pᵀ · dy, W = P · (dy · valueᵀ − delta); see
// attention.glsl. A workgroup has a block of keys.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 8
#include "troupe.glsl"
#include "attention.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, T, query)
BINDING(2, readonly, T, key)
BINDING(3, readonly, T, value)
BINDING(4, readonly, T, logarithms)
BINDING(5, readonly, T, deltas)
BINDING(6, writeonly, T, dkey)
BINDING(7, writeonly, T, dvalue)
PARAMS(ATTENTION_PARAMS)

void main() {
  const uint blocks = (push.keys + BLOCK - 1u) / BLOCK;
  const uint parts = (max(push.features, push.values) + COLUMNS - 1u) / COLUMNS;
  head = GROUP / (blocks * parts);
  if (head >= push.heads) return;  // the whole group
  first_key = GROUP / parts % blocks * BLOCK;
  const uint column = GROUP % parts * COLUMNS;
  const uint rows = min(BLOCK, push.keys - first_key);

  T key_sums[EACH * COLUMNS_EACH];
  T value_sums[EACH * COLUMNS_EACH];
  [[unroll]] for (uint n = 0u; n < EACH * COLUMNS_EACH; ++n) key_sums[n] = value_sums[n] = T(0);
  for (first_query = CAUSAL ? first_key : 0u; first_query < push.queries; first_query += BLOCK) {
    const uint count = min(BLOCK, push.queries - first_query);
    T scores[EACH * EACH];
    T slopes[EACH * EACH];
    SCORES(scores, key, KEY_ROW, rows, query, QUERY_ROW, count, push.features)
    SCORES(slopes, value, VALUE_ROW, rows, dy, RESULT_ROW, count, push.values)
    [[unroll]] for (uint i = 0u; i < EACH; ++i)
      [[unroll]] for (uint j = 0u; j < EACH; ++j) {
        const uint row = own_row + i * SIDE;
        const uint k = own_column + j * SIDE;
        T power = T(0);
        T slope = T(0);
        if (row < rows && k < count && !(CAUSAL && first_key + row > first_query + k)) {
          power = EXP(
              scores[i * EACH + j] * NUMBER(scale) -
              AT(logarithms, head * push.queries + first_query + k));
          const T delta = AT(deltas, RESULT_NUMBER(head, first_query + k));
          slope = power * (slopes[i * EACH + j] - delta) * NUMBER(scale);
        }
        scores[i * EACH + j] = slope;
        weights[row * ROW + k] = power;
      }
    MIX(value_sums, dy, RESULT_ROW, count, column, push.values)
    barrier();
    [[unroll]] for (uint i = 0u; i < EACH; ++i)
      [[unroll]] for (uint j = 0u; j < EACH; ++j)
        weights[(own_row + i * SIDE) * ROW + own_column + j * SIDE] = scores[i * EACH + j];
    MIX(key_sums, query, QUERY_ROW, count, column, push.features)
    barrier();
  }
  STORE(key_sums, dkey, KEY_ROW, rows, column, push.features)
  STORE(value_sums, dvalue, VALUE_ROW, rows, column, push.values)
}
