// The windows of average pooling: of a fixed size with padding, or such that share a plane out.
// Takes constant_id 1 to 5: windows are constants, so that compilers unroll them and divide by them
// cheaply.
#include "divide.glsl"

layout(constant_id = 1) const bool adaptive = false;
layout(constant_id = 2) const int kernel_0 = 1;
layout(constant_id = 3) const int kernel_1 = 1;
layout(constant_id = 4) const int stride_0 = 1;
layout(constant_id = 5) const int stride_1 = 1;
int kernel(int axis) { return axis == 0 ? kernel_0 : kernel_1; }
int stride(int axis) { return axis == 0 ? stride_0 : stride_1; }

// size, out_size   of a plane before and after
// divisor          0: the places that a window counts
PARAMS(uint n; Divisor size[2]; Divisor out_size[2]; int padding[2]; uint divisor;
       uint count_include_pad;)
int size(int axis) { return int(push.size[axis].number); }
int out_size(int axis) { return int(push.out_size[axis].number); }
int divide_up(int number, Divisor by) { return int(divide(uint(number) + by.number - 1u, by)); }

// The part of a plane that a window covers along one axis, and how many places it counts for.
struct Span {
  int begin;
  int end;
  int counted;
};
Span span_of(int place, int axis) {
  const int all = size(axis);
  if (adaptive) {
    const int begin = int(divide(uint(place * all), push.out_size[axis]));
    const int end = divide_up((place + 1) * all, push.out_size[axis]);
    return Span(begin, end, end - begin);
  }
  const int begin = place * stride(axis) - push.padding[axis];
  // With rounding up a window may reach beyond the padding; what lies there never counts.
  const int end = min(begin + kernel(axis), all + push.padding[axis]);
  const Span inside = Span(max(begin, 0), min(end, all), 0);
  const int counted = push.count_include_pad != 0u ? end - begin : inside.end - inside.begin;
  return Span(inside.begin, inside.end, counted);
}
T divisor_of(Span rows, Span columns) {
  return T(push.divisor != 0u ? push.divisor : uint(rows.counted * columns.counted));
}

// The first window that covers `at` along an axis, and the last one.
int first_window(int at, int axis) {
  if (adaptive) return int(divide(uint(at * out_size(axis)), push.size[axis]));
  const int before = at + push.padding[axis] - kernel(axis);
  return before < 0 ? 0 : before / stride(axis) + 1;
}
int last_window(int at, int axis) {
  if (adaptive) return divide_up((at + 1) * out_size(axis), push.size[axis]) - 1;
  return min((at + push.padding[axis]) / stride(axis), out_size(axis) - 1);
}
