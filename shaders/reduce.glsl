// Folds each group of elements into one: the loops that all reductions share. A tensor is
//
//     [outer, first, middle, second, inner]
//
// of which `first` and `second` are folded. Either a workgroup folds together (where the folded
// elements are adjacent) or each invocation by itself, neighbours next to each other. A fold that
// is too long for that is cut into segments, whose results a second dispatch folds. In which order
// all this happens depends on the shape and on the size of a workgroup alone.
//
// A shader says what is folded: it defines State, then includes this, then defines the functions
// declared here.

#include "number.glsl"

layout(constant_id = 1) const bool TOGETHER = true;
layout(constant_id = 2) const bool FROM_PARTS = false;
layout(constant_id = 3) const bool TO_PARTS = false;

// Of a shader that is varied at run time.
#ifndef MORE_PARAMS
#define MORE_PARAMS
#endif

// kept = outer · middle · inner; folded = first · second, or the number of parts.
PARAMS(uint kept; uint folded; uint segments; uint first; uint middle; uint second; uint inner;
       NUMBER_PARAM(factor) MORE_PARAMS)

State none();
// Takes in element r of group k, which lies at place `at` of the input.
State step(State state, uint k, uint r, uint at);
State join(State a, State b);
State shuffled(State state, uint mask);
State part(uint i);
void store_part(uint i, State state);
void finish(uint k, State state);

shared State reduce_shared[32];  // at most 32 subgroups: 1,024 invocations of 32

// The group's states joined; for the first invocation.
State join_group(State state) {
  for (uint mask = 1u; mask < gl_SubgroupSize; mask <<= 1)
    state = join(state, shuffled(state, mask));
  if (gl_NumSubgroups == 1u) return state;
  if (subgroupElect()) reduce_shared[gl_SubgroupID] = state;
  barrier();
  State total = reduce_shared[0];
  for (uint i = 1u; i < gl_NumSubgroups; ++i) total = join(total, reduce_shared[i]);
  return total;
}

State fold_parts(uint k, uint r, uint end, uint stride) {
  State state = none();
  for (; r < end; r += stride) state = join(state, part(k * push.folded + r));
  return state;
}

State fold_elements(uint k, uint r, uint end, uint stride) {
  State state = none();
  if (r >= end) return state;
  // Counted, for r may pass the end of 32 bits behind the last one.
  uint left = (end - r - 1u) / stride + 1u;
  const uint line = k / push.inner;
  const uint base =
      (line / push.middle * push.first * push.middle + line % push.middle) * push.second *
          push.inner +
      k % push.inner;
  if (push.first == 1u) {
    uint at = base + r * push.inner;
    const uint hop = stride * push.inner;
    for (; left >= 4u; left -= 4u) {
      state = step(state, k, r, at);
      state = step(state, k, r + stride, at + hop);
      state = step(state, k, r + 2u * stride, at + 2u * hop);
      state = step(state, k, r + 3u * stride, at + 3u * hop);
      r += 4u * stride;
      at += 4u * hop;
    }
    for (; left > 0u; --left) {
      state = step(state, k, r, at);
      r += stride;
      at += hop;
    }
    return state;
  }
  const uint hop = push.middle * push.second * push.inner;
  for (; left > 0u; --left) {
    state = step(state, k, r, base + r / push.second * hop + r % push.second * push.inner);
    r += stride;
  }
  return state;
}

void main() {
  const uint item = TOGETHER ? GROUP : INVOCATION;
  if (item >= push.kept * push.segments) return;  // the whole group, where it works together
  const uint k = TOGETHER ? item / push.segments : item % push.kept;
  const uint segment = TOGETHER ? item % push.segments : item / push.kept;
  // What neighbours read is adjacent: segments of invocations are interleaved, those of workgroups
  // follow one another.
  uint r = segment;
  uint end = push.folded;
  uint stride = push.segments;
  if (TOGETHER) {
    stride = gl_WorkGroupSize.x;
    const uint extent = ((push.folded - 1u) / push.segments / stride + 1u) * stride;
    r = segment * extent + gl_LocalInvocationIndex;
    end = min(segment * extent + extent, push.folded);
  }
  State state;
  if (FROM_PARTS)
    state = fold_parts(k, r, end, stride);
  else
    state = fold_elements(k, r, end, stride);
  if (TOGETHER) {
    state = join_group(state);
    if (gl_LocalInvocationIndex != 0u) return;
  }
  if (TO_PARTS)
    store_part(k * push.segments + segment, state);
  else
    finish(k, state);
}
