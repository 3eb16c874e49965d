#include "amx_tiles.hpp"
#include "conv2d_tiles.hpp"
#include "conv2d_weight_tiles.hpp"
#include "narrow_sets.hpp"

namespace troupe::cpu {

template <>
void Kernel<Conv2d, amx>::plan(const KernelCall& call, Plan& plan) {
  if (!plan_tile_correlation<amx, AmxTiles<amx>>(call, CorrelationKind::forward, plan))
    Kernel<Conv2d, Arch>::plan(call, plan);
}

template <>
void Kernel<Conv2dBackwardInput, amx>::plan(const KernelCall& call, Plan& plan) {
  if (!plan_tile_correlation<amx, AmxTiles<amx>>(call, CorrelationKind::backward_input, plan))
    Kernel<Conv2dBackwardInput, Arch>::plan(call, plan);
}

template <>
void Kernel<Conv2dBackwardWeight, amx>::plan(const KernelCall& call, Plan& plan) {
  if (!plan_tile_weight<amx, AmxTiles<amx>>(call, plan))
    Kernel<Conv2dBackwardWeight, Arch>::plan(call, plan);
}

}  // namespace troupe::cpu
