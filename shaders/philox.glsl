// Philox4x32-10, as troupe/tensor/philox.hpp: four random words for each block of a random call
// under a seed.

uvec4 philox(uvec2 seed, uvec2 call, uint block) {
  uvec4 c = uvec4(block, 0u, call.x, call.y);
  for (int round = 0; round < 10; ++round) {
    uint a_high, a_low, b_high, b_low;
    umulExtended(0xD2511F53u, c.x, a_high, a_low);
    umulExtended(0xCD9E8D57u, c.z, b_high, b_low);
    c = uvec4(b_high ^ c.y ^ seed.x, b_low, a_high ^ c.w ^ seed.y, a_low);
    seed += uvec2(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}

// The block's words of the call at hand. What a recorded step replays draws under a seed that came
// with the replay, and counts its calls from one that came along: both stand in the binding `state`.
layout(constant_id = 2) const bool replayed = false;
uvec2 plus(uvec2 a, uvec2 b) {
  uint carry;
  const uint low = uaddCarry(a.x, b.x, carry);
  return uvec2(low, a.y + b.y + carry);
}
#define DRAW(BLOCK)                                                          \
  philox(                                                                    \
      replayed ? uvec2(AT(state, 0u), AT(state, 1u)) : uvec2(push.seed[0], push.seed[1]), \
      plus(replayed ? uvec2(AT(state, 2u), AT(state, 3u)) : uvec2(0u),       \
           uvec2(push.call[0], push.call[1])),                               \
      BLOCK)

// A number in [0, 1) of 24 random bits.
float unit_float(uint bits) { return float(bits >> 8) * 5.9604644775390625e-8; }

#ifdef DTYPE_float64
// A number in [0, 1) of 53 random bits.
double unit_double(uint low, uint high) {
  precise double x = double(high >> 5) * 7.450580596923828125e-9lf +
                     double(low >> 6) * 1.1102230246251565404236316680908203125e-16lf;
  return x;
}
#endif

// How many numbers of the dtype one block makes, and the k-th of them.
#ifdef DTYPE_float64
#define UNITS 2u
#define UNIT(BLOCK, K) unit_double((BLOCK)[2u * (K)], (BLOCK)[2u * (K) + 1u])
#else
#define UNITS 4u
#define UNIT(BLOCK, K) unit_float((BLOCK)[K])
#endif
