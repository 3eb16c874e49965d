// y[i] = x[0] + … + x[i] along the middle of [outer, extent, inner], or from the other end. Each
// invocation goes along a line by itself, or a workgroup along a segment of one: blocks as long as
// the workgroup, one after the other. Of a line that is cut, a first dispatch leaves each segment's
// total, and a second begins each with the sum of those before.
//
// variants: float32 float64 int32 int64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "wide.glsl"

layout(constant_id = 1) const bool ALONE = false;
layout(constant_id = 2) const bool REVERSE = false;
layout(constant_id = 3) const bool TOTALS = false;

BINDING(0, readonly, T, x)
BINDING(1, , Wide, totals)
BINDING(2, writeonly, T, y)
PARAMS(uint lines; uint extent; uint inner; uint segments; uint segment_extent;)

uint place_of(uint first, uint i) {
  return first + (REVERSE ? push.extent - 1u - i : i) * push.inner;
}

shared Wide block_shared[32];  // sums of subgroups; at most 1,024 invocations of 32

// The sum of the invocation's value and those of all before it; `total` becomes that of all.
Wide scan_block(Wide value, out Wide total) {
  const uint lane = gl_SubgroupInvocationID;
  for (uint hop = 1u; hop < gl_SubgroupSize; hop <<= 1) {
    const Wide before = wide_from(value, lane >= hop ? lane - hop : lane);
    if (lane >= hop) value = wide_join(before, value);
  }
  total = wide_from(value, gl_SubgroupSize - 1u);
  if (gl_NumSubgroups == 1u) return value;
  if (subgroupElect()) block_shared[gl_SubgroupID] = total;
  barrier();
  Wide before = wide(T(0));
  total = wide(T(0));
  for (uint i = 0u; i < gl_NumSubgroups; ++i) {
    if (i == gl_SubgroupID) before = total;
    total = wide_join(total, block_shared[i]);
  }
  barrier();
  return wide_join(before, value);
}

void main() {
  const uint item = ALONE ? INVOCATION : GROUP;
  if (item >= push.lines * push.segments) return;
  const uint line = item / push.segments;
  const uint segment = item % push.segments;
  const uint first = line / push.inner * push.extent * push.inner + line % push.inner;
  const uint begin = segment * push.segment_extent;
  const uint end = min(begin + push.segment_extent, push.extent);
  Wide sum = wide(T(0));
  if (ALONE) {
    for (uint i = begin; i < end; ++i) {
      const uint at = place_of(first, i);
      sum = wide_add(sum, AT(x, at));
      AT(y, at) = T(wide_round(sum));
    }
    return;
  }
  if (!TOTALS)
    for (uint i = 0u; i < segment; ++i)
      sum = wide_join(sum, AT(totals, line * push.segments + i));
  for (uint block = begin; block < end; block += gl_WorkGroupSize.x) {
    const uint i = block + gl_LocalInvocationIndex;
    const uint at = place_of(first, min(i, end - 1u));
    Wide total;
    const Wide value = scan_block(wide(i < end ? AT(x, at) : T(0)), total);
    if (!TOTALS && i < end) AT(y, at) = T(wide_round(wide_join(sum, value)));
    sum = wide_join(sum, total);
  }
  if (TOTALS && gl_LocalInvocationIndex == 0u) AT(totals, item) = sum;
}
