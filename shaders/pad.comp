// y = x within a border of one value; a negative border takes elements away.
//
// variants: size
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "divide.glsl"

layout(constant_id = 1) const uint rank = 1;

BINDING(0, readonly, T, x)
BINDING(1, writeonly, T, y)
// multiplier, shifts: for divisions by the sizes; five bits of shift an axis
PARAMS(uint n; uint value[2]; uint shifts; uint size[6]; uint multiplier[6]; uint from_size[6];
       int before[6];)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  uint rest = i;
  uint from = 0u;
  uint step = 1u;
  bool inside = true;
  for (uint d = rank; d-- > 0u;) {
    const uint outer = divide_by(rest, push.multiplier[d], push.shifts >> (5u * d) & 31u);
    // What lies before the first element becomes a large number, and so is outside as well.
    const uint at = rest - outer * push.size[d] - uint(push.before[d]);
    inside = inside && at < push.from_size[d];
    from += at * step;
    step *= push.from_size[d];
    rest = outer;
  }
#if SIZE == 8
  T element = uvec2(push.value[0], push.value[1]);
#else
  T element = T(push.value[0]);
#endif
  if (inside) element = AT(x, from);
  AT(y, i) = element;
}
