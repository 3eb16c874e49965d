#include "axis.hpp"
#include "check_indices.hpp"
#include "index_walk.hpp"

#include <troupe/tensor/ops/nll_loss.hpp>

// One element of each sample is looked at. Losses are added in double, first within a chunk and
// then in the order of the chunks.
namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { classes, inner, samples, samples_a_chunk };

struct Range {
  std::int64_t first;
  std::int64_t end;

  Range(const Plan& plan, std::uint32_t chunk)
      : first(chunk * plan.numbers[samples_a_chunk]), end(first + plan.numbers[samples_a_chunk]) {
    if (end > plan.numbers[samples]) end = plan.numbers[samples];
  }
};

/// Where sample n's class c lies among the inputs.
std::int64_t place_of(const Plan& plan, std::int64_t n, std::int64_t c) {
  const std::int64_t size = plan.numbers[inner];
  return (n / size * plan.numbers[classes] + c) * size + n % size;
}

template <class T>
void run_loss(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  const auto& op = call.op<NllLoss>();
  const T* x = C::in<T>(call, scratch, 0);
  const auto target = Indices<Arch>::of(call, scratch, 1);
  const T* weight = call.in_count > 2 ? C::in<T>(call, scratch, 2) : nullptr;
  double loss = 0;
  double divisor = 0;
  const Range range(plan, chunk);
  for (std::int64_t n = range.first; n < range.end; ++n) {
    const std::int64_t c = target[n];
    const bool counts = c != op.ignore_index && c >= 0 && c < plan.numbers[classes];
    const T w = !counts ? T(0) : weight ? weight[c] : T(1);
    const T value = counts ? -w * x[place_of(plan, n, c)] : T(0);
    divisor += static_cast<double>(w);
    loss += static_cast<double>(value);
    if (op.reduction == Reduction::none) call.out[0].as<T>()[n] = value;
  }
  auto* partials = reinterpret_cast<double*>(C::rest(call, scratch));
  partials[2 * chunk] = loss;
  partials[2 * chunk + 1] = divisor;
}

template <class T>
void finish(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte* scratch) {
  const auto* partials = reinterpret_cast<const double*>(Contiguous<Arch>::rest(call, scratch));
  double loss = 0;
  double divisor = 0;
  for (std::uint32_t i = 0; i < plan.phases[plan.phase_count - 2].chunks; ++i) {
    loss += partials[2 * i];
    divisor += partials[2 * i + 1];
  }
  *call.out[1].as<T>() = static_cast<T>(divisor);
  const Reduction reduction = call.op<NllLoss>().reduction;
  if (reduction != Reduction::none)
    *call.out[0].as<T>() = static_cast<T>(reduction == Reduction::mean ? loss / divisor : loss);
}

template <class T>
void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  const auto& op = call.op<NllLossBackward>();
  const T* dloss = C::in<T>(call, scratch, 0);
  const auto target = Indices<Arch>::of(call, scratch, 1);
  const T divisor = *C::in<T>(call, scratch, 2);
  const T* weight = call.in_count > 3 ? C::in<T>(call, scratch, 3) : nullptr;
  T* dx = call.out[0].as<T>();
  const Range range(plan, chunk);
  for (std::int64_t n = range.first; n < range.end; ++n) {
    for (std::int64_t c = 0; c < plan.numbers[classes]; ++c) dx[place_of(plan, n, c)] = T(0);
    const std::int64_t c = target[n];
    if (c == op.ignore_index || c < 0 || c >= plan.numbers[classes]) continue;
    const T given = dloss[op.reduction == Reduction::none ? n : 0];
    const T scale = op.reduction == Reduction::mean ? given / divisor : given;
    dx[place_of(plan, n, c)] = -(weight ? weight[c] : T(1)) * scale;
  }
}

/// Cuts the samples of logits of this shape; gives the chunks, at least one.
std::int64_t cut(
    const KernelCall& call, Plan& plan, const Shape& shape, std::int64_t ignore_index) {
  const auto axis = Axis<Arch>::of(shape, shape.size() == 1 ? 0 : 1);
  check_indices(call.in[1], 0, axis.length, "the target's class", &ignore_index);
  const std::int64_t count = axis.outer * axis.inner;
  plan.numbers = {axis.length, axis.inner, count, 4096};
  return count == 0 ? 1 : (count + 4095) / 4096;
}

}  // namespace

template <>
void Kernel<NllLoss, Arch>::plan(const KernelCall& call, Plan& plan) {
  const std::int64_t chunks = cut(call, plan, call.in[0].shape, call.op<NllLoss>().ignore_index);
  Contiguous<Arch>::plan(call, plan, static_cast<std::size_t>(chunks) * 2 * sizeof(double));
  const bool wide = call.in[0].dtype == DType::float64;
  plan.cost_ns += 4 * static_cast<double>(plan.numbers[samples]);
  plan.add(wide ? &run_loss<double> : &run_loss<float>, chunks);
  plan.add(wide ? &finish<double> : &finish<float>, 1);
}

template <>
void Kernel<NllLossBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  const std::int64_t chunks =
      cut(call, plan, call.out[0].shape, call.op<NllLossBackward>().ignore_index);
  Contiguous<Arch>::plan(call, plan);
  const bool wide = call.out[0].dtype == DType::float64;
  plan.cost_ns += static_cast<double>(call.out[0].elements());
  plan.add(wide ? &run_backward<double> : &run_backward<float>, chunks);
}

}  // namespace troupe::cpu
