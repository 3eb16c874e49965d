// Kernels that work on lines, along the middle of [outer, extent, inner]: a workgroup on each, or,
// where lines are short or neighbours adjacent, each invocation on one by itself.
//
//     const uint line = LINE;
//     if (line >= push.lines) return;  // the whole group, where it works together
//     Wide sum = wide(T(0));
//     FOR_LINE(i) sum = wide_add(sum, AT(x, first + i * push.inner));
//     const A total = line_sum(sum);

// 0: a workgroup on each; 1: an invocation; more: a workgroup, of which each invocation holds one
// four less in registers, for kernels that go over a line more than once.
layout(constant_id = 1) const uint LINES = 0;
const bool ALONE = LINES == 1u;
const bool HOLDS = LINES > 1u;
const uint HELD = HOLDS ? LINES - 1u : 1u;

#extension GL_EXT_control_flow_attributes : require
#include "wide.glsl"
#define FOLD_TYPE A
#include "fold.glsl"

#define LINE_PARAMS uint lines; uint extent; uint inner;
#define LINE (ALONE ? INVOCATION : GROUP)
// Where a line's first element lies.
#define LINE_FIRST(LINE_NUMBER)                                              \
  ((LINE_NUMBER) / push.inner * push.extent * push.inner + (LINE_NUMBER) % push.inner)
#define LINE_LEADER (ALONE || gl_LocalInvocationIndex == 0u)
// Each invocation's share of a line.
#define FOR_LINE(I)                                                          \
  for (uint I = ALONE ? 0u : gl_LocalInvocationIndex; I < push.extent;       \
       I += ALONE ? 1u : gl_WorkGroupSize.x)

// The fours that an invocation holds of a line, of which the last may not be there:
//
//     FOR_HELD(i, n) some[i] = n < FOURS ? AT(x_fours, first / 4u + n) : vec4(0.0);
#define FOURS (push.extent / 4u)
#define FOR_HELD(I, N)                                                       \
  [[unroll]] for (uint I = 0u, N = gl_LocalInvocationIndex; I < HELD;        \
                  ++I, N += gl_WorkGroupSize.x)

// Rounded by each invocation: what is long is its share of the line, not the group.
A line_sum(Wide sum) {
  const A share = wide_round(sum);
  if (ALONE) return share;
  return group_sum(share);
}
A line_max(A value) {
  if (ALONE) return value;
  return group_max(value);
}
