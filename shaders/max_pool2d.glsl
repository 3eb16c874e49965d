// Windows of max pooling, and the places in them, row by row, where maxima are. Places are uint8,
// or int32 where windows are large: each tensor of them is bound as both, and only the fitting
// binding is touched. Takes constant_id 1 to 7: windows are constants, so that compilers unroll
// them and divide by them cheaply.
#include "divide.glsl"

layout(constant_id = 1) const bool wide_places = false;
layout(constant_id = 2) const int kernel_0 = 1;
layout(constant_id = 3) const int kernel_1 = 1;
layout(constant_id = 4) const int stride_0 = 1;
layout(constant_id = 5) const int stride_1 = 1;
layout(constant_id = 6) const int dilation_0 = 1;
layout(constant_id = 7) const int dilation_1 = 1;
// Elements of a window; as a place, none.
const int window_size = kernel_0 * kernel_1;
int kernel(int axis) { return axis == 0 ? kernel_0 : kernel_1; }
int stride(int axis) { return axis == 0 ? stride_0 : stride_1; }
int dilation(int axis) { return axis == 0 ? dilation_0 : dilation_1; }

PARAMS(uint n; Divisor size[2]; Divisor out_size[2]; int padding[2];)
int size(int axis) { return int(push.size[axis].number); }
int out_size(int axis) { return int(push.out_size[axis].number); }

#define PLACE(NAME, I) (wide_places ? AT(NAME##_wide, I) : int(AT(NAME##_narrow, I)))

// Of output element i: its plane, and where its window begins.
struct Window {
  uint plane;
  int top;
  int left;
};
Window window_of(uint i) {
  const uint row = divide(i, push.out_size[1]);
  const uint plane = divide(row, push.out_size[0]);
  return Window(
      plane,
      int(row - plane * push.out_size[0].number) * stride_0 - push.padding[0],
      int(i - row * push.out_size[1].number) * stride_1 - push.padding[1]);
}
uint plane_size() { return push.size[0].number * push.size[1].number; }
