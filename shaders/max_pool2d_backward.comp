// dx = the sum of the gradients of all windows whose maximum was found there, in their order.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "max_pool2d.glsl"

BINDING(0, readonly, T, dy)
BINDING(1, readonly, uint8_t, places_narrow)
BINDING(2, readonly, int, places_wide)
BINDING(3, writeonly, T, dx)

// The first window that reaches `at` along an axis, and the last one.
int first_window(int at, int axis) {
  const int before = at + push.padding[axis] - dilation(axis) * (kernel(axis) - 1);
  return before <= 0 ? 0 : (before + stride(axis) - 1) / stride(axis);
}
int last_window(int at, int axis) {
  return min((at + push.padding[axis]) / stride(axis), out_size(axis) - 1);
}

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint row = divide(i, push.size[1]);
  const uint plane = divide(row, push.size[0]);
  const int h = int(row - plane * push.size[0].number);
  const int w = int(i - row * push.size[1].number);
  const uint out_plane = plane * push.out_size[0].number * push.out_size[1].number;
  const int last_row = last_window(h, 0);
  const int last_column = last_window(w, 1);
  const int first_column = first_window(w, 1);
  T total = T(0);
  for (int r = first_window(h, 0); r <= last_row; ++r) {
    const int down = h + push.padding[0] - r * stride_0;
    if (down % dilation_0 != 0) continue;
    for (int c = first_column; c <= last_column; ++c) {
      const int along = w + push.padding[1] - c * stride_1;
      if (along % dilation_1 != 0) continue;
      const int here = down / dilation_0 * kernel_1 + along / dilation_1;
      const uint window = out_plane + uint(r * out_size(1) + c);
      if (PLACE(places, window) == here) total += AT(dy, window);
    }
  }
  AT(dx, i) = total;
}
