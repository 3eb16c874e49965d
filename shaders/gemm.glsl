// Matrix products in registers, for devices whose lanes are those of a processor's vectors:
//
//     sums[r, c] += Σ_k left[r, k] · right[k, c]
//
// A workgroup is one subgroup and computes a tile of ROWS × (COLUMNS · lanes) elements; a lane's
// columns lie a subgroup apart, so that the lanes of a vector are neighbours. There is neither
// shared memory nor a barrier. What makes it fast where a load costs as much as ten operations,
// and a sum that lives through a loop is masked each time round:
//
// - DEPTH steps of k are unrolled, with the rows outside: a sum is touched once for all of them.
// - One load fetches a number of the left operand for each lane, and each is then broadcast: of the
//   tile's ROWS × DEPTH numbers in the order [row][k % DEPTH], in which large operands come packed.
//
// Every sum runs over k in rising order, whatever the tile. The including shader says by
// `left_number(n)` which is the n-th of those numbers.

#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require

layout(constant_id = 1) const uint ROWS = 32;
layout(constant_id = 2) const uint COLUMNS = 4;
layout(constant_id = 3) const uint DEPTH = 4;

const uint LANES = gl_WorkGroupSize.x;
const uint TILE_COLUMNS = COLUMNS * LANES;

T sums[ROWS * COLUMNS];
T step[DEPTH * COLUMNS];  // this lane's numbers of the right operand, [q][column]

void clear_sums() {
  [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; ++i) sums[i] = T(0);
}

T left_number(uint n);

// Adds DEPTH products to each sum: those of `step` and the left operand's numbers.
void add_products() {
  T some = T(0);
  [[unroll]] for (uint i = 0u; i < ROWS; ++i) {
    [[unroll]] for (uint q = 0u; q < DEPTH; ++q) {
      const uint place = i * DEPTH + q;
      if (place % LANES == 0u) some = left_number(place + gl_LocalInvocationIndex);
      const T one = subgroupBroadcast(some, place % LANES);
      [[unroll]] for (uint j = 0u; j < COLUMNS; ++j)
        sums[i * COLUMNS + j] += one * step[q * COLUMNS + j];
    }
  }
}
