#include "contiguous.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/sgd_update.hpp>

namespace troupe::cpu {
namespace {

constexpr std::int64_t chunk_elements = 32768;

/// Reads all that a register of elements needs before it writes: outputs may be the inputs' memory.
template <class T>
void run(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using L = Lanes<T, Arch>;
  using V = typename L::V;
  const auto& op = call.op<SgdUpdate>();
  const bool has_momentum = op.momentum != 0;
  const T* w = C::in<T>(call, scratch, 0);
  const T* buf = has_momentum ? C::in<T>(call, scratch, 1) : nullptr;
  const T* g = C::in<T>(call, scratch, has_momentum ? 2 : 1);
  const auto* scalars = C::in<double>(call, scratch, has_momentum ? 3 : 2);
  T* new_w = call.out[0].as<T>();
  T* new_buf = has_momentum ? call.out[1].as<T>() : nullptr;

  const V minus_rate(static_cast<T>(-scalars[0]));
  const bool first_step = scalars[1] == 1;
  const V decay(static_cast<T>(op.weight_decay));
  const V momentum(static_cast<T>(op.momentum));
  const V fresh(static_cast<T>(1 - op.dampening));
  const std::int64_t all = call.out[0].elements();
  const std::int64_t begin = chunk * chunk_elements;
  const std::int64_t end = begin + chunk_elements < all ? begin + chunk_elements : all;
  for (std::int64_t i = begin; i < end; i += L::count) {
    const std::int64_t n = end - i;
    const V weight = L::load(w + i, n, T(0));
    V d = L::load(g + i, n, T(0));
    if (op.maximize) d = -d;
    if (op.weight_decay != 0) d = fused_multiply_add(weight, decay, d);
    if (has_momentum) {
      const V state =
          first_step ? d : fused_multiply_add(L::load(buf + i, n, T(0)), momentum, d * fresh);
      L::store(new_buf + i, n, state);
      d = op.nesterov ? fused_multiply_add(state, momentum, d) : state;
    }
    L::store(new_w + i, n, fused_multiply_add(d, minus_rate, weight));
  }
}

}  // namespace

template <>
void Kernel<SgdUpdate, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t all = call.out[0].elements();
  if (all == 0) return;
  const bool wide = call.out[0].dtype == DType::float64;
  plan.cost_ns += static_cast<double>(all) * (wide ? 1.2 : 0.6);
  plan.add(wide ? &run<double> : &run<float>, (all + chunk_elements - 1) / chunk_elements);
}

}  // namespace troupe::cpu
