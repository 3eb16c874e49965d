// dx = the sum, in the windows' order, of what the windows that cover an element share out to it.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "average_windows.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, writeonly, T, dx)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint row = divide(i, push.size[1]);
  const uint plane = divide(row, push.size[0]);
  const int h = int(row - plane * push.size[0].number);
  const int w = int(i - row * push.size[1].number);
  const uint first = plane * uint(out_size(0) * out_size(1));
  const int last_row = last_window(h, 0);
  const int first_column = first_window(w, 1);
  const int last_column = last_window(w, 1);
  T total = T(0);
  for (int r = first_window(h, 0); r <= last_row; ++r) {
    const Span rows = span_of(r, 0);
    for (int c = first_column; c <= last_column; ++c)
      total += AT(dy, first + uint(r * out_size(1) + c)) / divisor_of(rows, span_of(c, 1));
  }
  AT(dx, i) = total;
}
