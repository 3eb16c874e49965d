#include "wide.hpp"

#include "elementwise.hpp"
#include "simd.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace troupe::cpu {
namespace {

constexpr std::int64_t chunk_elements = ElementwiseLoops<Arch>::chunk_elements;

std::int64_t elements_of(const View& view) {
  std::int64_t n = 1;
  for (std::size_t i = 0; i < view.shape.size(); ++i) n *= view.shape[i];
  return n;
}
std::int64_t chunks_of(const View& view) {
  return (elements_of(view) + chunk_elements - 1) / chunk_elements;
}

/// Turns a view into one of as many float32, row-major, `offset` bytes behind `base`.
void widen(View& view, std::byte* base, std::size_t& offset) {
  view.data = base ? base + offset : nullptr;
  view.dtype = DType::float32;
  view.contiguous = true;
  std::int64_t step = 1;
  for (std::size_t i = view.shape.size(); i-- > 0;) {
    view.strides[i] = step;
    step *= view.shape[i];
  }
  offset += (static_cast<std::size_t>(step) * sizeof(float) + 63) / 64 * 64;
}

/// The call with operands of float32 behind `base`; `bytes` are what they take. What goes on with
/// the result waits until it is rounded.
KernelCall widened(const KernelCall& call, std::byte* base, std::size_t& bytes) {
  KernelCall wide = call;
  wide.packs = false;
  wide.packed = nullptr;
  wide.segment = nullptr;
  wide.pools = false;
  bytes = 0;
  for (std::size_t i = 0; i < call.in_count; ++i) widen(wide.in[i], base, bytes);
  widen(wide.out[0], base, bytes);
  return wide;
}

/// The same in the launch's scratch: behind that of the kernel itself.
KernelCall widened(const KernelCall& call, const Plan& plan, std::byte* scratch) {
  std::size_t bytes = 0;
  (void)widened(call, nullptr, bytes);
  return widened(call, scratch + (plan.scratch_bytes - bytes), bytes);
}

void convert_chunk(const View& from, const View& to, std::int64_t chunk) {
  KernelCall call;
  call.in_count = call.out_count = 1;
  call.in[0] = from;
  call.out[0] = to;
  ElementwiseLoops<Arch>::run(
      call,
      ElementwiseLoops<Arch>::conversion_of(from.dtype, to.dtype),
      chunk * chunk_elements,
      std::min((chunk + 1) * chunk_elements, elements_of(to)));
}

void run_widen(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const KernelCall wide = widened(call, plan, scratch);
  std::int64_t own = chunk;
  std::size_t i = 0;
  for (; own >= chunks_of(call.in[i]); ++i) own -= chunks_of(call.in[i]);
  convert_chunk(call.in[i], wide.in[i], own);
}

template <std::size_t Phase>
void run_inner(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  plan.inner[Phase](widened(call, plan, scratch), plan, chunk, scratch);
}

void run_round(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  convert_chunk(widened(call, plan, scratch).out[0], call.out[0], chunk);
  if (!call.segment) return;
  const std::int64_t begin = chunk * chunk_elements;
  call.run_segment(
      *call.segment, begin, std::min(begin + chunk_elements, elements_of(call.out[0])));
}

}  // namespace

template <>
void plan_wide<Arch>(const KernelCall& call, Plan& plan, PlanFunction kernel) {
  std::size_t bytes = 0;
  kernel(widened(call, nullptr, bytes), plan);
  if (plan.phase_count == 0) return;
  std::int64_t chunks = 0;
  for (std::size_t i = 0; i < call.in_count; ++i) {
    chunks += chunks_of(call.in[i]);
    plan.cost_ns += static_cast<double>(elements_of(call.in[i]));
  }
  plan.cost_ns += static_cast<double>(elements_of(call.out[0]));
  plan.scratch_bytes = (plan.scratch_bytes + 63) / 64 * 64 + bytes;
  const Plan own = plan;
  plan.phase_count = 0;
  if (chunks > 0) plan.add(&run_widen, chunks);
  constexpr Plan::Run inner[] = {&run_inner<0>, &run_inner<1>, &run_inner<2>};
  for (std::size_t i = 0; i < own.phase_count; ++i) {
    plan.inner[i] = own.phases[i].run;
    plan.add(inner[i], own.phases[i].chunks);
  }
  plan.add(&run_round, chunks_of(call.out[0]));
  plan.ends_with_segment = true;
  plan.pools = false;
}

}  // namespace troupe::cpu
