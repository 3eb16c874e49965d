// Products. Of float32 the factors' exponents are added apart from the product of their mantissas,
// in two floats, so that nothing overflows on the way to a result that does not.
//
// variants: float32 float64 int32 int64 uint8 bool
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 3
#include "troupe.glsl"
#include "wide.glsl"

#ifdef DTYPE_float32
// mantissa · 2^exponent, 1 ≤ |mantissa| < 2; or a mantissa of 0, an infinity or a NaN.
struct State {
  vec2 mantissa;
  int exponent;
};
#else
#define State Wide
#endif
#include "reduce.glsl"

#include "element.glsl"
BINDING(1, , Wide, parts)  // two for each State of float32
BINDING(2, writeonly, WIDE_ROUNDED, y)

#ifdef DTYPE_float32

const int exponent_most = 100000000;  // far beyond every float, and far from overflowing itself

float power_of_two(int exponent) { return uintBitsToFloat(uint(exponent + 127) << 23); }

State of_float(float x) {
  const uint bits = floatBitsToUint(x);
  const uint field = bits >> 23 & 0xffu;
  if (field == 0xffu || (bits & 0x7fffffffu) == 0u) return State(vec2(x, 0.0), 0);
  if (field == 0u) {  // a subnormal number, by its digits: the device may take it for 0
    const uint digits = bits & 0x7fffffu;
    const int top = findMSB(digits);
    const uint moved = digits << (23 - top) & 0x7fffffu;
    return State(vec2(uintBitsToFloat((bits & 0x80000000u) | 0x3f800000u | moved), 0.0), top - 149);
  }
  return State(
      vec2(uintBitsToFloat((bits & 0x807fffffu) | 0x3f800000u), 0.0), int(field) - 127);
}

State none() { return State(vec2(1.0, 0.0), 0); }
State join(State a, State b) {
  vec2 product = two_multiply(a.mantissa, b.mantissa);
  if (product.x == 0.0 || !is_finite_bits(product.x)) return State(vec2(product.x, 0.0), 0);
  product = two_sum(product.x, product.y);
  int exponent = a.exponent + b.exponent;
  if (abs(product.x) >= 2.0) {
    product *= 0.5;
    ++exponent;
  } else if (abs(product.x) < 1.0) {  // by rounding, just below
    product *= 2.0;
    --exponent;
  }
  return State(product, clamp(exponent, -exponent_most, exponent_most));
}
State step(State state, uint k, uint r, uint at) { return join(state, of_float(ELEMENT(at))); }
State shuffled(State state, uint mask) {
  return State(
      subgroupShuffleXor(state.mantissa, mask), subgroupShuffleXor(state.exponent, mask));
}
State part(uint i) {
  return State(AT(parts, 2u * i), floatBitsToInt(AT(parts, 2u * i + 1u).x));
}
void store_part(uint i, State state) {
  AT(parts, 2u * i) = state.mantissa;
  AT(parts, 2u * i + 1u) = vec2(intBitsToFloat(state.exponent), 0.0);
}
void finish(uint k, State state) {
  const float mantissa = two_round(state.mantissa);
  // In two steps: one power of two cannot be that large or small.
  const int exponent = clamp(state.exponent, -200, 200);
  AT(y, k) = mantissa * power_of_two(exponent / 2) * power_of_two(exponent - exponent / 2);
}

#else

State none() { return State(1); }
State step(State state, uint k, uint r, uint at) { return state * State(ELEMENT(at)); }
State join(State a, State b) { return a * b; }
State shuffled(State state, uint mask) { return wide_xor(state, mask); }
State part(uint i) { return AT(parts, i); }
void store_part(uint i, State state) { AT(parts, i) = state; }
void finish(uint k, State state) { AT(y, k) = state; }

#endif
