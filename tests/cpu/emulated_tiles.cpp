#include "emulated_tiles.hpp"

#include "gemm_tiles.hpp"
#include "memory_tiles.hpp"
#include "narrow_sets.hpp"
#include "product_of.hpp"

namespace troupe {
struct Matmul;
struct Linear;
}  // namespace troupe

namespace troupe::cpu::test {
namespace {

struct emulated {};

}  // namespace

void plan_emulated_matmul(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_matmul<emulated>(call, vector);
  if (!plan_tiles<emulated, EmulatedTiles<emulated>>(call, plan, product, vector))
    Kernel<Matmul, avx512bf16>::plan(call, plan);
}

void plan_emulated_linear(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_linear<emulated>(call, vector);
  if (!plan_tiles<emulated, EmulatedTiles<emulated>>(call, plan, product, vector))
    Kernel<Linear, avx512bf16>::plan(call, plan);
}

}  // namespace troupe::cpu::test
