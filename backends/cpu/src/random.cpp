#include "kernel.hpp"
#include "pack_math.hpp"

#include <troupe/tensor/ops/normal.hpp>
#include <troupe/tensor/ops/randint.hpp>
#include <troupe/tensor/ops/uniform.hpp>
#include <troupe/tensor/philox.hpp>

#include <cstdint>

namespace troupe::cpu {

namespace {

constexpr std::int64_t chunk_blocks = 4096;
constexpr std::int64_t tile_blocks = 128;

std::int64_t elements_of(const View& view) {
  std::int64_t n = 1;
  for (std::size_t i = 0; i < view.shape.size(); ++i) n *= view.shape[i];
  return n;
}

/// Elements that one block of four words makes: a double takes two words.
template <class T>
constexpr std::int64_t per_block = sizeof(T) == 8 ? 2 : 4;

/// The words of consecutive blocks, each word's in a row of its own so that the loops vectorize.
struct Words {
  alignas(64) std::uint32_t rows[4][tile_blocks];

  void draw(const KernelCall& call, std::int64_t first) {
    for (std::int64_t i = 0; i < tile_blocks; ++i) {
      const PhiloxBlock block =
          philox<Arch>(call.random_seed, call.random_call, static_cast<std::uint64_t>(first + i));
      for (int k = 0; k < 4; ++k) rows[k][i] = block.words[k];
    }
  }
};

void unit_numbers(const Words& words, std::int64_t k, float* to) {
  for (std::int64_t i = 0; i < tile_blocks; ++i) to[i] = unit_float<Arch>(words.rows[k][i]);
}
void unit_numbers(const Words& words, std::int64_t k, double* to) {
  for (std::int64_t i = 0; i < tile_blocks; ++i)
    to[i] = unit_double<Arch>(words.rows[2 * k][i], words.rows[2 * k + 1][i]);
}

/// Calls `make(words, tile)` for each tile of a chunk, and stores what lies inside the output.
/// `tile[k]` holds the elements k, k + per_block, …
template <class T, class Make>
void for_tiles(const KernelCall& call, std::uint32_t chunk, Make make) {
  constexpr std::int64_t each = per_block<T>;
  T* const out = call.out[0].template as<T>();
  const std::int64_t total = elements_of(call.out[0]);
  Words words;
  alignas(64) T tile[each][tile_blocks];
  for (std::int64_t t = 0; t < chunk_blocks; t += tile_blocks) {
    const std::int64_t first = chunk * chunk_blocks + t;
    if (first * each >= total) return;
    words.draw(call, first);
    make(words, tile);
    T* const to = out + first * each;
    const std::int64_t left = total - first * each;
    if (left >= tile_blocks * each) {
      for (std::int64_t i = 0; i < tile_blocks; ++i)
        for (std::int64_t k = 0; k < each; ++k) to[i * each + k] = tile[k][i];
    } else {
      for (std::int64_t i = 0; i < left; ++i) to[i] = tile[i % each][i / each];
    }
  }
}

template <class T>
void run_uniform(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  const auto& op = call.op<Uniform>();
  const T low = static_cast<T>(op.low);
  const T width = static_cast<T>(op.high - op.low);
  for_tiles<T>(call, chunk, [&](const Words& words, auto& tile) {
    for (std::int64_t k = 0; k < per_block<T>; ++k) {
      unit_numbers(words, k, tile[k]);
      for (std::int64_t i = 0; i < tile_blocks; ++i) tile[k][i] = low + width * tile[k][i];
    }
  });
}

/// Two uniform numbers become the radius and the angle of two normal ones.
template <class T>
void run_normal(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  using P = Pack<T, Arch>;
  const auto& op = call.op<Normal>();
  const P mean(op.mean);
  const P deviation(op.std);
  for_tiles<T>(call, chunk, [&](const Words& words, auto& tile) {
    for (std::int64_t pair = 0; pair < per_block<T>; pair += 2) {
      T* const a = tile[pair];
      T* const b = tile[pair + 1];
      unit_numbers(words, pair, a);
      unit_numbers(words, pair + 1, b);
      for (std::int64_t i = 0; i < tile_blocks; i += P::size) {
        // 1 − u lies in (0, 1]: its logarithm is finite.
        const P radius = deviation * sqrt(P(-2) * log(P(1) - P::load(a + i)));
        const P angle = P(6.283185307179586477) * P::load(b + i);
        fma(radius, cos(angle), mean).store(a + i);
        fma(radius, sin(angle), mean).store(b + i);
      }
    }
  });
}

void run_randint(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  const auto& op = call.op<Randint>();
  const auto range = static_cast<std::uint64_t>(op.high) - static_cast<std::uint64_t>(op.low);
  for_tiles<std::int64_t>(call, chunk, [&](const Words& words, auto& tile) {
    for (std::int64_t k = 0; k < 2; ++k)
      for (std::int64_t i = 0; i < tile_blocks; ++i) {
        // The upper half of a 64-bit draw times the range, in two steps of 32 bits.
        const std::uint64_t low = words.rows[2 * k][i] * range >> 32;
        const std::uint64_t high = words.rows[2 * k + 1][i] * range;
        tile[k][i] =
            static_cast<std::int64_t>(static_cast<std::uint64_t>(op.low) + ((high + low) >> 32));
      }
  });
}

void plan_random(const KernelCall& call, Plan& plan, Plan::Run run, std::int64_t each, double ns) {
  const std::int64_t total = elements_of(call.out[0]);
  if (total == 0) return;
  plan.cost_ns = static_cast<double>(total) * ns + 500;
  plan.add(run, (total + each * chunk_blocks - 1) / (each * chunk_blocks));
}

}  // namespace

template <>
void Kernel<Uniform, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.out[0].dtype == DType::float64)
    plan_random(call, plan, &run_uniform<double>, per_block<double>, 4);
  else
    plan_random(call, plan, &run_uniform<float>, per_block<float>, 2);
}

template <>
void Kernel<Normal, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.out[0].dtype == DType::float64)
    plan_random(call, plan, &run_normal<double>, per_block<double>, 12);
  else
    plan_random(call, plan, &run_normal<float>, per_block<float>, 5);
}

template <>
void Kernel<Randint, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_random(call, plan, &run_randint, per_block<std::int64_t>, 4);
}

}  // namespace troupe::cpu
