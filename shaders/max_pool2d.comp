// y = the largest element of each window, the first of equal ones; NaN is the largest of all; and
// its place in the window. With relu, y is at least 0, and where it is 0 there is no place. Takes
// constant_id 8 and 9.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "max_pool2d.glsl"

layout(constant_id = 8) const bool relu = false;
layout(constant_id = 9) const bool keeps_places = true;

BINDING(0, readonly, T, x)
BINDING(1, writeonly, T, y)
BINDING(2, writeonly, uint8_t, places_narrow)
BINDING(3, writeonly, int, places_wide)

#ifdef DTYPE_float64
#define LEAST packDouble2x32(uvec2(0u, 0xfff00000u))
bool is_nan_bits(double x) {
  const uvec2 bits = unpackDouble2x32(x);
  return (bits.y & 0x7fffffffu) > 0x7ff00000u ||
         ((bits.y & 0x7fffffffu) == 0x7ff00000u && bits.x != 0u);
}
#else
#define LEAST (-INFINITY_F)
#endif

// The first step of a window along an axis that lies inside the plane, and the one after the last.
int first_inside(int begin, int axis) {
  return begin < 0 ? (dilation(axis) - 1 - begin) / dilation(axis) : 0;
}
int end_inside(int begin, int axis) {
  const int step = dilation(axis);
  return min((size(axis) - begin + step - 1) / step, kernel(axis));
}

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const Window window = window_of(i);
  const uint plane = window.plane * plane_size();
  const int first_row = first_inside(window.top, 0);
  const int end_row = end_inside(window.top, 0);
  const int first_column = first_inside(window.left, 1);
  const int end_column = end_inside(window.left, 1);
  T most = LEAST;
  int where = first_row * kernel_1 + first_column;
  for (int k = first_row; k < end_row; ++k) {
    const int row = (window.top + k * dilation_0) * size(1) + window.left;
    for (int l = first_column; l < end_column; ++l) {
      const T value = AT(x, plane + uint(row + l * dilation_1));
      if (value > most || is_nan_bits(value)) {
        most = value;
        where = k * kernel_1 + l;
      }
    }
  }
  if (relu) {
    const bool nan = is_nan_bits(most);
    if (nan || most <= T(0)) where = window_size;
    // As t_max does it: a zero keeps its sign.
    if (!nan && most < T(0)) most = T(0);
  }
  AT(y, i) = most;
  if (!keeps_places) return;
  if (wide_places)
    AT(places_wide, i) = where;
  else
    AT(places_narrow, i) = uint8_t(where);
}
