// The products of a convolution, for GPUs; see gemm_tiled.glsl and conv2d.glsl. The left operand's
// panels hold one step of k in a block.
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
#include "gemm_tiled.glsl"

// This workgroup's tile, and the column that an invocation loads: the same each time, for a tile
// has no more columns than a workgroup has invocations.
Tile tile;
uint panel_begin;
Column loaded;

Place left_place(uint i) {
  const uint n = i * (SIDE * SIDE) + gl_LocalInvocationIndex;
  return Place(n % TILE_ROWS, n / TILE_ROWS);
}
Place right_place(uint i) {
  const uint n = i * (SIDE * SIDE) + gl_LocalInvocationIndex;
  return Place(n % TILE_COLUMNS, n / TILE_COLUMNS);
}
T left_number(Place place, uint k) {
  return AT(left, panel_begin + (k + place.k) * TILE_ROWS + place.line);
}
T right_number(Place place, uint k) {
  Step at;
  STEP_OF(at, k + place.k)
  T number;
  X_AT(number, loaded, at, tile.group * push.x_group)
  return number;
}

void main() {
  SET_TILE(tile, TILE_ROWS, TILE_COLUMNS)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  panel_begin = tile.panel * ((push.depth + DEPTH - 1u) / DEPTH * DEPTH) * TILE_ROWS;
  const uint index = tile.column + gl_LocalInvocationIndex % TILE_COLUMNS;
  COLUMN_OF(loaded, min(index, push.columns - 1u))
  multiply(tile.k_begin, tile.k_end);
  [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
    Column column;
    COLUMN_OF(column, tile.column + tile_column(j))
    if (tile.column + tile_column(j) < push.columns)
      [[unroll]] for (uint i = 0u; i < ROWS; ++i) {
        const uint row = tile.row + tile_row(i);
        if (row < push.rows) {
          const T sum = sums[i * COLUMNS + j];
          const uint place = tile.c + row * push.c_row + column.c;
          AT(c, place) = FINISH(
              place, 0u, BIAS == 1u ? sum + AT(bias, tile.group * push.rows + row) : sum);
        }
      }
  }
}
