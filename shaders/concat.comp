// Up to eight tensors [outer, length, inner] one after another along the middle axis.
//
// variants: size
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 9
#include "troupe.glsl"
#include "divide.glsl"

BINDING(0, readonly, T, x0)
BINDING(1, readonly, T, x1)
BINDING(2, readonly, T, x2)
BINDING(3, readonly, T, x3)
BINDING(4, readonly, T, x4)
BINDING(5, readonly, T, x5)
BINDING(6, readonly, T, x6)
BINDING(7, readonly, T, x7)
BINDING(8, writeonly, T, y)
// end: where each tensor's part of a row of y ends; those that are not there repeat the last one's.
PARAMS(uint n; Divisor row; uint end[8];)

void main() {
  const uint i = INVOCATION;
  if (i >= push.n) return;
  const uint outer = divide(i, push.row);
  const uint place = i - outer * push.row.number;
  uint which = 0u;
  for (uint k = 0u; k < 7u; ++k) which += place >= push.end[k] ? 1u : 0u;
  const uint begin = which == 0u ? 0u : push.end[which - 1u];
  const uint at = outer * (push.end[which] - begin) + place - begin;
  switch (which) {
    case 0u: AT(y, i) = AT(x0, at); break;
    case 1u: AT(y, i) = AT(x1, at); break;
    case 2u: AT(y, i) = AT(x2, at); break;
    case 3u: AT(y, i) = AT(x3, at); break;
    case 4u: AT(y, i) = AT(x4, at); break;
    case 5u: AT(y, i) = AT(x5, at); break;
    case 6u: AT(y, i) = AT(x6, at); break;
    default: AT(y, i) = AT(x7, at); break;
  }
}
