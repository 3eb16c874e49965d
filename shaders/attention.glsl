// Attention by blocks of BLOCK queries and as many keys; a workgroup is SIDE × SIDE invocations. A
// block of scores is made through shared memory, STEP features at a time, each invocation keeping
// those of its rows SIDE apart and columns SIDE apart; then it lies in shared memory and is
// multiplied with rows of a tensor, of which a workgroup takes COLUMNS columns: wider ones are shared
// out among workgroups, each of which makes the scores anew.
//
// Everything is contiguous: queries [heads, L, E] and so on, or with PACKED all in one, [N, L, 3, H,
// E], and results [N, L, H, E].

#extension GL_EXT_control_flow_attributes : require

layout(constant_id = 1) const bool PACKED = false;
layout(constant_id = 2) const bool CAUSAL = false;

#include "number.glsl"
#include "float_functions.glsl"

#define ATTENTION_PARAMS                                                     \
  uint heads; uint inner; uint queries; uint keys; uint features; uint values; \
  NUMBER_PARAM(scale)

// Rows and columns of scores that each invocation has, and columns of what it makes of them.
layout(constant_id = 3) const uint EACH = 2;
layout(constant_id = 4) const uint COLUMNS_EACH = 4;

const uint SIDE = 8u;
const uint BLOCK = SIDE * EACH;
const uint COLUMNS = SIDE * COLUMNS_EACH;
const uint STEP = 8u;
const uint ROW = BLOCK + 1u;  // longer than the block, so that columns meet all banks

shared T staged[STEP * (2u * ROW + COLUMNS)];
shared T weights[BLOCK * ROW];

uint own_row = gl_LocalInvocationIndex / SIDE;
uint own_column = gl_LocalInvocationIndex % SIDE;

// Where rows begin: query or key I of a head, and of its result.
#define PACKED_ROW(HEAD, I)                                                  \
  ((((HEAD) / push.inner * push.queries + (I)) * 3u * push.inner + (HEAD) % push.inner) * push.features)
#define QUERY_ROW_OF(HEAD, I)                                                \
  (PACKED ? PACKED_ROW(HEAD, I) : ((HEAD) * push.queries + (I)) * push.features)
#define KEY_ROW_OF(HEAD, I)                                                  \
  (PACKED ? PACKED_ROW(HEAD, I) + push.inner * push.features                 \
          : ((HEAD) * push.keys + (I)) * push.features)
#define VALUE_ROW_OF(HEAD, I)                                                \
  (PACKED ? PACKED_ROW(HEAD, I) + 2u * push.inner * push.features            \
          : ((HEAD) * push.keys + (I)) * push.values)
// The number of a result's row among all, in the order of memory.
#define RESULT_NUMBER(HEAD, I)                                               \
  (PACKED ? ((HEAD) / push.inner * push.queries + (I)) * push.inner + (HEAD) % push.inner \
          : (HEAD) * push.queries + (I))
// Of the blocks at hand.
uint head;
uint first_query;
uint first_key;
#define QUERY_ROW(I) QUERY_ROW_OF(head, first_query + (I))
#define KEY_ROW(I) KEY_ROW_OF(head, first_key + (I))
#define VALUE_ROW(I) VALUE_ROW_OF(head, first_key + (I))
#define RESULT_ROW(I) (RESULT_NUMBER(head, first_query + (I)) * push.values)

// SUMS[row, column] = Σ LEFT[row] · RIGHT[column] over DEPTH features. Rows and columns that do not
// exist are 0. X_ROW(i) is where row i of the block begins.
#define SCORES(SUMS, LEFT, LEFT_ROW, LEFT_COUNT, RIGHT, RIGHT_ROW, RIGHT_COUNT, DEPTH)           \
  [[unroll]] for (uint n = 0u; n < EACH * EACH; ++n) SUMS[n] = T(0);                             \
  for (uint first = 0u; first < (DEPTH); first += STEP) {                                        \
    barrier();                                                                                   \
    for (uint n = gl_LocalInvocationIndex; n < BLOCK * STEP; n += SIDE * SIDE) {                 \
      const uint line = n / STEP;                                                                \
      const uint k = first + n % STEP;                                                           \
      const uint to = n % STEP * ROW + line;                                                     \
      staged[to] = T(0);                                                                         \
      staged[STEP * ROW + to] = T(0);                                                            \
      if (k < (DEPTH) && line < (LEFT_COUNT)) staged[to] = AT(LEFT, LEFT_ROW(line) + k);         \
      if (k < (DEPTH) && line < (RIGHT_COUNT))                                                   \
        staged[STEP * ROW + to] = AT(RIGHT, RIGHT_ROW(line) + k);                                \
    }                                                                                            \
    barrier();                                                                                   \
    [[unroll]] for (uint k = 0u; k < STEP; ++k)                                                  \
      [[unroll]] for (uint i = 0u; i < EACH; ++i) {                                              \
        const T one = staged[k * ROW + own_row + i * SIDE];                                      \
        [[unroll]] for (uint j = 0u; j < EACH; ++j)                                              \
          SUMS[i * EACH + j] += one * staged[(STEP + k) * ROW + own_column + j * SIDE];          \
      }                                                                                          \
  }

// SUMS[row, column] += Σ weights[row, k] · RIGHT[k, COLUMN + column]; `weights` may be written before
// without a barrier, and after one.
#define MIX(SUMS, RIGHT, RIGHT_ROW, RIGHT_COUNT, COLUMN, WIDTH)                                  \
  for (uint first = 0u; first < (RIGHT_COUNT); first += STEP) {                                  \
    barrier();                                                                                   \
    for (uint n = gl_LocalInvocationIndex; n < COLUMNS * STEP; n += SIDE * SIDE) {               \
      const uint k = first + n / COLUMNS;                                                        \
      const uint column = (COLUMN) + n % COLUMNS;                                                \
      staged[n] = T(0);                                                                          \
      if (k < (RIGHT_COUNT) && column < (WIDTH)) staged[n] = AT(RIGHT, RIGHT_ROW(k) + column);   \
    }                                                                                            \
    barrier();                                                                                   \
    [[unroll]] for (uint k = 0u; k < STEP; ++k)                                                  \
      [[unroll]] for (uint i = 0u; i < EACH; ++i) {                                              \
        const T one = weights[(own_row + i * SIDE) * ROW + first + k];                           \
        [[unroll]] for (uint j = 0u; j < COLUMNS_EACH; ++j)                                      \
          SUMS[i * COLUMNS_EACH + j] += one * staged[k * COLUMNS + own_column + j * SIDE];       \
      }                                                                                          \
  }

// The same for a result, whose rows begin at TO_ROW(i).
#define STORE(SUMS, TO, TO_ROW, COUNT, COLUMN, WIDTH)                                            \
  [[unroll]] for (uint i = 0u; i < EACH; ++i)                                                    \
    [[unroll]] for (uint j = 0u; j < COLUMNS_EACH; ++j) {                                        \
      const uint row = own_row + i * SIDE;                                                       \
      const uint column = (COLUMN) + own_column + j * SIDE;                                      \
      if (row < (COUNT) && column < (WIDTH)) AT(TO, TO_ROW(row) + column) = SUMS[i * COLUMNS_EACH + j]; \
    }
