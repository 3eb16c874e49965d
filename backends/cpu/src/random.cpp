#include "kernel.hpp"
#include "pack_math.hpp"
#include "philox_words.hpp"

#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/ops/normal.hpp>
#include <troupe/tensor/ops/randint.hpp>
#include <troupe/tensor/ops/uniform.hpp>

#include <cstdint>

namespace troupe::cpu {

namespace {

constexpr std::int64_t chunk_words = 16384;
constexpr std::int64_t tile_words = 512;

std::int64_t elements_of(const View& view) {
  std::int64_t n = 1;
  for (std::size_t i = 0; i < view.shape.size(); ++i) n *= view.shape[i];
  return n;
}

/// Words that one element takes.
template <class T>
constexpr std::int64_t words_of = sizeof(T) == 8 ? 2 : 1;

void unit_numbers(const std::uint32_t* words, float* to) {
  for (std::int64_t i = 0; i < tile_words; ++i) to[i] = unit_float<Arch>(words[i]);
}
void unit_numbers(const std::uint32_t* words, double* to) {
  for (std::int64_t i = 0; i < tile_words / 2; ++i)
    to[i] = unit_double<Arch>(words[2 * i], words[2 * i + 1]);
}

/// Calls `make(words, tile)`, which turns words into as many elements as they are for, for each
/// tile of a chunk, and stores what lies inside the output.
template <class T, class Make>
void for_tiles(const KernelCall& call, std::uint32_t chunk, const Make& make) {
  constexpr std::int64_t count = tile_words / words_of<T>;
  T* const out = call.out[0].template as<T>();
  const std::int64_t total = elements_of(call.out[0]);
  const PhiloxWords<Arch> random(call.random_seed, call.random_call);
  alignas(64) std::uint32_t words[tile_words];
  alignas(64) T tile[count];
  for (std::int64_t t = 0; t < chunk_words; t += tile_words) {
    const std::int64_t word = chunk * chunk_words + t;
    const std::int64_t first = word / words_of<T>;
    if (first >= total) return;
    for (std::int64_t i = 0; i < tile_words; i += PhiloxWords<Arch>::count)
      random.draw(static_cast<std::uint64_t>((word + i) / 4), words + i);
    const std::int64_t left = total - first;
    if (left >= count) {
      make(words, out + first);
    } else {
      make(words, tile);
      for (std::int64_t i = 0; i < left; ++i) out[first + i] = tile[i];
    }
  }
}

template <class T>
void run_uniform(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  const auto& op = call.op<Uniform>();
  const T low = static_cast<T>(op.low);
  const T width = static_cast<T>(op.high - op.low);
  for_tiles<T>(call, chunk, [&](const std::uint32_t* words, T* to) {
    alignas(64) T unit[tile_words / words_of<T>];
    unit_numbers(words, unit);
    for (std::int64_t i = 0; i < tile_words / words_of<T>; ++i) to[i] = low + width * unit[i];
  });
}

/// Two uniform numbers become the radius and the angle of two normal ones.
template <class T>
[[gnu::flatten]] void run_normal(
    const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  using P = Pack<T, Arch>;
  const auto& op = call.op<Normal>();
  const P mean(op.mean);
  const P deviation(op.std);
  for_tiles<T>(call, chunk, [&](const std::uint32_t* words, T* to) {
    constexpr std::int64_t pairs = tile_words / words_of<T> / 2;
    alignas(64) T unit[2 * pairs];
    alignas(64) T a[pairs];
    alignas(64) T b[pairs];
    unit_numbers(words, unit);
    for (std::int64_t i = 0; i < pairs; ++i) {
      a[i] = unit[2 * i];
      b[i] = unit[2 * i + 1];
    }
    for (std::int64_t i = 0; i < pairs; i += P::size) {
      // 1 − u lies in (0, 1]: its logarithm is finite.
      const P radius = deviation * sqrt(P(-2) * log(P(1) - P::load(a + i)));
      P sine, cosine;
      sin_and_cos(P(6.283185307179586477) * P::load(b + i), sine, cosine);
      fma(radius, cosine, mean).store(a + i);
      fma(radius, sine, mean).store(b + i);
    }
    for (std::int64_t i = 0; i < pairs; ++i) {
      to[2 * i] = a[i];
      to[2 * i + 1] = b[i];
    }
  });
}

void run_randint(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  const auto& op = call.op<Randint>();
  const auto range = static_cast<std::uint64_t>(op.high) - static_cast<std::uint64_t>(op.low);
  for_tiles<std::int64_t>(call, chunk, [&](const std::uint32_t* words, std::int64_t* to) {
    for (std::int64_t i = 0; i < tile_words / 2; ++i) {
      // The upper half of a 64-bit draw times the range, in two steps of 32 bits.
      const std::uint64_t low = words[2 * i] * range >> 32;
      const std::uint64_t high = words[2 * i + 1] * range;
      to[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(op.low) + ((high + low) >> 32));
    }
  });
}

void run_dropout_mask(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  const std::uint64_t threshold = call.op<DropoutMask>().threshold();
  const auto low = static_cast<std::uint32_t>(threshold);
  const auto some = static_cast<std::uint8_t>(threshold >> 32 == 0);
  for_tiles<std::uint8_t>(call, chunk, [&](const std::uint32_t* words, std::uint8_t* to) {
    // Bytes might be anything's, the numbers that they are compared with among it: hence copies.
    const std::uint32_t least = low;
    const std::uint8_t keep = some;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < tile_words; ++i)
      to[i] = static_cast<std::uint8_t>((words[i] >= least ? 1 : 0) & keep);
  });
}

template <class T>
void plan_random(const KernelCall& call, Plan& plan, Plan::Run run, double ns) {
  const std::int64_t total = elements_of(call.out[0]);
  if (total == 0) return;
  plan.cost_ns = static_cast<double>(total) * ns + 300;
  plan.add(run, (total * words_of<T> + chunk_words - 1) / chunk_words);
}

}  // namespace

template <>
void Kernel<Uniform, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.out[0].dtype == DType::float64)
    plan_random<double>(call, plan, &run_uniform<double>, 1.4);
  else
    plan_random<float>(call, plan, &run_uniform<float>, 0.7);
}

template <>
void Kernel<Normal, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.out[0].dtype == DType::float64)
    plan_random<double>(call, plan, &run_normal<double>, 6);
  else
    plan_random<float>(call, plan, &run_normal<float>, 1.5);
}

template <>
void Kernel<Randint, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_random<std::int64_t>(call, plan, &run_randint, 1.6);
}

template <>
void Kernel<DropoutMask, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_random<std::uint8_t>(call, plan, &run_dropout_mask, 0.4);
}

}  // namespace troupe::cpu
