// One step of stochastic gradient descent; see troupe/tensor/ops/sgd_update.hpp. Reads an element
// of each input before it writes: an output may be an input's own memory.
//
// variants: float32 float64
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 6
#include "troupe.glsl"
#include "number.glsl"
#include "math.glsl"
#include "update.glsl"

layout(constant_id = 1) const bool has_momentum = false;
layout(constant_id = 2) const bool nesterov = false;
layout(constant_id = 3) const bool maximize = false;
layout(constant_id = 4) const bool has_decay = false;

// Without momentum the buffers are the weights and not touched.
BINDING(0, readonly, T, w)
BINDING(1, readonly, T, buf)
#define GRADIENT_BINDING 2
#include "gradient.glsl"
BINDING(3, readonly, uvec2, scalars)
BINDING(4, writeonly, T, new_w)
BINDING(5, writeonly, T, new_buf)
UPDATE_PARAMS(NUMBER_PARAM(decay) NUMBER_PARAM(momentum) NUMBER_PARAM(fresh))

void main() {
  BEGIN_UPDATE
  const T minus_rate = -SCALAR(scalars, 0u);
  const uvec2 step = AT(scalars, 1u);
  const bool first_step = step.x == 0u && step.y == 0x3ff00000u;
  FOR_ELEMENTS(i) {
    const T weight = AT(w, i);
    T d = GRADIENT(i);
    if (maximize) d = -d;
    if (has_decay) d = fma(weight, NUMBER(decay), d);
    if (has_momentum) {
      T state = d;
      if (!first_step) state = fma(AT(buf, i), NUMBER(momentum), d * NUMBER(fresh));
      AT(new_buf, i) = state;
      d = nesterov ? fma(state, NUMBER(momentum), d) : state;
    }
    AT(new_w, i) = fma(d, minus_rate, weight);
  }
}
