// What a sample of cross entropy wants of its classes, w·q: a dense part, which is there for
// probabilities and for label smoothing only, and a single entry at the sample's class. Included
// after lines.glsl and the bindings `target` and `probabilities` (the same memory, of which one is
// read), `weight` and `fault`; it declares the parameters.

#include "number.glsl"

PARAMS(LINE_PARAMS uint op; uint ignored_low; uint ignored_high;
       NUMBER_PARAM(keep) NUMBER_PARAM(share))

layout(constant_id = 2) const uint TARGET = 0;  // classes in 0: int64, 1: int32; 2: probabilities
layout(constant_id = 3) const bool WEIGHTED = false;
#ifdef CROSS_ENTROPY_BACKWARD
layout(constant_id = 4) const uint REDUCTION = 0;  // 0: none, 1: mean, 2: sum
#endif

struct Wanted {
  bool counts;  // false: ignored
  uint place;   // of the sample's class; beyond all: none
  A weight;     // of that class
  A entry;      // keep · weight
};

Wanted wanted_of(uint line) {
  Wanted wanted = Wanted(true, 0xffffffffu, A(1), A(0));
  if (TARGET == 2u) return wanted;
  // The class as the two halves of an int64.
  uvec2 c;
  if (TARGET == 0u) {
    c = uvec2(AT(target, 2u * line), AT(target, 2u * line + 1u));
  } else {
    const uint low = AT(target, line);
    c = uvec2(low, low >> 31 == 0u ? 0u : 0xffffffffu);
  }
  wanted.counts = c != uvec2(push.ignored_low, push.ignored_high);
  if (wanted.counts && (c.y != 0u || c.x >= push.extent)) {
    if (LINE_LEADER) atomicCompSwap(AT(fault, 0), 0u, push.op);
    wanted.counts = false;
  }
  if (!wanted.counts) return wanted;
  wanted.place = c.x;
  if (WEIGHTED) wanted.weight = AT(weight, c.x);
  wanted.entry = NUMBER(keep) * wanted.weight;
  return wanted;
}

// Whether there is a dense part.
bool is_dense() { return TARGET == 2u || NUMBER(share) != A(0); }

// The dense part of class c, whose logit lies at `at`.
A dense_at(uint c, uint at) {
  A q = NUMBER(share);
  if (TARGET == 2u) q = AT(probabilities, at) * NUMBER(keep) + q;
  return WEIGHTED ? AT(weight, c) * q : q;
}

// Σ w·q over the classes of a sample that counts; called by the whole line.
A total_of(Wanted wanted, uint first) {
  if (!is_dense()) return wanted.entry;
  Wide dense = wide(T(0));
  FOR_LINE(c) dense = wide_add(dense, dense_at(c, first + c * push.inner));
  return wanted.entry + line_sum(dense);
}

#ifdef CROSS_ENTROPY_BACKWARD
// What the gradient of a sample is multiplied by.
A scale_of(Wanted wanted, uint line) {
  if (!wanted.counts) return A(0);
  if (REDUCTION == 0u) return AT(dloss, line);
  return REDUCTION == 1u ? AT(dloss, 0) / AT(divisor, 0) : AT(dloss, 0);
}
#endif
