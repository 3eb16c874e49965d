// Products of operands in any layout, for GPUs; see gemm_tiled.glsl.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "matmul.glsl"
#include "gemm_tiled.glsl"

// Whether neighbours along k are neighbours in memory: then invocations that load are so, too.
layout(constant_id = 5) const uint LEFT_ALONG_K = 0;
layout(constant_id = 6) const uint RIGHT_ALONG_K = 0;

BINDING(0, readonly, T, left)
BINDING(1, readonly, T, right)
BINDING(2, readonly, T, bias)
BINDING(3, writeonly, T, c)
PARAMS(MATMUL_PARAMS)
#include "epilogue.glsl"

// This workgroup's tile.
Tile tile;

Place place_of(uint along_k, uint i, uint lines) {
  const uint n = i * (SIDE * SIDE) + gl_LocalInvocationIndex;
  return along_k == 1u ? Place(n / DEPTH, n % DEPTH) : Place(n % lines, n / lines);
}
Place left_place(uint i) { return place_of(LEFT_ALONG_K, i, TILE_ROWS); }
Place right_place(uint i) { return place_of(RIGHT_ALONG_K, i, TILE_COLUMNS); }
T left_number(Place place, uint k) {
  const uint row = tile.row + place.line;
  k += place.k;
  if (row >= push.rows || k >= tile.k_end) return T(0);
  return AT(left, tile.left + row * push.left_row + k * push.left_k);
}
T right_number(Place place, uint k) {
  const uint column = tile.column + place.line;
  k += place.k;
  if (column >= push.columns || k >= tile.k_end) return T(0);
  return AT(right, tile.right + column * push.right_column + k * push.right_k);
}

void main() {
  SET_TILE(tile, TILE_ROWS, TILE_COLUMNS)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  multiply(tile.k_begin, tile.k_end);
  [[unroll]] for (uint i = 0u; i < ROWS; ++i)
    [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
      const uint row = tile.row + tile_row(i);
      const uint column = tile.column + tile_column(j);
      if (row < push.rows && column < push.columns)
        WRITE_C(tile, row, column, sums[i * COLUMNS + j])
    }
}
