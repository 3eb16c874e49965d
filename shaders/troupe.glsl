// What every shader begins with, after
//
//     #version 460
//     #extension GL_GOOGLE_include_directive : require
//     #define BINDINGS n
//
//     BINDING(0, readonly, T, x)           tensors, numbered from 0; elements are AT(x, i)
//     BINDING(1, writeonly, T, y)
//     BINDING_BY(16, 2, readonly, vec4, z) as BINDING, and each element lies at a multiple of 16
//                                          bytes: drivers then load it at once, not word by word
//     PARAMS(uint n; float alpha;)         numbers of 32 bits, in the order of the struct in C++
//
// Each shader is compiled twice. With buffer addresses a tensor is a pointer in the push constants;
// with descriptors (TROUPE_DESCRIPTORS) it is a bound buffer and the place where it begins, so that
// the validation layers see every access. AT hides which.
//
// T is the dtype a shader is compiled for, with DTYPE_float32 and so on defined; A is what sums of it
// are kept in.

#extension GL_EXT_buffer_reference2 : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_shader_8bit_storage : enable
#extension GL_EXT_shader_16bit_storage : enable
#extension GL_EXT_shader_explicit_arithmetic_types : enable
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Invocations in a workgroup along x; a kernel that folds lines gets one subgroup or a few.
layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

// Of a shader that is varied at run time.
#ifndef MORE_BINDINGS
#define MORE_BINDINGS 0
#endif

#ifdef TROUPE_DESCRIPTORS
#define BINDING_BY(ALIGNMENT, NUMBER, ACCESS, TYPE, NAME)                    \
  layout(set = 0, binding = NUMBER, std430) ACCESS buffer NAME##_block {     \
    TYPE NAME##_data[];                                                      \
  };                                                                         \
  const uint NAME##_binding = NUMBER;
#define AT(NAME, I) NAME##_data[push.begin[NAME##_binding] + (I)]
#define PARAMS(FIELDS)                                                        \
  layout(push_constant, std430) uniform Push {                               \
    uint begin[BINDINGS + MORE_BINDINGS];                                                    \
    FIELDS                                                                   \
  } push;
#else
#define BINDING_BY(ALIGNMENT, NUMBER, ACCESS, TYPE, NAME)                    \
  layout(buffer_reference, std430, buffer_reference_align = ALIGNMENT)       \
  ACCESS buffer NAME##_reference {                                           \
    TYPE NAME##_data[];                                                      \
  };                                                                         \
  const uint NAME##_binding = NUMBER;
#define AT(NAME, I) NAME##_reference(ADDRESSES[NAME##_binding]).NAME##_data[I]
#define ADDRESSES push.address
#define PARAMS(FIELDS)                                                        \
  layout(push_constant, std430) uniform Push {                               \
    uvec2 address[BINDINGS + MORE_BINDINGS];                                                 \
    FIELDS                                                                   \
  } push;
#endif

// Tensors begin at a multiple of their elements' size, views at any element.
#define ALIGNMENT_uint8_t 1
#define ALIGNMENT_uint16_t 2
#define ALIGNMENT_float16_t 2
#define ALIGNMENT_float 4
#define ALIGNMENT_int 4
#define ALIGNMENT_uint 4
#define ALIGNMENT_vec2 4
#define ALIGNMENT_uvec2 4
#define ALIGNMENT_uvec4 4
#define ALIGNMENT_double 8
#define ALIGNMENT_int64_t 8
#define JOINED_WORDS(A, B) A##B
#define ALIGNMENT_OF(TYPE) JOINED_WORDS(ALIGNMENT_, TYPE)
#define BINDING(NUMBER, ACCESS, TYPE, NAME)                                  \
  BINDING_BY(ALIGNMENT_OF(TYPE), NUMBER, ACCESS, TYPE, NAME)

// A launch has at most 65,535 groups along an axis: what is longer goes on along y.
#define GROUP (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x)
#define INVOCATION (GROUP * gl_WorkGroupSize.x + gl_LocalInvocationIndex)
// Those of N elements that an invocation takes, a workgroup's size apart: Encoder::spread.
#define FOR_SPREAD(I, N, TURNS) FOR_SPREAD_OF(GROUP, I, N, TURNS)
#define FOR_SPREAD_OF(NUMBER_OF_GROUP, I, N, TURNS)                          \
  for (uint I = NUMBER_OF_GROUP * (TURNS) * gl_WorkGroupSize.x + gl_LocalInvocationIndex, \
            turn = 0u;                                                       \
       turn < (TURNS) && I < (N);                                            \
       ++turn, I += gl_WorkGroupSize.x)

// Infinity and NaN by their bits: what a compiler may assume of arithmetic that makes them differs.
#define INFINITY_F uintBitsToFloat(0x7f800000u)
#define NAN_F uintBitsToFloat(0x7fc00000u)
bool is_nan_bits(float x) { return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u; }
