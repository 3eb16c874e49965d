// Folds over all invocations of a workgroup, in an order that depends on nothing but its size: within
// subgroups first, then over them through shared memory. Every invocation gets the result, and all
// must call. A workgroup of one subgroup touches no shared memory.
//
// FOLD_TYPE   what is folded: float, int, …

shared FOLD_TYPE fold_shared[32];  // at most 32 subgroups: 1,024 invocations of 32

#define FOLD(NAME, SUBGROUP, COMBINE)                                        \
  FOLD_TYPE NAME(FOLD_TYPE value) {                                          \
    value = SUBGROUP(value);                                                 \
    if (gl_NumSubgroups == 1u) return value;                                 \
    if (subgroupElect()) fold_shared[gl_SubgroupID] = value;                 \
    barrier();                                                               \
    FOLD_TYPE total = fold_shared[0];                                        \
    for (uint i = 1u; i < gl_NumSubgroups; ++i) total = COMBINE(total, fold_shared[i]); \
    barrier();                                                               \
    return total;                                                            \
  }
#define FOLD_ADD(a, b) ((a) + (b))
#define FOLD_MUL(a, b) ((a) * (b))
FOLD(group_sum, subgroupAdd, FOLD_ADD)
FOLD(group_max, subgroupMax, max)
FOLD(group_min, subgroupMin, min)
