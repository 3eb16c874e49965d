// Matrix products by tiles in shared memory, for GPUs:
//
//     sums[r, c] += Σ_k left[r, k] · right[k, c]
//
// A workgroup is SIDE × SIDE invocations, each with ROWS × COLUMNS sums (multiples of 4) of a tile
// that is SIDE times as large. DEPTH steps of k are loaded while those before are multiplied. Every
// sum runs over k in rising order, whatever the tile.

#extension GL_EXT_control_flow_attributes : require

layout(constant_id = 1) const uint ROWS = 4;
layout(constant_id = 2) const uint COLUMNS = 4;
layout(constant_id = 3) const uint DEPTH = 8;

const uint SIDE = gl_WorkGroupSize.x >= 256u ? 16u : 8u;
const uint TILE_ROWS = SIDE * ROWS;
const uint TILE_COLUMNS = SIDE * COLUMNS;
// Numbers that an invocation loads at a time.
const uint LEFT_LOADS = TILE_ROWS * DEPTH / (SIDE * SIDE);
const uint RIGHT_LOADS = TILE_COLUMNS * DEPTH / (SIDE * SIDE);
// A step of k in shared memory; longer than the tile, so that writing down columns meets all banks.
const uint LEFT_STRIDE = TILE_ROWS + 4;
const uint RIGHT_STRIDE = TILE_COLUMNS + 4;

// In fours, for a compiler does not always see that four loads are one.
#ifdef DTYPE_float64
#define FOUR dvec4
#else
#define FOUR vec4
#endif
shared FOUR left_shared[2 * DEPTH * LEFT_STRIDE / 4];
shared FOUR right_shared[2 * DEPTH * RIGHT_STRIDE / 4];

T sums[ROWS * COLUMNS];

// Which number of a tile an invocation's i-th load is of: its row or column, and its step of k.
struct Place {
  uint line;
  uint k;
};
Place left_place(uint i);
Place right_place(uint i);
// That number, `k` of the step where the tile begins; 0 where there is none.
T left_number(Place place, uint k);
T right_number(Place place, uint k);

// Rows and columns of an invocation lie in fours, so that a load from shared memory moves four and
// neighbours write C side by side.
uint tile_line(uint i, uint invocation) { return i / 4u * (SIDE * 4u) + invocation * 4u + i % 4u; }
uint tile_row(uint i) { return tile_line(i, gl_LocalInvocationIndex / SIDE); }
uint tile_column(uint j) { return tile_line(j, gl_LocalInvocationIndex % SIDE); }

void multiply(uint k_begin, uint k_end) {
  [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; ++i) sums[i] = T(0);
  if (k_begin >= k_end) return;  // all invocations
  T left_next[LEFT_LOADS];
  T right_next[RIGHT_LOADS];
  [[unroll]] for (uint i = 0u; i < LEFT_LOADS; ++i)
    left_next[i] = left_number(left_place(i), k_begin);
  [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; ++i)
    right_next[i] = right_number(right_place(i), k_begin);
  uint half_used = 0u;
  for (uint k = k_begin; k < k_end; k += DEPTH) {
    const uint left_begin = half_used * DEPTH * LEFT_STRIDE;
    const uint right_begin = half_used * DEPTH * RIGHT_STRIDE;
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; ++i) {
      const Place place = left_place(i);
      const uint at = left_begin + place.k * LEFT_STRIDE + place.line;
      left_shared[at / 4u][at % 4u] = left_next[i];
    }
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; ++i) {
      const Place place = right_place(i);
      const uint at = right_begin + place.k * RIGHT_STRIDE + place.line;
      right_shared[at / 4u][at % 4u] = right_next[i];
    }
    // One barrier a round: who writes the other half has passed this one, so nobody reads there.
    barrier();
    if (k + DEPTH < k_end) {
      [[unroll]] for (uint i = 0u; i < LEFT_LOADS; ++i)
        left_next[i] = left_number(left_place(i), k + DEPTH);
      [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; ++i)
        right_next[i] = right_number(right_place(i), k + DEPTH);
    }
    [[unroll]] for (uint q = 0u; q < DEPTH; ++q) {
      FOUR some[COLUMNS / 4];
      [[unroll]] for (uint j = 0u; j < COLUMNS / 4u; ++j)
        some[j] = right_shared[(right_begin + q * RIGHT_STRIDE + tile_column(4u * j)) / 4u];
      [[unroll]] for (uint i = 0u; i < ROWS / 4u; ++i) {
        const FOUR ones = left_shared[(left_begin + q * LEFT_STRIDE + tile_row(4u * i)) / 4u];
        [[unroll]] for (uint r = 0u; r < 4u; ++r)
          [[unroll]] for (uint j = 0u; j < COLUMNS; ++j)
            sums[(4u * i + r) * COLUMNS + j] += ones[r] * some[j / 4u][j % 4u];
      }
    }
    half_used = 1u - half_used;
  }
}
