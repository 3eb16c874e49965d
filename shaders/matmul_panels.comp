// Products of operands that gemm_pack.comp has packed: the left one in panels of ROWS, the right
// one in panels of COLUMNS · lanes with DEPTH 1. For software devices; see gemm.glsl.
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

uint block;  // where the left panel's numbers for the next steps begin
T left_number(uint n) { return AT(left, block + n); }

void main() {
  Tile tile;
  SET_TILE(tile, ROWS, TILE_COLUMNS)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  const uint lane = gl_LocalInvocationIndex;
  // The batch's steps count matrices, and a matrix is as many panels as it has tiles.
  const uint stored = (push.depth + DEPTH - 1u) / DEPTH * DEPTH;
  const uint tiles_down = (push.rows + ROWS - 1u) / ROWS;
  const uint tiles_across = (push.columns + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  block = ((tile.left * tiles_down + tile.row / ROWS) * stored + tile.k_begin) * ROWS;
  uint right_at =
      ((tile.right * tiles_across + tile.column / TILE_COLUMNS) * stored + tile.k_begin) *
          TILE_COLUMNS + lane;
  clear_sums();
  for (uint k = tile.k_begin; k < tile.k_end; k += DEPTH) {
    [[unroll]] for (uint i = 0u; i < DEPTH * COLUMNS; ++i)
      step[i] = AT(right, right_at + i * LANES);
    add_products();
    block += DEPTH * ROWS;
    right_at += DEPTH * TILE_COLUMNS;
  }
  // Rows and columns beyond the last repeat it, and write over it what it is.
  [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
    const uint column = min(tile.column + j * LANES + lane, push.columns - 1u);
    [[unroll]] for (uint i = 0u; i < ROWS; ++i) {
      const uint row = min(tile.row + i, push.rows - 1u);
      WRITE_C(tile, row, column, sums[i * COLUMNS + j])
    }
  }
}
