#include "contiguous.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/batch_norm.hpp>

// Batch normalization by channels. Each belongs to one chunk, so no sum depends on how the work was
// cut. Where a channel's elements are apart in memory, as many channels make a group as four
// registers have lanes; and a few neighbouring groups go together, so that memory is read in longer
// stretches.
namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { batch, channels, inner, group_count, groups_a_chunk };

constexpr std::int64_t groups_together = 4;

/// Groups of channels of x [batch, channels, inner] that go together: each one channel, or adjacent
/// ones when `Across` (where inner is 1).
template <class T, bool Across>
struct Channels {
  using Block = Line<T, Arch, Across ? Along::across : Along::one>;
  using V = typename Block::V;
  /// Elements of a channel that are looked at twice before the next. Rows that lie whole pages
  /// apart share eight places in the first cache.
  static constexpr std::int64_t block_length = Across ? 8 : 4096;

  const Plan& plan;
  std::int64_t first;   ///< group
  std::int64_t groups;  ///< up to `groups_together`

  [[nodiscard]] std::int64_t channel(std::int64_t group) const {
    return (first + group) * (Across ? Block::lines : 1);
  }
  /// Channels of a group.
  [[nodiscard]] std::int64_t lanes(std::int64_t group) const {
    if constexpr (!Across) return 1;
    const std::int64_t left = plan.numbers[channels] - channel(group);
    return left < Block::lines ? left : Block::lines;
  }
  /// Calls `use(group, block)` for each stretch of the groups' elements.
  template <class Use>
  [[gnu::always_inline]] void each_block(const Use& use) const {
    const std::int64_t count = plan.numbers[channels];
    const std::int64_t size = plan.numbers[Across ? batch : inner];
    const std::int64_t places = Across ? 1 : plan.numbers[batch];
    for (std::int64_t n = 0; n < places; ++n)
      for (std::int64_t i = 0; i < size; i += block_length)
        for (std::int64_t g = 0; g < groups; ++g) {
          const std::int64_t length = size - i < block_length ? size - i : block_length;
          if constexpr (Across)
            use(g, Block{i * count + channel(g), length, count, lanes(g)});
          else
            use(g, Block{(n * count + channel(g)) * size + i, length, 1, 1});
        }
  }
  /// A group's part of a vector of channels, in all lanes that hold their elements.
  V load(const T* of_channels, std::int64_t group) const {
    if constexpr (Across) {
      V values;
      load_some(values, of_channels + channel(group), lanes(group), T(0));
      return values;
    } else {
      return Block::spread(of_channels + channel(group));
    }
  }
  void store(T* of_channels, std::int64_t group, const V& value) const {
    if constexpr (Across)
      store_some(value, of_channels + channel(group), lanes(group));
    else
      Block::write_down(value, of_channels + channel(group));
  }
  [[nodiscard]] V elements() const {
    return V(static_cast<double>(plan.numbers[batch] * plan.numbers[inner]));
  }

  /// The groups' means, and the sums of squared distances from them, in one pass over memory: lane
  /// by lane and block by block, the blocks joined as Chan, Golub and LeVeque 1979 join samples.
  void measure(const T* x, V* mean, V* squares) const {
    V counts[groups_together];
    for (std::int64_t g = 0; g < groups; ++g) counts[g] = mean[g] = squares[g] = V(0);
    each_block([&](std::int64_t g, const Block& block) {
      const auto add = [](const V& a, const V& b) { return a + b; };
      const V here = block.counts();
      const V sum = block.folded(
          V(0), [&](const V& so_far, auto at) { return so_far + at.load(x, T(0)); }, add);
      const V average = sum / at_least(1, here);  // a lane may have no element: its sum is 0
      const V distances = block.folded(
          V(0),
          [&](const V& so_far, auto at) {
            const V d = at.where_active(at.load(x, T(0)) - average);
            return fma(d, d, so_far);
          },
          add);
      const V share = here / at_least(1, counts[g] + here);
      const V step = average - mean[g];
      squares[g] = squares[g] + distances + step * step * counts[g] * share;
      mean[g] = fma(step, share, mean[g]);
      counts[g] = counts[g] + here;
    });
    if constexpr (!Across)
      for (std::int64_t g = 0; g < groups; ++g) {
        const V total = Block::summed(mean[g] * counts[g]) / elements();
        const V step = mean[g] - total;
        squares[g] = Block::summed(fma(step * step, counts[g], squares[g]));
        mean[g] = total;
      }
  }
};

template <class T, bool Across>
bool streams_to(const Plan& plan, const T* result) {
  const auto& n = plan.numbers;
  using Block = typename Channels<T, Across>::Block;
  return Across ? Block::streams(result, 1, n[batch], n[channels])
                : Block::streams(result, n[batch] * n[channels], n[inner], 1);
}

/// Calls `body(channels)` for the groups of a chunk, a few at a time.
template <class T, bool Across, class Body>
[[gnu::always_inline]] inline void for_groups(
    const Plan& plan, std::uint32_t chunk, const Body& body) {
  const std::int64_t first = chunk * plan.numbers[groups_a_chunk];
  std::int64_t end = first + plan.numbers[groups_a_chunk];
  if (end > plan.numbers[group_count]) end = plan.numbers[group_count];
  for (std::int64_t g = first; g < end; g += groups_together)
    body(Channels<T, Across>{plan, g, end - g < groups_together ? end - g : groups_together});
  Stream<Arch>::finish();
}

template <class T, bool Across>
[[gnu::flatten]] void run_train(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using V = typename Channels<T, Across>::V;
  const auto& op = call.op<BatchNormTrain>();
  const T* x = C::in<T>(call, scratch, 0);
  const T* weight = op.affine ? C::in<T>(call, scratch, 1) : nullptr;
  const T* bias = op.affine ? C::in<T>(call, scratch, 2) : nullptr;
  const std::size_t running_at = op.affine ? 3 : 1;
  T* y = call.out[0].as<T>();
  const bool streams = streams_to<T, Across>(plan, y);
  T* statistics = call.out[1].as<T>();
  const V kept(1 - op.momentum);
  const V momentum(op.momentum);
  for_groups<T, Across>(plan, chunk, [&](const auto& all) {
    V average[groups_together];
    V squares[groups_together];
    V rstd[groups_together];
    V scale[groups_together];
    V shift[groups_together];
    all.measure(x, average, squares);
    for (std::int64_t g = 0; g < all.groups; ++g) {
      rstd[g] = V(1) / sqrt(squares[g] / all.elements() + V(op.eps));
      scale[g] = weight ? all.load(weight, g) : V(1);
      shift[g] = bias ? all.load(bias, g) : V(0);
    }
    all.each_block([&](std::int64_t g, const auto& block) {
      const V middle = average[g];
      const V factor = rstd[g];
      const V slope = scale[g];
      const V offset = shift[g];
      block.each([&](auto at) {
        at.put(y, fma((at.load(x, T(0)) - middle) * factor, slope, offset), streams);
      });
    });
    for (std::int64_t g = 0; g < all.groups; ++g) {
      all.store(statistics, g, average[g]);
      all.store(statistics + plan.numbers[channels], g, rstd[g]);
      if (!op.tracked) continue;
      const V old_mean = all.load(C::in<T>(call, scratch, running_at), g);
      const V old_variance = all.load(C::in<T>(call, scratch, running_at + 1), g);
      const V variance = squares[g] / (all.elements() - V(1));
      all.store(call.out[2].as<T>(), g, fma(average[g], momentum, old_mean * kept));
      all.store(call.out[3].as<T>(), g, fma(variance, momentum, old_variance * kept));
    }
  });
}

template <class T, bool Across>
[[gnu::flatten]] void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using V = typename Channels<T, Across>::V;
  const T* dy = C::in<T>(call, scratch, 0);
  const T* x = C::in<T>(call, scratch, 1);
  const T* statistics = C::in<T>(call, scratch, 2);
  const T* weight = call.in_count > 3 ? C::in<T>(call, scratch, 3) : nullptr;
  T* dx = call.out[0].as<T>();
  const bool streams = streams_to<T, Across>(plan, dx);
  for_groups<T, Across>(plan, chunk, [&](const auto& all) {
    using Block = typename std::remove_cvref_t<decltype(all)>::Block;
    struct Sums {
      V dy, dyx;
    };
    const auto join = [](const Sums& a, const Sums& b) { return Sums{a.dy + b.dy, a.dyx + b.dyx}; };
    V average[groups_together];
    V rstd[groups_together];
    V scale[groups_together];
    Sums sums[groups_together];
    Sums means[groups_together];
    for (std::int64_t g = 0; g < all.groups; ++g) {
      average[g] = all.load(statistics, g);
      rstd[g] = all.load(statistics + plan.numbers[channels], g);
      scale[g] = weight ? rstd[g] * all.load(weight, g) : rstd[g];
      sums[g] = {V(0), V(0)};
    }
    all.each_block([&](std::int64_t g, const auto& block) {
      const V middle = average[g];
      const V factor = rstd[g];
      const Sums here = block.folded(
          Sums{V(0), V(0)},
          [&](const Sums& so_far, auto at) {
            const V d = at.load(dy, T(0));
            return Sums{so_far.dy + d, fma(d, (at.load(x, T(0)) - middle) * factor, so_far.dyx)};
          },
          join);
      sums[g] = join(sums[g], here);
    });
    for (std::int64_t g = 0; g < all.groups; ++g) {
      sums[g] = {Block::summed(sums[g].dy), Block::summed(sums[g].dyx)};
      means[g] = {sums[g].dy / all.elements(), sums[g].dyx / all.elements()};
    }
    all.each_block([&](std::int64_t g, const auto& block) {
      const V middle = average[g];
      const V factor = rstd[g];
      const Sums mean = means[g];
      const V slope = scale[g];
      block.each([&](auto at) {
        const V normal = (at.load(x, T(0)) - middle) * factor;
        at.put(dx, (at.load(dy, T(0)) - mean.dy - normal * mean.dyx) * slope, streams);
      });
    });
    for (std::int64_t g = 0; weight && g < all.groups; ++g) {
      all.store(call.out[1].as<T>(), g, sums[g].dyx);
      all.store(call.out[2].as<T>(), g, sums[g].dy);
    }
  });
}

template <class T, bool Across>
[[gnu::flatten]] void run_eval(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using V = typename Channels<T, Across>::V;
  const T* x = C::in<T>(call, scratch, 0);
  T* y = call.out[0].as<T>();
  const bool streams = streams_to<T, Across>(plan, y);
  const V eps(call.op<BatchNormEval>().eps);
  for_groups<T, Across>(plan, chunk, [&](const auto& all) {
    V scale[groups_together];
    for (std::int64_t g = 0; g < all.groups; ++g) {
      scale[g] = V(1) / sqrt(all.load(C::in<T>(call, scratch, 2), g) + eps);
      if (call.in_count > 3) scale[g] = scale[g] * all.load(C::in<T>(call, scratch, 3), g);
    }
    all.each_block([&](std::int64_t g, const auto& block) {
      const V middle = all.load(C::in<T>(call, scratch, 1), g);
      const V slope = scale[g];
      const V offset = call.in_count > 4 ? all.load(C::in<T>(call, scratch, 4), g) : V(0);
      block.each(
          [&](auto at) { at.put(y, fma(at.load(x, T(0)) - middle, slope, offset), streams); });
    });
  });
}

struct Runs {
  Plan::Run along;
  Plan::Run across;
};

void plan_channels(
    const KernelCall& call,
    Plan& plan,
    const View& x,
    const Runs& narrow,
    const Runs& wide,
    double ns_per_element) {
  Contiguous<Arch>::plan(call, plan);
  std::int64_t size = 1;
  for (std::size_t i = 2; i < x.shape.size(); ++i) size *= x.shape[i];
  const bool is_wide = x.dtype == DType::float64;
  const bool across = size == 1;
  const std::int64_t lanes =
      is_wide ? Line<double, Arch, Along::across>::lines : Line<float, Arch, Along::across>::lines;
  const std::int64_t groups = across ? (x.shape[1] + lanes - 1) / lanes : x.shape[1];
  const std::int64_t group_elements = x.shape[0] * size * (across ? lanes : 1) + 1;
  std::int64_t per_chunk = group_elements < 16384 ? 16384 / group_elements : 1;
  // Together while that makes the stretches longer, which are read faster than short ones.
  if (per_chunk < groups_together && (across || size < 1024)) per_chunk = groups_together;
  if (groups == 0) return;
  plan.numbers = {x.shape[0], x.shape[1], size, groups, per_chunk};
  plan.cost_ns += static_cast<double>(group_elements * groups) * ns_per_element * (is_wide ? 2 : 1);
  const Runs& runs = is_wide ? wide : narrow;
  plan.add(across ? runs.across : runs.along, (groups + per_chunk - 1) / per_chunk);
}

}  // namespace

template <>
void Kernel<BatchNormTrain, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_channels(
      call,
      plan,
      call.in[0],
      {&run_train<float, false>, &run_train<float, true>},
      {&run_train<double, false>, &run_train<double, true>},
      0.6);
}

template <>
void Kernel<BatchNormBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_channels(
      call,
      plan,
      call.in[1],
      {&run_backward<float, false>, &run_backward<float, true>},
      {&run_backward<double, false>, &run_backward<double, true>},
      0.8);
}

template <>
void Kernel<BatchNormEval, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_channels(
      call,
      plan,
      call.in[0],
      {&run_eval<float, false>, &run_eval<float, true>},
      {&run_eval<double, false>, &run_eval<double, true>},
      0.3);
}

}  // namespace troupe::cpu
