// Copies where x lies row by row along one axis, y along another: in tiles of 32×32 elements that
// are turned in shared memory, so that both sides are touched row by row. One workgroup a tile.
//
// variants: size
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "divide.glsl"

layout(constant_id = 1) const uint outer_axes = 0;

BINDING(0, readonly, T, x)
BINDING(1, writeonly, T, y)
// from_size, to_size       of the axis along which x, and along which y, lies side by side
// from_stride, to_stride   in x along the latter; in y along the former
// multiplier, shifts       for divisions by the outer sizes; five bits of shift an axis
PARAMS(uint groups; uint from; uint to; uint from_size; uint to_size; uint from_stride;
       uint to_stride; Divisor from_tiles; Divisor to_tiles; uint shifts; uint size[3];
       uint multiplier[3]; uint outer_from_stride[3]; uint outer_to_stride[3];)

const uint side = 32u;
shared T tile[side][side + 1u];  // one more, so that columns spread over the banks

void main() {
  if (GROUP >= push.groups) return;  // the whole group
  uint rest = divide(GROUP, push.to_tiles);
  const uint to_begin = (GROUP - rest * push.to_tiles.number) * side;
  uint outer = divide(rest, push.from_tiles);
  const uint from_begin = (rest - outer * push.from_tiles.number) * side;
  uint from = push.from;
  uint to = push.to;
  for (uint d = outer_axes; d-- > 0u;) {
    rest = divide_by(outer, push.multiplier[d], push.shifts >> (5u * d) & 31u);
    const uint at = outer - rest * push.size[d];
    from += at * push.outer_from_stride[d];
    to += at * push.outer_to_stride[d];
    outer = rest;
  }
  const uint column = gl_LocalInvocationIndex % side;
  const uint first_row = gl_LocalInvocationIndex / side;
  const uint rows = gl_WorkGroupSize.x / side;
  for (uint row = first_row; row < side; row += rows)
    if (from_begin + column < push.from_size && to_begin + row < push.to_size)
      tile[row][column] = AT(x, from + from_begin + column + (to_begin + row) * push.from_stride);
  barrier();
  for (uint row = first_row; row < side; row += rows)
    if (to_begin + column < push.to_size && from_begin + row < push.from_size)
      AT(y, to + to_begin + column + (from_begin + row) * push.to_stride) = tile[column][row];
}
