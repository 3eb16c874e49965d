// y = the mean of each window, by sums of its columns. One invocation a window, or, where windows
// are large, one subgroup.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "average_windows.glsl"

layout(constant_id = 6) const bool shared_out = false;  // a window among a workgroup's invocations

#define FOLD_TYPE T
#include "fold.glsl"

BINDING(0, readonly, T, x)
BINDING(1, writeonly, T, y)

void main() {
  const uint i = shared_out ? GROUP : INVOCATION;
  if (i >= push.n) return;  // the whole group, where it folds
  const uint row = divide(i, push.out_size[1]);
  const uint plane = divide(row, push.out_size[0]);
  const Span rows = span_of(int(row - plane * push.out_size[0].number), 0);
  const Span columns = span_of(int(i - row * push.out_size[1].number), 1);
  const uint first = plane * uint(size(0) * size(1));
  T total = T(0);
  if (shared_out) {
    const uint width = uint(columns.end - columns.begin);
    const uint places = width * uint(rows.end - rows.begin);
    for (uint k = gl_LocalInvocationIndex; k < places; k += gl_WorkGroupSize.x) {
      const uint r = k / width;
      const uint row_begin = first + (uint(rows.begin) + r) * push.size[1].number;
      total += AT(x, row_begin + uint(columns.begin) + k - r * width);
    }
    total = group_sum(total);
  } else {
    for (int c = columns.begin; c < columns.end; ++c) {
      T column = T(0);
      for (int r = rows.begin; r < rows.end; ++r)
        column += AT(x, first + uint(r * size(1) + c));
      total += column;
    }
  }
  if (!shared_out || gl_LocalInvocationIndex == 0u)
    AT(y, i) = total / divisor_of(rows, columns);
}
