#include "contiguous.hpp"
#include "philox_words.hpp"

#include <troupe/tensor/ops/dropout.hpp>

#include <bit>
#include <cstring>

namespace troupe::cpu {
namespace {

constexpr std::int64_t chunk_elements = 16384;

/// Elements are dropped whose 32 random bits, as a number, lie below p·2³².
std::uint64_t threshold_of(double p) { return static_cast<std::uint64_t>(p * 4294967296.0); }

struct Range {
  std::int64_t begin;
  std::int64_t end;

  Range(const KernelCall& call, std::uint32_t chunk) : begin(chunk * chunk_elements) {
    const std::int64_t all = call.out[0].elements();
    end = begin + chunk_elements < all ? begin + chunk_elements : all;
  }
};

/// x · scale where `keep` is 1, 0 where it is 0, whatever x is.
template <class T>
T kept(T x, T scale, std::uint8_t keep) {
  using Word = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  return std::bit_cast<T>(std::bit_cast<Word>(x * scale) & (Word{0} - Word{keep}));
}

template <class T>
void run(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  const double p = call.op<Dropout>().p;
  const std::uint64_t threshold = threshold_of(p);
  const auto low_threshold = static_cast<std::uint32_t>(threshold);
  const auto some = static_cast<std::uint8_t>(threshold >> 32 == 0);  // p = 1 drops them all
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  const T* x = Contiguous<Arch>::in<T>(call, scratch, 0);
  T* y = call.out[0].as<T>();
  auto* mask = call.out[1].as<std::uint8_t>();
  const PhiloxWords<Arch> random(call.random_seed, call.random_call);
  constexpr std::int64_t piece = PhiloxWords<Arch>::count;
  const Range range(call, chunk);
  for (std::int64_t at = range.begin; at < range.end; at += piece) {
    alignas(64) std::uint32_t words[piece];
    random.draw(static_cast<std::uint64_t>(at / 4), words);
    std::uint8_t keep[piece];
    for (std::int64_t i = 0; i < piece; ++i)
      keep[i] = static_cast<std::uint8_t>((words[i] >= low_threshold ? 1 : 0) & some);
    if (range.end - at >= piece) {
      for (std::int64_t i = 0; i < piece; ++i) y[at + i] = kept(x[at + i], scale, keep[i]);
      std::memcpy(mask + at, keep, piece);
      continue;
    }
    for (std::int64_t i = 0; i < range.end - at; ++i) {
      y[at + i] = kept(x[at + i], scale, keep[i]);
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
  const Range range(call, chunk);
#pragma GCC ivdep
  for (std::int64_t i = range.begin; i < range.end; ++i) dx[i] = kept(dy[i], scale, mask[i]);
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
