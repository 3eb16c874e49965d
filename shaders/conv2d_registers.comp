// The products of a convolution, for software devices; see gemm.glsl and conv2d.glsl.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"

BINDING(0, readonly, T, left)
BINDING(1, readonly, T, x)
BINDING(2, readonly, T, bias)
BINDING(3, writeonly, T, c)

#include "conv2d.glsl"
PARAMS(CONV2D_PARAMS)
#include "epilogue.glsl"
#include "gemm.glsl"

uint block;  // where the panel's numbers for the next steps begin
T left_number(uint n) { return AT(left, block + n); }

void main() {
  Tile tile;
  SET_TILE(tile, ROWS, TILE_COLUMNS)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  const uint stored = (push.depth + DEPTH - 1u) / DEPTH * DEPTH;
  block = (tile.panel * stored + tile.k_begin) * ROWS;
  const uint group_origin = tile.group * push.x_group;
  // Rows and columns beyond the last repeat it, and write over it what it is.
  Column column[COLUMNS];
  [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
    const uint index = tile.column + j * LANES + gl_LocalInvocationIndex;
    COLUMN_OF(column[j], min(index, push.columns - 1u))
  }
  Step at;
  STEP_OF(at, tile.k_begin)
  clear_sums();
  for (uint k = tile.k_begin; k < tile.k_end; k += DEPTH) {
    [[unroll]] for (uint q = 0u; q < DEPTH; ++q) {
      [[unroll]] for (uint j = 0u; j < COLUMNS; ++j)
        X_AT(step[q * COLUMNS + j], column[j], at, group_origin)
      ADVANCE(at)
    }
    add_products();
    block += DEPTH * ROWS;
  }
  [[unroll]] for (uint i = 0u; i < ROWS; ++i) {
    const uint row = min(tile.row + i, push.rows - 1u);
    const T added = BIAS == 1u ? AT(bias, tile.group * push.rows + row) : T(0);
    [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
      const T sum = sums[i * COLUMNS + j];
      const uint place = tile.c + row * push.c_row + column[j].c;
      AT(c, place) = FINISH(place, 0u, BIAS == 1u ? sum + added : sum);
    }
  }
}
