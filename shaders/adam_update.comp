// One step of Adam or AdamW; see troupe/tensor/ops/adam_update.hpp. Reads an element of each input
// before it writes: an output may be an input's own memory.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 10
#include "troupe.glsl"
#include "number.glsl"
#include "math.glsl"
#include "update.glsl"

layout(constant_id = 1) const bool amsgrad = false;
layout(constant_id = 2) const bool maximize = false;
layout(constant_id = 3) const bool has_decay = false;
layout(constant_id = 4) const bool decoupled = false;

// Without amsgrad the bounds u are the second moments and not touched.
BINDING(0, readonly, T, w)
BINDING(1, readonly, T, m)
BINDING(2, readonly, T, v)
BINDING(3, readonly, T, u)
#define GRADIENT_BINDING 4
#include "gradient.glsl"
BINDING(5, readonly, uvec2, scalars)
BINDING(6, writeonly, T, new_w)
BINDING(7, writeonly, T, new_m)
BINDING(8, writeonly, T, new_v)
BINDING(9, writeonly, T, new_u)

// What the betas give: 1 − beta, for one step and, as `correction`, 1 − beta^step.
#ifdef DTYPE_float64
UPDATE_PARAMS(NUMBER_PARAM(beta1) NUMBER_PARAM(beta2) NUMBER_PARAM(eps) NUMBER_PARAM(decay))
#define FRESH1 (1.0lf - NUMBER(beta1))
#define FRESH2 (1.0lf - NUMBER(beta2))
T correction(T beta, T steps) {
  // Steps are whole numbers: the power by squaring.
  T power = 1.0lf;
  for (uint step = uint(steps); step != 0u; step >>= 1) {
    if ((step & 1u) != 0u) power *= beta;
    beta *= beta;
  }
  return 1.0lf - power;
}
#define CORRECTION1(STEP) correction(NUMBER(beta1), STEP)
#define CORRECTION2(STEP) correction(NUMBER(beta2), STEP)
#else
// The logarithms of the betas come in two parts: 1 − beta^step is made from them without the digits
// that a subtraction from 1 would lose.
UPDATE_PARAMS(uint beta1_low; uint beta2_low; uint eps_low; uint decay_low; float fresh1;
       float fresh2; float log1[2]; float log2[2];)
#define FRESH1 push.fresh1
#define FRESH2 push.fresh2
T correction(float log_high, float log_low, float step) {
  return -t_expm1(step * log_high + step * log_low);
}
#define CORRECTION1(STEP) correction(push.log1[0], push.log1[1], STEP)
#define CORRECTION2(STEP) correction(push.log2[0], push.log2[1], STEP)
#endif

void main() {
  BEGIN_UPDATE
  const T rate = SCALAR(scalars, 0u);
  const T step = SCALAR(scalars, 1u);
  const T root2 = sqrt(CORRECTION2(step));
  const T minus_step = -rate / CORRECTION1(step);
  const T shrink = T(1) - rate * NUMBER(decay);
  FOR_ELEMENTS(i) {
    T weight = AT(w, i);
    T d = GRADIENT(i);
    if (maximize) d = -d;
    if (has_decay) {
      if (decoupled)
        weight *= shrink;
      else
        d = fma(weight, NUMBER(decay), d);
    }
    const T first = fma(d, FRESH1, AT(m, i) * NUMBER(beta1));
    const T second = fma(d * d, FRESH2, AT(v, i) * NUMBER(beta2));
    T spread = second;
    if (amsgrad) {
      spread = max(AT(u, i), second);
      AT(new_u, i) = spread;
    }
    AT(new_m, i) = first;
    AT(new_v, i) = second;
    AT(new_w, i) = fma(first / (sqrt(spread) / root2 + NUMBER(eps)), minus_step, weight);
  }
}
