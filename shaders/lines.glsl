// Kernels that work on lines, along the middle of [outer, extent, inner]: a workgroup on each, or,
// where lines are short or neighbours adjacent, each invocation on one by itself.
//
//     const uint line = LINE;
//     if (line >= push.lines) return;  // the whole group, where it works together
//     Wide sum = wide(T(0));
//     FOR_LINE(i) sum = wide_add(sum, AT(x, first + i * push.inner));
//     const A total = line_sum(sum);

layout(constant_id = 1) const bool ALONE = false;

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
