#include "emulated_tiles.hpp"

#include "conv2d_tiles.hpp"
#include "conv2d_weight_tiles.hpp"
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

/// What tiles cannot do. What they do not pay for, they do here: it is what tests can afford.
bool left_to_others(const Product& product, bool vector) {
  return vector || product.m * product.n * product.k * product.batch == 0;
}

}  // namespace

void plan_emulated_matmul(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_matmul<emulated>(call, vector);
  if (left_to_others(product, vector)) return Kernel<Matmul, avx512bf16>::plan(call, plan);
  plan_tiles<emulated, EmulatedTiles<emulated>>(call, plan, product);
}

void plan_emulated_linear(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_linear<emulated>(call, vector);
  if (left_to_others(product, vector)) return Kernel<Linear, avx512bf16>::plan(call, plan);
  plan_tiles<emulated, EmulatedTiles<emulated>>(call, plan, product);
}

void plan_emulated_conv2d(const KernelCall& call, Plan& plan) {
  using Tiles = EmulatedTiles<emulated>;
  if (!plan_tile_correlation<emulated, Tiles>(call, CorrelationKind::forward, plan))
    Kernel<Conv2d, Arch>::plan(call, plan);
}

void plan_emulated_conv2d_input(const KernelCall& call, Plan& plan) {
  using Tiles = EmulatedTiles<emulated>;
  if (!plan_tile_correlation<emulated, Tiles>(call, CorrelationKind::backward_input, plan))
    Kernel<Conv2dBackwardInput, Arch>::plan(call, plan);
}

void plan_emulated_conv2d_weight(const KernelCall& call, Plan& plan) {
  if (!plan_tile_weight<emulated, EmulatedTiles<emulated>>(call, plan))
    Kernel<Conv2dBackwardWeight, Arch>::plan(call, plan);
}

}  // namespace troupe::cpu::test
