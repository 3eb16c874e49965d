// matmul_cooperative.glsl number by number: what surrounds cooperative matrices is tested by it
// where no driver has any. Loops stay loops: it need not be fast, but be compiled soon.
//
// variants: float16 bfloat16
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "matmul_cooperative.glsl"

// Sums of a matrix that an invocation holds; LANES divides M · N.
const uint OWN = M * N / LANES;

// The i-th number in shared memory behind an eight.
float left_number(uint eight, uint i) {
  return number_of(left_shared[eight + i / 8u][i % 8u / 2u] >> (16u * (i % 2u)) & 0xffffu);
}
float right_number(uint eight, uint i) {
  return number_of(right_shared[eight + i / 8u][i % 8u / 2u] >> (16u * (i % 2u)) & 0xffffu);
}

void main() {
  SET_TILE(tile, TILE_ROWS, TILE_COLUMNS)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  float sums[ROWS * COLUMNS * OWN];
  [[dont_unroll]] for (uint i = 0u; i < ROWS * COLUMNS * OWN; ++i) sums[i] = 0.0;
  [[dont_unroll]] for (uint k = tile.k_begin; k < tile.k_end; k += DEPTH) {
    load(k);
    share();
    barrier();
    [[dont_unroll]] for (uint n = 0u; n < ROWS * COLUMNS * OWN; ++n) {
      const uint place = n % OWN * LANES + gl_SubgroupInvocationID;
      const uint row = FIRST_ROW + n / OWN / COLUMNS * M + place / N;
      const uint column = FIRST_COLUMN + n / OWN % COLUMNS * N + place % N;
      [[dont_unroll]] for (uint q = 0u; q < DEPTH; ++q) {
        const float left = LEFT_ALONG_K == 1u ? left_number(row * LEFT_STRIDE, q)
                                              : left_number(q * LEFT_STRIDE, row);
        const float right = RIGHT_ALONG_K == 1u ? right_number(column * RIGHT_STRIDE, q)
                                                : right_number(q * RIGHT_STRIDE, column);
        sums[n] += left * right;
      }
    }
    barrier();
  }
  [[dont_unroll]] for (uint i = 0u; i < ROWS * COLUMNS; ++i) {
    [[dont_unroll]] for (uint n = 0u; n < OWN; ++n)
      c_shared[OWN_SUMS + n * LANES + gl_SubgroupInvocationID] = sums[i * OWN + n];
    barrier();
    write_sums(i / COLUMNS, i % COLUMNS);
    barrier();
  }
}
