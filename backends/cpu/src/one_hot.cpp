#include "check_indices.hpp"
#include "index_walk.hpp"

#include <troupe/tensor/ops/one_hot.hpp>

namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { samples, classes, samples_a_chunk };

void run(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const auto indices = Indices<Arch>::of(call, scratch, 0);
  const std::int64_t first = chunk * plan.numbers[samples_a_chunk];
  std::int64_t end = first + plan.numbers[samples_a_chunk];
  if (end > plan.numbers[samples]) end = plan.numbers[samples];
  auto* y = call.out[0].as<std::int64_t>();
  for (std::int64_t n = first; n < end; ++n) {
    std::int64_t* row = y + n * plan.numbers[classes];
    const std::int64_t one = indices[n];
    for (std::int64_t c = 0; c < plan.numbers[classes]; ++c) row[c] = c == one ? 1 : 0;
  }
}

}  // namespace

template <>
void Kernel<OneHot, Arch>::plan(const KernelCall& call, Plan& plan) {
  const std::int64_t count = call.in[0].elements();
  const std::int64_t size = call.op<OneHot>().num_classes;
  check_indices(call.in[0], 0, size, "the class");
  Contiguous<Arch>::plan(call, plan);
  if (count == 0) return;
  const std::int64_t per_chunk = size < 16384 ? 16384 / size : 1;
  plan.numbers = {count, size, per_chunk};
  plan.cost_ns += 0.5 * static_cast<double>(count * size);
  plan.add(&run, (count + per_chunk - 1) / per_chunk);
}

}  // namespace troupe::cpu
