// y = softmax(query · keyᵀ · scale) · value by heads, and the logarithms of the rows' sums; see
// attention.glsl. A workgroup has a block of queries.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 5
#include "troupe.glsl"
#include "attention.glsl"

BINDING(0, readonly, T, query)
BINDING(1, readonly, T, key)
BINDING(2, readonly, T, value)
BINDING(3, writeonly, T, y)
BINDING(4, writeonly, T, logarithms)
PARAMS(ATTENTION_PARAMS)

// By row: what its sums so far are multiplied with, and at last divided by.
shared T factors[BLOCK];
// The largest score in an invocation's share of a row, then the sum of its powers.
shared T shares[SIDE * SIDE];

const uint SHARERS = SIDE * SIDE / BLOCK;
const uint SHARE = BLOCK / SHARERS;

void main() {
  const uint blocks = (push.queries + BLOCK - 1u) / BLOCK;
  const uint parts = max((push.values + COLUMNS - 1u) / COLUMNS, 1u);
  head = GROUP / (blocks * parts);
  if (head >= push.heads) return;  // the whole group
  first_query = GROUP / parts % blocks * BLOCK;
  const uint column = GROUP % parts * COLUMNS;
  const uint rows = min(BLOCK, push.queries - first_query);
  const uint end = CAUSAL ? min(push.keys, first_query + rows) : push.keys;

  T sums[EACH * COLUMNS_EACH];
  [[unroll]] for (uint n = 0u; n < EACH * COLUMNS_EACH; ++n) sums[n] = T(0);
  // Some invocations share the softmax of a row, each adding up its powers of some keys.
  const uint line = gl_LocalInvocationIndex / SHARERS;
  const uint begin = line * ROW + gl_LocalInvocationIndex % SHARERS * SHARE;
  const T lowest = T(-INFINITY_F);
  T most = lowest;
  T total = T(0);
  for (first_key = 0u; first_key < end; first_key += BLOCK) {
    const uint count = min(BLOCK, push.keys - first_key);
    T scores[EACH * EACH];
    SCORES(scores, query, QUERY_ROW, rows, key, KEY_ROW, count, push.features)
    [[unroll]] for (uint i = 0u; i < EACH; ++i)
      [[unroll]] for (uint j = 0u; j < EACH; ++j) {
        const uint row = own_row + i * SIDE;
        const uint k = own_column + j * SIDE;
        const bool seen = k < count && !(CAUSAL && first_key + k > first_query + row);
        weights[row * ROW + k] = seen ? scores[i * EACH + j] * NUMBER(scale) : lowest;
      }
    barrier();
    T high = lowest;
    for (uint k = 0u; k < SHARE; ++k) high = max(high, weights[begin + k]);
    shares[gl_LocalInvocationIndex] = high;
    barrier();
    const T before = most;
    for (uint k = 0u; k < SHARERS; ++k) most = max(most, shares[line * SHARERS + k]);
    // Of nothing but −∞ the powers are 0, not NaN, as long as there may be more to come.
    const T from = most == lowest ? T(0) : most;
    const T fade = EXP(before - from);
    total *= fade;
    for (uint k = 0u; k < SHARE; ++k) {
      const T power = EXP(weights[begin + k] - from);
      weights[begin + k] = power;
      total += power;
    }
    if (begin == line * ROW) factors[line] = fade;
    barrier();
    [[unroll]] for (uint i = 0u; i < EACH; ++i)
      [[unroll]] for (uint j = 0u; j < COLUMNS_EACH; ++j)
        sums[i * COLUMNS_EACH + j] *= factors[own_row + i * SIDE];
    MIX(sums, value, VALUE_ROW, count, column, push.values)
    barrier();
  }
  shares[gl_LocalInvocationIndex] = total;
  barrier();
  total = push.keys == 0u ? T(1) : T(0);
  for (uint k = 0u; k < SHARERS; ++k) total += shares[line * SHARERS + k];
  if (begin == line * ROW) {
    factors[line] = T(1) / total;
    if (column == 0u && line < rows)
      AT(logarithms, head * push.queries + first_query + line) = most + LOG(total);
  }
  barrier();
  [[unroll]] for (uint i = 0u; i < EACH; ++i)
    [[unroll]] for (uint j = 0u; j < COLUMNS_EACH; ++j)
      sums[i * COLUMNS_EACH + j] *= factors[own_row + i * SIDE];
  STORE(sums, y, RESULT_ROW, rows, column, push.values)
}
