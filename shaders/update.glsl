// What the optimizers' shaders share: one dispatch updates many tensors, and each invocation several
// elements of one of them.
//
//     UPDATE_PARAMS(float decay;)   what all the tensors have in common
//     main() { BEGIN_UPDATE  FOR_ELEMENTS(i) { … } }
//
// By address the tensors stand in a table, a row each with its bindings, its number of elements and
// the first workgroup behind its own: CommandRecorder joins dispatches that way. By descriptor there
// is one tensor, whose number of elements is the first parameter.

#ifdef TROUPE_DESCRIPTORS
#define UPDATE_PARAMS(FIELDS) PARAMS(uint n; FIELDS)
#define BEGIN_UPDATE const uint group = GROUP;
#define ELEMENTS push.n
#else
struct Tensor {
  uvec2 address[BINDINGS + MORE_BINDINGS];
  uint n;
  uint end_group;
};
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Tensors {
  Tensor row[];
};
#define UPDATE_PARAMS(FIELDS)                                                \
  layout(push_constant, std430) uniform Push {                               \
    uvec2 table;                                                             \
    uint rows;                                                               \
    FIELDS                                                                   \
  } push;
// By halves: the first row that ends behind this workgroup.
#define BEGIN_UPDATE                                                         \
  Tensors table = Tensors(push.table);                                 \
  uint at = 0u;                                                              \
  for (uint end = push.rows - 1u; at < end;) {                               \
    const uint middle = (at + end) / 2u;                                     \
    if (GROUP < table.row[middle].end_group)                                 \
      end = middle;                                                          \
    else                                                                     \
      at = middle + 1u;                                                      \
  }                                                                          \
  const Tensor tensor = table.row[at];                                       \
  const uint group = GROUP - (at == 0u ? 0u : table.row[at - 1u].end_group);
#undef ADDRESSES
#define ADDRESSES tensor.address
#define ELEMENTS tensor.n
#endif

layout(constant_id = 5) const uint turns = 4;
#define FOR_ELEMENTS(I) FOR_SPREAD_OF(group, I, ELEMENTS, turns)

// The two numbers, float64, that update rules get with each step: the learning rate and the number
// of the step, bound as pairs of words.
#ifdef DTYPE_float64
#define SCALAR(NAME, I) packDouble2x32(AT(NAME, I))
#else
#include "float_bits.glsl"
#define SCALAR(NAME, I) uintBitsToFloat(bits_of(real_of_float64(AT(NAME, I)), format_float32))
#endif
