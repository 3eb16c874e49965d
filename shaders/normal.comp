// Numbers from the normal distribution: two uniform numbers become the radius and the angle of two
// normal ones (Box and Muller 1958).
//
// The logarithm, sine and cosine are by the CPU's own polynomials (pack_math.hpp there), which GLSL
// does not have for float64 at all.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "troupe.glsl"
#include "number.glsl"
#include "philox.glsl"

BINDING(0, writeonly, T, y)
BINDING(1, readonly, uint, state)
PARAMS(uint n; uint seed[2]; uint call[2]; NUMBER_PARAM(mean) NUMBER_PARAM(deviation))

#ifdef DTYPE_float64
const T two_pi = 6.283185307179586477lf;
const T half_pi[3] = T[3](
    1.570796326734125614166lf, 6.077100506303965976596e-11lf, 2.022266248711166455796e-21lf);

// Of a number in (0, 1].
T log_of(T x) {
  // x = 2^e · m with m in [√½, √2), by moving the exponent's step there: 1 − √½, as bits, is added.
  const uvec2 bits = unpackDouble2x32(x);
  uint carry;
  const uint low_word = uaddCarry(bits.x, 0x9980c433u, carry);
  const uint high_word = bits.y + 0x00095f61u + carry;
  const T e = T(int(high_word >> 20) - 1023);
  const uint m_low = uaddCarry(low_word, 0x667f3bcdu, carry);
  const T m = packDouble2x32(uvec2(m_low, (high_word & 0xfffffu) + 0x3fe6a09eu + carry));
  // log(1 + f) = 2·artanh(s), s = f / (2 + f); arranged so that f itself, exact, leads.
  const T f = m - 1.0lf;
  const T s = f / (2.0lf + f);
  const T z = s * s;
  const T tail = z * (0.6666666666666666643lf + z * (0.40000000000001010273lf +
                 z * (0.28571428570722826681lf + z * (0.22222222409844037886lf +
                 z * (0.18181793722272505586lf + z * (0.15386342974308153091lf +
                 z * (0.13266035037261050827lf + z * 0.13114976096717038329lf)))))));
  const T half_square = 0.5lf * f * f;
  const T low = s * (tail + half_square) + e * 1.908214929270587816144266e-10lf;
  return e * 0.6931471803691238164901733lf + (f - (half_square - low));
}

// Sine and cosine of an angle in [0, 2π].
void turn(T angle, out T sine, out T cosine) {
  const T quadrants = floor(angle * 0.63661977236758134308lf + 0.5lf);
  T r = angle;
  for (int i = 0; i < 3; ++i) r -= quadrants * half_pi[i];
  const T z = r * r;
  const T s = r + r * z * (-0.16666666666666664599lf + z * (0.0083333333333309245621lf +
              z * (-0.00019841269836722417756lf + z * (2.755731608381635861e-6lf +
              z * (-2.5051127944014187575e-8lf + z * 1.5917848524808261007e-10lf)))));
  const T c = (1.0lf - 0.5lf * z) +
              z * z * (0.041666666666666665373lf + z * (-0.0013888888888887382271lf +
              z * (0.000024801587298743069286lf + z * (-2.7557317260008838164e-7lf +
              z * (2.0876143837993132496e-9lf + z * -1.1382456778061305849e-11lf)))));
  const int quadrant = int(quadrants) & 3;
  sine = (quadrant & 1) == 0 ? s : c;
  cosine = (quadrant & 1) == 0 ? c : s;
  if (quadrant >= 2) sine = -sine;
  if (quadrant == 1 || quadrant == 2) cosine = -cosine;
}
#else
#include "math.glsl"
const T two_pi = 6.28318531;
T log_of(T x) { return t_log(x); }
void turn(T angle, out T sine, out T cosine) {
  sine = t_sin(angle);
  cosine = t_cos(angle);
}
#endif

void main() {
  const uint block = INVOCATION;
  const uint first = block * UNITS;
  if (first >= push.n) return;
  const uvec4 words = DRAW(block);
  for (uint k = 0u; k < UNITS && first + k < push.n; k += 2u) {
    // 1 − u lies in (0, 1]: its logarithm is finite.
    const T radius = NUMBER(deviation) * sqrt(T(-2.0) * log_of(T(1.0) - UNIT(words, k)));
    T sine, cosine;
    turn(two_pi * UNIT(words, k + 1u), sine, cosine);
    AT(y, first + k) = fma(radius, cosine, NUMBER(mean));
    if (first + k + 1u < push.n) AT(y, first + k + 1u) = fma(radius, sine, NUMBER(mean));
  }
}
