// y[to + Σ i·to_stride] = x[from + Σ i·from_stride] for all places of up to six axes. An element
// may be several of the tensors' own: what moves 16 bytes at once is faster than what moves 1.
#include "troupe.glsl"
#include "divide.glsl"

layout(constant_id = 1) const uint rank = 1;
layout(constant_id = 2) const uint turns = 1;

#ifndef ALIGNMENT
#define ALIGNMENT ALIGNMENT_OF(T)
#endif
BINDING_BY(ALIGNMENT, 0, readonly, T, x)
BINDING_BY(ALIGNMENT, 1, writeonly, T, y)
// multiplier, shifts: for divisions by the sizes; five bits of shift an axis
PARAMS(uint n; uint from; uint to; uint shifts; uint size[6]; uint multiplier[6];
       uint from_stride[6]; uint to_stride[6];)

void main() {
  FOR_SPREAD(i, push.n, turns) {
    uint rest = i;
    uint from = push.from;
    uint to = push.to;
    for (uint d = rank; d-- > 1u;) {
      const uint outer = divide_by(rest, push.multiplier[d], push.shifts >> (5u * d) & 31u);
      const uint at = rest - outer * push.size[d];
      from += at * push.from_stride[d];
      to += at * push.to_stride[d];
      rest = outer;
    }
    AT(y, to + rest * push.to_stride[0]) = AT(x, from + rest * push.from_stride[0]);
  }
}
