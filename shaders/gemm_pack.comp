// Copies an operand of products into panels of WIDTH rows, [matrix][tile][k / DEPTH][row]
// [k % DEPTH]. Steps of k beyond the last are 0; rows beyond the last repeat it, so that who computes
// with them gets what that row gives. One workgroup for `chunk` blocks of DEPTH steps of a tile.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#extension GL_EXT_control_flow_attributes : require

layout(constant_id = 1) const uint WIDTH = 32;
layout(constant_id = 2) const uint DEPTH = 4;  // divides the size of a workgroup

BINDING(0, readonly, T, x)
BINDING(1, writeonly, T, y)
// k has two digits, where its elements do not lie evenly: `k_inner` values of the lower one.
PARAMS(uint rows; uint depth; uint tiles; uint blocks; uint chunk; uint matrices;
       uint row_step; uint k_step; uint k_inner; uint k_outer_step;
       uint inner; uint middle; uint inner_step; uint middle_step; uint outer_step; uint origin;)

void main() {
  const uint chunks = (push.blocks + push.chunk - 1u) / push.chunk;
  const uint panel = GROUP / chunks;
  const uint matrix = panel / push.tiles;
  if (matrix >= push.matrices) return;  // the whole group
  const uint first = push.origin + matrix % push.inner * push.inner_step +
      matrix / push.inner % push.middle * push.middle_step +
      matrix / push.inner / push.middle * push.outer_step;
  const uint lane = gl_LocalInvocationIndex;
  const uint block_begin = GROUP % chunks * push.chunk;
  const uint block_end = min(block_begin + push.chunk, push.blocks);
  const uint first_row = panel % push.tiles * WIDTH;

  uint k = block_begin * DEPTH + lane % DEPTH;
  uint low = k % push.k_inner;
  uint high = k / push.k_inner * push.k_outer_step;
  for (uint block = block_begin; block < block_end; ++block) {
    const uint from = first + high + low * push.k_step;
    const uint to = (panel * push.blocks + block) * (WIDTH * DEPTH) + lane;
    [[unroll]] for (uint i = 0u; i < WIDTH * DEPTH; i += gl_WorkGroupSize.x) {
      const uint row = min(first_row + (i + lane) / DEPTH, push.rows - 1u);
      const T value = AT(x, (k < push.depth ? from : first) + row * push.row_step);
      if (WIDTH * DEPTH % gl_WorkGroupSize.x == 0u || i + lane < WIDTH * DEPTH)
        AT(y, to + i) = k < push.depth ? value : T(0);
    }
    k += DEPTH;
    low += DEPTH;
    while (low >= push.k_inner) {
      low -= push.k_inner;
      high += push.k_outer_step;
    }
  }
}
