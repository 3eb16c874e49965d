#include "amx_tiles.hpp"
#include "gemm_tiles.hpp"
#include "limit_loops.hpp"
#include "narrow_sets.hpp"
#include "product_of.hpp"

#include <cstdint>

namespace troupe {
struct Matmul;  // have no attributes, so their names are all the kernels need
struct Linear;
}  // namespace troupe

namespace troupe::cpu {

template <>
void Kernel<Matmul, amx>::plan(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_matmul<amx>(call, vector);
  if (!takes_tiles<amx>(call, product, vector)) return Kernel<Matmul, avx512bf16>::plan(call, plan);
  plan_tiles<amx, AmxTiles<amx>>(call, plan, product);
}

template <>
void Kernel<Linear, amx>::plan(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_linear<amx>(call, vector);
  if (!takes_tiles<amx>(call, product, vector)) return Kernel<Linear, avx512bf16>::plan(call, plan);
  plan_tiles<amx, AmxTiles<amx>>(call, plan, product);
}

template <>
double bfloat16_peak<amx>(std::int64_t rounds) noexcept {
  AmxTiles<amx> tiles;
  tiles.zero<0>();
  tiles.zero<1>();
  tiles.zero<2>();
  tiles.zero<3>();
  tiles.zero<4>();
  tiles.zero<5>();
  for (std::int64_t round = 0; round < rounds; ++round) {
    tiles.multiply<0, 4, 5>();
    tiles.multiply<1, 4, 5>();
    tiles.multiply<2, 4, 5>();
    tiles.multiply<3, 4, 5>();
  }
  constexpr double operations = 16 * 16 * 32 * 2;  // of an instruction
  return 4 * operations * static_cast<double>(rounds);
}

}  // namespace troupe::cpu
