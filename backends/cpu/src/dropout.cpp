#include "contiguous.hpp"
#include "simd.hpp"

#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/philox.hpp>

namespace troupe::cpu {
namespace {

constexpr std::int64_t chunk_elements = 16384;
constexpr int blocks = 16;  // random blocks made side by side
constexpr int piece = 4 * blocks;

/// Elements are dropped whose 32 random bits, as a number, lie below p·2³².
std::uint64_t threshold_of(double p) { return static_cast<std::uint64_t>(p * 4294967296.0); }

template <class T>
void run(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  const double p = call.op<Dropout>().p;
  const std::uint64_t threshold = threshold_of(p);
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  const T* x = Contiguous<Arch>::in<T>(call, scratch, 0);
  T* y = call.out[0].as<T>();
  auto* mask = call.out[1].as<std::uint8_t>();
  const std::int64_t all = call.out[0].elements();
  const std::int64_t begin = chunk * chunk_elements;
  const std::int64_t end = begin + chunk_elements < all ? begin + chunk_elements : all;
  for (std::int64_t at = begin; at < end; at += piece) {
    std::uint32_t bits[4][blocks];
    for (int i = 0; i < blocks; ++i) {
      const auto block = static_cast<std::uint64_t>(at / 4 + i);
      bits[0][i] = static_cast<std::uint32_t>(block);
      bits[1][i] = static_cast<std::uint32_t>(block >> 32);
      bits[2][i] = static_cast<std::uint32_t>(call.random_call);
      bits[3][i] = static_cast<std::uint32_t>(call.random_call >> 32);
    }
    Philox::run(
        bits,
        static_cast<std::uint32_t>(call.random_seed),
        static_cast<std::uint32_t>(call.random_seed >> 32));
    std::uint8_t keep[piece];
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < blocks; ++i) keep[4 * i + k] = bits[k][i] >= threshold ? 1 : 0;
    const std::int64_t n = end - at < piece ? end - at : piece;
    for (std::int64_t i = 0; i < n; ++i) {
      y[at + i] = keep[i] ? x[at + i] * scale : T(0);
      mask[at + i] = keep[i];
    }
  }
}

template <class T>
void run_backward(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  const double p = call.op<DropoutBackward>().p;
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  const T* dy = Contiguous<Arch>::in<T>(call, scratch, 0);
  const auto* mask = Contiguous<Arch>::in<std::uint8_t>(call, scratch, 1);
  T* dx = call.out[0].as<T>();
  const std::int64_t all = call.out[0].elements();
  const std::int64_t begin = chunk * chunk_elements;
  const std::int64_t end = begin + chunk_elements < all ? begin + chunk_elements : all;
  for (std::int64_t i = begin; i < end; ++i) dx[i] = mask[i] ? dy[i] * scale : T(0);
}

void cut(const KernelCall& call, Plan& plan, Plan::Run narrow, Plan::Run wide, double ns) {
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t all = call.out[0].elements();
  if (all == 0) return;
  plan.cost_ns += static_cast<double>(all) * ns;
  plan.add(
      call.out[0].dtype == DType::float64 ? wide : narrow,
      (all + chunk_elements - 1) / chunk_elements);
}

}  // namespace

template <>
void Kernel<Dropout, Arch>::plan(const KernelCall& call, Plan& plan) {
  cut(call, plan, &run<float>, &run<double>, 1.5);
}

template <>
void Kernel<DropoutBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  cut(call, plan, &run_backward<float>, &run_backward<double>, 0.3);
}

}  // namespace troupe::cpu
