// Small products, straight from operands in any layout. For software devices; see gemm.glsl.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "matmul.glsl"

BINDING(0, readonly, T, left)
BINDING(1, readonly, T, right)
BINDING(2, readonly, T, bias)
BINDING(3, writeonly, T, c)
PARAMS(MATMUL_PARAMS)
#include "epilogue.glsl"

#include "gemm.glsl"

Tile tile;
uint k;  // of the next steps
// Steps beyond the last read that one's element, and are 0.
T left_number(uint n) {
  const uint row = min(tile.row + n / DEPTH, push.rows - 1u);
  const uint at = k + n % DEPTH;
  const T number =
      AT(left, tile.left + row * push.left_row + min(at, tile.k_end - 1u) * push.left_k);
  return at < tile.k_end ? number : T(0);
}

void main() {
  SET_TILE(tile, ROWS, TILE_COLUMNS)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  // Rows and columns beyond the last repeat it, and write over it what it is.
  uint column[COLUMNS];
  [[unroll]] for (uint j = 0u; j < COLUMNS; ++j)
    column[j] =
        min(tile.column + j * LANES + gl_LocalInvocationIndex, push.columns - 1u);
  clear_sums();
  for (k = tile.k_begin; k < tile.k_end; k += DEPTH) {
    [[unroll]] for (uint q = 0u; q < DEPTH; ++q)
      [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
        const uint at = tile.right + column[j] * push.right_column;
        const T number = AT(right, at + min(k + q, tile.k_end - 1u) * push.right_k);
        step[q * COLUMNS + j] = k + q < tile.k_end ? number : T(0);
      }
    add_products();
  }
  [[unroll]] for (uint i = 0u; i < ROWS; ++i)
    [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
      const uint row = min(tile.row + i, push.rows - 1u);
      WRITE_C(tile, row, column[j], sums[i * COLUMNS + j])
    }
}
