// Products of integers, from operands in any layout: nobody trains on them, so a plain loop is
// enough. Each invocation computes ROWS × COLUMNS elements, its columns a workgroup apart.
//
// variants: int32 int64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "matmul.glsl"
#extension GL_EXT_control_flow_attributes : require

layout(constant_id = 1) const uint ROWS = 8;
layout(constant_id = 2) const uint COLUMNS = 4;

BINDING(0, readonly, T, left)
BINDING(1, readonly, T, right)
BINDING(2, readonly, T, bias)
BINDING(3, writeonly, T, c)
PARAMS(MATMUL_PARAMS)
#include "epilogue.glsl"

const uint LANES = gl_WorkGroupSize.x;

void main() {
  Tile tile;
  SET_TILE(tile, ROWS, COLUMNS * LANES)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  const uint lane = gl_LocalInvocationIndex;
  // Rows and columns beyond the last repeat it, and write over it what it is.
  uint row[ROWS];
  [[unroll]] for (uint i = 0u; i < ROWS; ++i) row[i] = min(tile.row + i, push.rows - 1u);
  uint column[COLUMNS];
  [[unroll]] for (uint j = 0u; j < COLUMNS; ++j)
    column[j] = min(tile.column + j * LANES + lane, push.columns - 1u);
  T sums[ROWS * COLUMNS];
  [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; ++i) sums[i] = T(0);
  for (uint k = tile.k_begin; k < tile.k_end; ++k) {
    T some[COLUMNS];
    [[unroll]] for (uint j = 0u; j < COLUMNS; ++j)
      some[j] = AT(right, tile.right + column[j] * push.right_column + k * push.right_k);
    [[unroll]] for (uint i = 0u; i < ROWS; ++i) {
      const T one = AT(left, tile.left + row[i] * push.left_row + k * push.left_k);
      [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) sums[i * COLUMNS + j] += one * some[j];
    }
  }
  [[unroll]] for (uint i = 0u; i < ROWS; ++i)
    [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
      WRITE_C(tile, row[i], column[j], sums[i * COLUMNS + j])
    }
}
