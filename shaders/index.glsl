// Index tensors of int32 or int64, bound as words of 4 bytes with a binding `fault` beside them.
// Takes constant_id 1; needs push.op.

layout(constant_id = 1) const uint index_words = 2;  // of one index: 1 for int32, 2 for int64

// Element I of an index tensor; ~0u, which no tensor is long enough for, where it is negative or
// needs more than 32 bits.
#define INDEX(NAME, I)                                            \
  (index_words == 1u ? index_of_int32(AT(NAME, I))                \
                     : index_of_int64(AT(NAME, 2u * (I)), AT(NAME, 2u * (I) + 1u)))
uint index_of_int32(uint word) { return int(word) < 0 ? ~0u : word; }
uint index_of_int64(uint low, uint high) { return high != 0u ? ~0u : low; }

// Says that the call met an index out of range; the first to say so stays.
#define REPORT_FAULT() atomicCompSwap(AT(fault, 0u), 0u, push.op)
