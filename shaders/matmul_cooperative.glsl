// Products of 16-bit floats by small matrices that a subgroup multiplies together: the products are
// added in float32, and each sum is rounded to 16 bits once, at the end.
//
// A workgroup is DOWN × ACROSS subgroups, each with ROWS × COLUMNS matrices of M × N sums. DEPTH
// steps of k lie in shared memory, the next ones in registers meanwhile, and what an operand does
// not have is 0 there, so that products of any size are made of whole matrices. The numbers move in
// eights, side by side along k or along the other axis, as they lie in memory.
//
// The including shader multiplies what lies in shared memory.

#include "troupe.glsl"
#include "matmul.glsl"
#include "float_bits.glsl"
#extension GL_EXT_control_flow_attributes : require

layout(constant_id = 1) const uint M = 16;
layout(constant_id = 2) const uint N = 16;
layout(constant_id = 3) const uint K = 16;
layout(constant_id = 5) const uint LANES = 32;  // of a subgroup
layout(constant_id = 6) const uint ACROSS = 2;
layout(constant_id = 7) const uint ROWS = 2;
layout(constant_id = 8) const uint COLUMNS = 4;
layout(constant_id = 9) const uint DEPTH = 32;
// Whether an operand's neighbours in memory are numbers along k, and whether eights of them lie at
// multiples of 16 bytes and never half outside.
layout(constant_id = 10) const uint LEFT_ALONG_K = 1;
layout(constant_id = 11) const uint LEFT_WHOLE = 0;
layout(constant_id = 12) const uint RIGHT_ALONG_K = 0;
layout(constant_id = 13) const uint RIGHT_WHOLE = 0;

const uint SUBGROUPS = gl_WorkGroupSize.x / LANES;
const uint DOWN = SUBGROUPS / ACROSS;
const uint TILE_ROWS = DOWN * ROWS * M;
const uint TILE_COLUMNS = ACROSS * COLUMNS * N;
// A line in shared memory, in eights: along k, or along the other axis; and one more, so that the
// lines of a matrix meet all banks.
const uint LEFT_LINE = (LEFT_ALONG_K == 1u ? DEPTH : TILE_ROWS) / 8u;
const uint RIGHT_LINE = (RIGHT_ALONG_K == 1u ? DEPTH : TILE_COLUMNS) / 8u;
const uint LEFT_STRIDE = LEFT_LINE + 1u;
const uint RIGHT_STRIDE = RIGHT_LINE + 1u;
const uint LEFT_COUNT = TILE_ROWS * DEPTH / 8u;
const uint RIGHT_COUNT = TILE_COLUMNS * DEPTH / 8u;
// Eights that an invocation loads at a time.
const uint LEFT_LOADS = (LEFT_COUNT + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x;
const uint RIGHT_LOADS = (RIGHT_COUNT + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x;

#ifdef DTYPE_bfloat16
#define FORMAT format_bfloat16
#else
#define FORMAT format_float16
#endif

BINDING(0, readonly, uint16_t, left)
BINDING_BY(16, 1, readonly, uvec4, left_eights)
BINDING(2, readonly, uint16_t, right)
BINDING_BY(16, 3, readonly, uvec4, right_eights)
BINDING(4, readonly, uint16_t, bias)
BINDING(5, writeonly, uint16_t, c)
// MATMUL_PARAMS without the steps of C, whose rows lie one behind the other.
PARAMS(uint rows; uint columns; uint depth;
       uint left_row; uint left_k; uint right_k; uint right_column;
       uint batch; uint inner; uint middle;
       uint left_inner; uint left_middle; uint left_outer;
       uint right_inner; uint right_middle; uint right_outer;
       uint left_begin; uint right_begin; uint c_begin;
       uint slice_depth;)

shared uvec4 left_shared[LEFT_COUNT / LEFT_LINE * LEFT_STRIDE];
shared uvec4 right_shared[RIGHT_COUNT / RIGHT_LINE * RIGHT_STRIDE];
shared float c_shared[SUBGROUPS * M * N];

// This workgroup's tile, and what a subgroup has of it.
Tile tile;
#define FIRST_ROW (gl_SubgroupID / ACROSS * (ROWS * M))
#define FIRST_COLUMN (gl_SubgroupID % ACROSS * (COLUMNS * N))
#define OWN_SUMS (gl_SubgroupID * (M * N))

// The n-th eight of the part of a tile that begins at step k.
#define LOADER(FUNCTION, NAME, ALONG_K, WHOLE, LINE, ORIGIN, FIRST, COUNT, STEP, K_STEP)          \
  uvec4 FUNCTION(uint n, uint k) {                                                                \
    const uint along = n % LINE * 8u;                                                             \
    const uint line = FIRST + (ALONG_K == 1u ? n / LINE : along);                                 \
    k += ALONG_K == 1u ? along : n / LINE;                                                        \
    const uint first = ORIGIN + line * STEP + k * K_STEP;                                         \
    uvec4 eight = uvec4(0u);                                                                      \
    if (WHOLE == 1u) {                                                                            \
      if (line < COUNT && k < tile.k_end) eight = AT(NAME##_eights, first / 8u);                  \
      return eight;                                                                               \
    }                                                                                             \
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {                                                   \
      const bool inside = ALONG_K == 1u ? line < COUNT && k + i < tile.k_end                      \
                                        : line + i < COUNT && k < tile.k_end;                     \
      if (inside)                                                                                 \
        eight[i / 2u] |= uint(AT(NAME, first + i * (ALONG_K == 1u ? K_STEP : STEP)))              \
            << (16u * (i % 2u));                                                                  \
    }                                                                                             \
    return eight;                                                                                 \
  }
LOADER(left_eight, left, LEFT_ALONG_K, LEFT_WHOLE, LEFT_LINE, tile.left, tile.row, push.rows,
       push.left_row, push.left_k)
LOADER(right_eight, right, RIGHT_ALONG_K, RIGHT_WHOLE, RIGHT_LINE, tile.right, tile.column,
       push.columns, push.right_column, push.right_k)

uvec4 left_next[LEFT_LOADS];
uvec4 right_next[RIGHT_LOADS];

// Loads DEPTH steps from k on into registers.
void load(uint k) {
  [[unroll]] for (uint i = 0u; i < LEFT_LOADS; ++i)
    left_next[i] = left_eight(i * gl_WorkGroupSize.x + gl_LocalInvocationIndex, k);
  [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; ++i)
    right_next[i] = right_eight(i * gl_WorkGroupSize.x + gl_LocalInvocationIndex, k);
}

// Moves what was loaded on into shared memory.
void share() {
  [[unroll]] for (uint i = 0u; i < LEFT_LOADS; ++i) {
    const uint n = i * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (n < LEFT_COUNT) left_shared[n / LEFT_LINE * LEFT_STRIDE + n % LEFT_LINE] = left_next[i];
  }
  [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; ++i) {
    const uint n = i * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (n < RIGHT_COUNT)
      right_shared[n / RIGHT_LINE * RIGHT_STRIDE + n % RIGHT_LINE] = right_next[i];
  }
}

float number_of(uint bits) {
  return uintBitsToFloat(bits_of(real_of(bits, FORMAT), format_float32));
}

// Rounds a subgroup's sums in c_shared, row by row, into C: the matrix in row i, column j of its own.
void write_sums(uint i, uint j) {
  for (uint n = gl_SubgroupInvocationID; n < M * N; n += LANES) {
    const uint row = tile.row + FIRST_ROW + i * M + n / N;
    const uint column = tile.column + FIRST_COLUMN + j * N + n % N;
    if (row < push.rows && column < push.columns) {
      float sum = c_shared[OWN_SUMS + n];
      if (BIAS == 2u) sum += number_of(uint(AT(bias, column)));
      AT(c, tile.c + row * push.columns + column) =
          uint16_t(bits_of(real_of(floatBitsToUint(sum), format_float32), FORMAT));
    }
  }
}
