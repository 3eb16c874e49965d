// dx, filled with zeros before, += dy where gather took it from. Lines along the axis never meet,
// so each invocation owns one and adds in order.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 4
#include "troupe.glsl"
#include "index.glsl"

layout(constant_id = 2) const uint rank = 1;
layout(constant_id = 3) const uint axis = 0;

BINDING(0, readonly, T, dy)
BINDING(1, readonly, uint, index)
BINDING(2, , T, dx)
BINDING(3, coherent, uint, fault)
// size: of the index, and of dy; stride: of dx; extent: of the axis in dx.
PARAMS(uint lines; uint extent; uint op; uint size[8]; uint stride[8];)

void main() {
  uint rest = INVOCATION;
  if (rest >= push.lines) return;
  uint from = 0u;
  uint to = 0u;
  uint step = 0u;
  uint elements = 1u;
  for (uint d = rank; d-- > 0u;) {
    if (d == axis) {
      step = elements;
    } else {
      const uint outer = rest / push.size[d];
      const uint at = rest - outer * push.size[d];
      from += at * elements;
      to += at * push.stride[d];
      rest = outer;
    }
    elements *= push.size[d];
  }
  for (uint i = 0u; i < push.size[axis]; ++i, from += step) {
    const uint place = INDEX(index, from);
    if (place < push.extent)
      AT(dx, to + place * push.stride[axis]) += AT(dy, from);
    else
      REPORT_FAULT();
  }
}
