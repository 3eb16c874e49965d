// The class of sample n, from int64 or int32; `classes` where it is none of them or ignored.
// Included after the bindings `target` and `fault` and the parameters.

layout(constant_id = 1) const bool TARGET_INT32 = false;

uint class_of(uint n) {
  // As the two halves of an int64.
  uvec2 c;
  if (TARGET_INT32) {
    const uint low = AT(target, n);
    c = uvec2(low, low >> 31 == 0u ? 0u : 0xffffffffu);
  } else {
    c = uvec2(AT(target, 2u * n), AT(target, 2u * n + 1u));
  }
  if (c == uvec2(push.ignored_low, push.ignored_high)) return push.classes;
  if (c.y == 0u && c.x < push.classes) return c.x;
  atomicCompSwap(AT(fault, 0), 0u, push.op);
  return push.classes;
}
