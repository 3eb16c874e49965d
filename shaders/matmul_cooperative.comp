// matmul_cooperative.glsl by the cooperative matrices of a GPU.
//
// variants: float16 bfloat16
// newer: GL_KHR_cooperative_matrix, bfloat16 GL_EXT_bfloat16
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#ifdef DTYPE_bfloat16
#extension GL_EXT_bfloat16 : require
#define NUMBER bfloat16_t
#else
#define NUMBER float16_t
#endif
#define BINDINGS 6
#include "matmul_cooperative.glsl"

#define SUMS coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>

// As many as a subgroup has of any tile (`CooperativeTile::sums_max`).
SUMS sums[64];

// Which invocation holds which sum only the driver knows: through shared memory, a matrix of each
// subgroup at a time. No loop, for with a barrier in it drivers do not unroll it, and sums that are
// numbered at run time lie in memory, not in registers.
#define WRITE(I)                                                                              \
  if (I < ROWS * COLUMNS) {                                                                   \
    coopMatStore(sums[I], c_shared, OWN_SUMS, N, gl_CooperativeMatrixLayoutRowMajor);         \
    subgroupMemoryBarrierShared();                                                            \
    subgroupBarrier();                                                                        \
    write_sums(I / COLUMNS, I % COLUMNS);                                                     \
    subgroupBarrier();                                                                        \
  }
#define WRITE_4(I) WRITE(I) WRITE(I + 1u) WRITE(I + 2u) WRITE(I + 3u)
#define WRITE_16(I) WRITE_4(I) WRITE_4(I + 4u) WRITE_4(I + 8u) WRITE_4(I + 12u)

void main() {
  SET_TILE(tile, TILE_ROWS, TILE_COLUMNS)
  if (!TILE_EXISTS(tile)) return;  // the whole group
  [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; ++i) sums[i] = SUMS(0.0);
  load(tile.k_begin);
  for (uint k = tile.k_begin; k < tile.k_end; k += DEPTH) {
    share();
    barrier();
    if (k + DEPTH < tile.k_end) load(k + DEPTH);
    [[unroll]] for (uint q = 0u; q < DEPTH; q += K) {
      coopmat<NUMBER, gl_ScopeSubgroup, M, K, gl_MatrixUseA> left_some[ROWS];
      [[unroll]] for (uint i = 0u; i < ROWS; ++i) {
        const uint row = FIRST_ROW + i * M;
        if (LEFT_ALONG_K == 1u)
          coopMatLoad(left_some[i], left_shared, row * LEFT_STRIDE + q / 8u, LEFT_STRIDE,
                      gl_CooperativeMatrixLayoutRowMajor);
        else
          coopMatLoad(left_some[i], left_shared, q * LEFT_STRIDE + row / 8u, LEFT_STRIDE,
                      gl_CooperativeMatrixLayoutColumnMajor);
      }
      [[unroll]] for (uint j = 0u; j < COLUMNS; ++j) {
        const uint column = FIRST_COLUMN + j * N;
        coopmat<NUMBER, gl_ScopeSubgroup, K, N, gl_MatrixUseB> right_some;
        if (RIGHT_ALONG_K == 1u)
          coopMatLoad(right_some, right_shared, column * RIGHT_STRIDE + q / 8u, RIGHT_STRIDE,
                      gl_CooperativeMatrixLayoutColumnMajor);
        else
          coopMatLoad(right_some, right_shared, q * RIGHT_STRIDE + column / 8u, RIGHT_STRIDE,
                      gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint i = 0u; i < ROWS; ++i)
          sums[i * COLUMNS + j] = coopMatMulAdd(left_some[i], right_some, sums[i * COLUMNS + j]);
      }
    }
    barrier();
  }
  WRITE_16(0u) WRITE_16(16u) WRITE_16(32u) WRITE_16(48u)
}
