#include "axis.hpp"
#include "index_walk.hpp"

#include <troupe/tensor/ops/concat.hpp>

namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { outer, outer_a_chunk, row_bytes, axis_bytes };

/// Copies each input's rows, all it has at one outer place, to where they begin in the output.
void run(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t first = chunk * plan.numbers[outer_a_chunk];
  std::int64_t end = first + plan.numbers[outer_a_chunk];
  if (end > plan.numbers[outer]) end = plan.numbers[outer];
  auto* to = call.out[0].as<std::byte>();
  const bool streams = Stream<Arch>::pays(plan.numbers[outer] * plan.numbers[row_bytes]);
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < call.in_count; ++i) {
    const auto bytes =
        Axis<Arch>::of(call.in[i].shape, call.op<Concat>().dim).length * plan.numbers[axis_bytes];
    const auto* from = Contiguous<Arch>::in<std::byte>(call, scratch, i);
    for (std::int64_t o = first; o < end; ++o)
      Stream<Arch>::copy(
          to + o * plan.numbers[row_bytes] + begin,
          from + o * bytes,
          static_cast<std::size_t>(bytes),
          streams);
    begin += bytes;
  }
  if (streams) Stream<Arch>::finish();
}

}  // namespace

template <>
void Kernel<Concat, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const auto axis = Axis<Arch>::of(call.out[0].shape, call.op<Concat>().dim);
  const std::int64_t step = axis.inner * width_of<Arch>(call.out[0].dtype);
  const std::int64_t bytes = axis.length * step;
  if (bytes == 0 || axis.outer == 0) return;
  const std::int64_t per_chunk = bytes < 131072 ? 131072 / bytes : 1;
  plan.numbers = {axis.outer, per_chunk, bytes, step};
  plan.cost_ns += 0.1 * static_cast<double>(axis.outer * bytes) +
                  5.0 * static_cast<double>(axis.outer * call.in_count);
  plan.add(&run, (axis.outer + per_chunk - 1) / per_chunk);
}

}  // namespace troupe::cpu
