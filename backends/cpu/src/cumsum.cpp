#include "axis.hpp"
#include "contiguous.hpp"
#include "simd.hpp"

#include <troupe/tensor/ops/cumsum.hpp>

namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { outer, length, inner, outer_a_chunk };

/// Each outer place by itself: row by row of `inner` elements, every one added to the row before.
template <class T>
void run(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t size = plan.numbers[inner];
  const std::int64_t rows = plan.numbers[length];
  const bool reverse = call.op<Cumsum>().reverse;
  const std::int64_t first = chunk * plan.numbers[outer_a_chunk];
  std::int64_t end = first + plan.numbers[outer_a_chunk];
  if (end > plan.numbers[outer]) end = plan.numbers[outer];
  for (std::int64_t o = first; o < end; ++o) {
    const T* x = Contiguous<Arch>::in<T>(call, scratch, 0) + o * rows * size;
    T* y = call.out[0].as<T>() + o * rows * size;
    const std::int64_t start = reverse ? (rows - 1) * size : 0;
    const std::int64_t step = reverse ? -size : size;
    for (std::int64_t i = 0; i < size; ++i) y[start + i] = x[start + i];
    for (std::int64_t r = 1; r < rows; ++r) {
      const std::int64_t at = start + r * step;
      for (std::int64_t i = 0; i < size; ++i) y[at + i] = y[at - step + i] + x[at + i];
    }
  }
}

Plan::Run run_for(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return &run<double>;
    // Unsigned: sums of integers wrap around, as everywhere in integer arithmetic here.
    case DType::int32:
      return &run<std::uint32_t>;
    case DType::int64:
      return &run<std::uint64_t>;
    default:
      return &run<float>;
  }
}

}  // namespace

template <>
void Kernel<Cumsum, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const auto axis = Axis<Arch>::of(call.in[0].shape, call.op<Cumsum>().dim);
  const std::int64_t elements = axis.length * axis.inner;
  if (elements * axis.outer == 0) return;
  const std::int64_t per_chunk = elements < 16384 ? 16384 / elements : 1;
  plan.numbers = {axis.outer, axis.length, axis.inner, per_chunk};
  plan.cost_ns += static_cast<double>(axis.outer * elements);
  plan.add(run_for(call.in[0].dtype), (axis.outer + per_chunk - 1) / per_chunk);
}

}  // namespace troupe::cpu
