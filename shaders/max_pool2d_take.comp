// y = of each window the element at a given place; 0 for a place in the padding and for none.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "max_pool2d.glsl"

BINDING(0, readonly, T, x)
BINDING(1, readonly, uint8_t, places_narrow)
BINDING(2, readonly, int, places_wide)
BINDING(3, writeonly, T, y)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const Window window = window_of(i);
  const int place = PLACE(places, i);
  const int h = window.top + place / kernel_1 * dilation_0;
  const int w = window.left + place % kernel_1 * dilation_1;
  const bool inside = place < window_size && h >= 0 && h < size(0) && w >= 0 && w < size(1);
  T element = T(0);
  if (inside) element = AT(x, window.plane * plane_size() + uint(h * size(1) + w));
  AT(y, i) = element;
}
