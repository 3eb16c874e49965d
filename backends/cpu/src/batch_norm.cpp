#include "contiguous.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/batch_norm.hpp>

// Batch normalization by channels: each is summed, measured and written by one chunk, so no sum
// depends on how the work was cut. Where a channel's elements are apart in memory, as many channels
// as a register has lanes go together.
namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { batch, channels, inner, group_count, groups_a_chunk };

/// One group of channels of x [batch, channels, inner]: one channel, or adjacent ones when `Across`
/// (where inner is 1).
template <class T, bool Across>
struct Channels {
  using L = Lanes<T, Arch>;
  using V = typename L::V;

  const Plan& plan;
  std::int64_t first;  ///< the group's first channel
  std::int64_t lanes;  ///< channels in the group

  Channels(const Plan& of, std::int64_t group)
      : plan(of), first(Across ? group * L::count : group), lanes(1) {
    if (Across) lanes = plan.numbers[channels] - first;
    if (lanes > L::count) lanes = L::count;
  }
  /// Calls `use(place, elements)` for each register of the group's elements.
  template <class Use>
  void each(const Use& use) const {
    const std::int64_t count = plan.numbers[channels];
    for (std::int64_t n = 0; n < plan.numbers[batch]; ++n)
      if constexpr (Across) {
        use(n * count + first, lanes);
      } else {
        const std::int64_t size = plan.numbers[inner];
        const std::int64_t base = (n * count + first) * size;
        for (std::int64_t i = 0; i < size; i += L::count) use(base + i, size - i);
      }
  }
  /// A vector of channels, in all lanes that hold their elements.
  V load(const T* of_channels) const {
    if constexpr (Across) return L::load(of_channels + first, lanes, T(0));
    return V(of_channels[first]);
  }
  void store(T* of_channels, V value) const { L::store(of_channels + first, lanes, value); }
  static V sum(V partial) {
    if constexpr (Across) return partial;
    return V(L::sum(partial));
  }
  [[nodiscard]] T elements() const {
    return static_cast<T>(plan.numbers[batch] * plan.numbers[inner]);
  }
  /// What pads a register must add nothing: x then equals the mean. Across, lanes beyond the
  /// channels are never stored.
  static T padding(V mean) {
    if constexpr (Across) return T(0);
    alignas(64) T lanes_of[L::count];
    mean.store_aligned(lanes_of);
    return lanes_of[0];
  }
};

template <class Body>
void for_groups(const Plan& plan, std::uint32_t chunk, const Body& body) {
  const std::int64_t first = chunk * plan.numbers[groups_a_chunk];
  std::int64_t end = first + plan.numbers[groups_a_chunk];
  if (end > plan.numbers[group_count]) end = plan.numbers[group_count];
  for (std::int64_t group = first; group < end; ++group) body(group);
}

template <class T, bool Across>
void run_train(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using Group = Channels<T, Across>;
  using L = typename Group::L;
  using V = typename Group::V;
  const auto& op = call.op<BatchNormTrain>();
  const T* x = C::in<T>(call, scratch, 0);
  const T* weight = op.affine ? C::in<T>(call, scratch, 1) : nullptr;
  const T* bias = op.affine ? C::in<T>(call, scratch, 2) : nullptr;
  const std::size_t running_at = op.affine ? 3 : 1;
  T* y = call.out[0].as<T>();
  T* statistics = call.out[1].as<T>();
  const V kept(static_cast<T>(1 - op.momentum));
  const V momentum(static_cast<T>(op.momentum));
  for_groups(plan, chunk, [&](std::int64_t g) {
    const Group group(plan, g);
    const V size(group.elements());
    V total(T(0));
    group.each([&](std::int64_t at, std::int64_t n) { total += L::load(x + at, n, T(0)); });
    const V average = Group::sum(total) / size;
    const T padding = Group::padding(average);
    V squares(T(0));
    group.each([&](std::int64_t at, std::int64_t n) {
      const V d = L::load(x + at, n, padding) - average;
      squares = fused_multiply_add(d, d, squares);
    });
    squares = Group::sum(squares);
    const V rstd = V(T(1)) / xsimd::sqrt(squares / size + V(static_cast<T>(op.eps)));
    const V scale = weight ? group.load(weight) : V(T(1));
    const V shift = bias ? group.load(bias) : V(T(0));
    group.each([&](std::int64_t at, std::int64_t n) {
      const V normal = (L::load(x + at, n, T(0)) - average) * rstd;
      L::store(y + at, n, fused_multiply_add(normal, scale, shift));
    });
    group.store(statistics, average);
    group.store(statistics + plan.numbers[channels], rstd);
    if (!op.tracked) return;
    const V old_mean = group.load(C::in<T>(call, scratch, running_at));
    const V old_variance = group.load(C::in<T>(call, scratch, running_at + 1));
    const V variance = squares / (size - V(T(1)));
    group.store(call.out[2].as<T>(), fused_multiply_add(average, momentum, old_mean * kept));
    group.store(call.out[3].as<T>(), fused_multiply_add(variance, momentum, old_variance * kept));
  });
}

template <class T, bool Across>
void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using Group = Channels<T, Across>;
  using L = typename Group::L;
  using V = typename Group::V;
  const T* dy = C::in<T>(call, scratch, 0);
  const T* x = C::in<T>(call, scratch, 1);
  const T* statistics = C::in<T>(call, scratch, 2);
  const T* weight = call.in_count > 3 ? C::in<T>(call, scratch, 3) : nullptr;
  T* dx = call.out[0].as<T>();
  for_groups(plan, chunk, [&](std::int64_t g) {
    const Group group(plan, g);
    const V size(group.elements());
    const V average = group.load(statistics);
    const V rstd = group.load(statistics + plan.numbers[channels]);
    V sum_dy(T(0));
    V sum_dyx(T(0));
    group.each([&](std::int64_t at, std::int64_t n) {
      const V d = L::load(dy + at, n, T(0));
      sum_dy += d;
      sum_dyx = fused_multiply_add(d, (L::load(x + at, n, T(0)) - average) * rstd, sum_dyx);
    });
    sum_dy = Group::sum(sum_dy);
    sum_dyx = Group::sum(sum_dyx);
    const V scale = weight ? rstd * group.load(weight) : rstd;
    const V mean_dy = sum_dy / size;
    const V mean_dyx = sum_dyx / size;
    group.each([&](std::int64_t at, std::int64_t n) {
      const V normal = (L::load(x + at, n, T(0)) - average) * rstd;
      L::store(dx + at, n, (L::load(dy + at, n, T(0)) - mean_dy - normal * mean_dyx) * scale);
    });
    if (!weight) return;
    group.store(call.out[1].as<T>(), sum_dyx);
    group.store(call.out[2].as<T>(), sum_dy);
  });
}

template <class T, bool Across>
void run_eval(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using Group = Channels<T, Across>;
  using L = typename Group::L;
  using V = typename Group::V;
  const T* x = C::in<T>(call, scratch, 0);
  T* y = call.out[0].as<T>();
  const V eps(static_cast<T>(call.op<BatchNormEval>().eps));
  for_groups(plan, chunk, [&](std::int64_t g) {
    const Group group(plan, g);
    const V average = group.load(C::in<T>(call, scratch, 1));
    V scale = V(T(1)) / xsimd::sqrt(group.load(C::in<T>(call, scratch, 2)) + eps);
    if (call.in_count > 3) scale *= group.load(C::in<T>(call, scratch, 3));
    const V shift = call.in_count > 4 ? group.load(C::in<T>(call, scratch, 4)) : V(T(0));
    group.each([&](std::int64_t at, std::int64_t n) {
      L::store(y + at, n, fused_multiply_add(L::load(x + at, n, T(0)) - average, scale, shift));
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
  const std::int64_t lanes = is_wide ? Lanes<double, Arch>::count : Lanes<float, Arch>::count;
  const std::int64_t groups = across ? (x.shape[1] + lanes - 1) / lanes : x.shape[1];
  const std::int64_t group_elements = x.shape[0] * size * (across ? lanes : 1) + 1;
  const std::int64_t per_chunk = group_elements < 16384 ? 16384 / group_elements : 1;
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
