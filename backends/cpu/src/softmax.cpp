#include "axis.hpp"
#include "contiguous.hpp"
#include "power_sum.hpp"

#include <troupe/tensor/ops/log_softmax.hpp>
#include <troupe/tensor/ops/softmax.hpp>

#include <limits>

// Softmax, log-softmax and their gradients: a few passes over a line, which stays in the
// first-level cache, so that memory is read and written once.
namespace troupe::cpu {
namespace {

// Each formula sees a group of lines of its inputs and writes the same places of its output.

template <class T>
constexpr T lowest = -std::numeric_limits<T>::infinity();

struct SoftmaxFormula {
  /// The passes before and after the powers wait for memory, as PowerSum says: of lines along, the
  /// last line's quotients are written and the next line's maximum is found with a line's powers.
  template <class Group, class T>
  static void write_groups(
      std::int64_t first,
      std::int64_t end,
      std::int64_t length,
      std::int64_t inner,
      const T* x,
      const T*,
      T* y,
      bool) {
    using V = typename Group::V;
    struct State {
      V total;
      V ahead;
    };
    V ahead(lowest<T>);
    V scale(0);
    for (std::int64_t i = first; i < end; ++i) {
      const auto line = Group::at(i, length, inner);
      const bool follows = !Group::across && i > first;
      const bool leads = !Group::across && i + 1 < end;
      const V most = follows ? ahead : line.max_of(x);
      const State state = line.folded(
          State{V(0), V(lowest<T>)},
          [&](State so_far, auto at) {
            // Loads first: a processor may take lines that lie whole pages apart for the same.
            V last(0);
            if (follows) last = at.previous().load(y, T(0));
            if (leads) so_far.ahead = larger(so_far.ahead, at.next().load(x, lowest<T>));
            const V e = exp_below_one(at.load(x, lowest<T>) - most);
            if (follows) at.previous().store(y, last * scale);
            at.store(y, e);
            return State{so_far.total + e, so_far.ahead};
          },
          [](const State& a, const State& b) {
            return State{a.total + b.total, larger(a.ahead, b.ahead)};
          });
      scale = V(1) / Group::summed(state.total);
      ahead = Group::largest(state.ahead);
      if (!leads) line.each([&](auto at) { at.store(y, at.load(y, T(0)) * scale); });
    }
  }
};

struct LogSoftmaxFormula {
  template <class Group, class T>
  static void write_groups(
      std::int64_t first,
      std::int64_t end,
      std::int64_t length,
      std::int64_t inner,
      const T* x,
      const T*,
      T* y,
      bool streams) {
    using V = typename Group::V;
    PowerSum<Group, T> powers(x);
    for (std::int64_t i = first; i < end; ++i) {
      const auto line = Group::at(i, length, inner);
      powers.take(line, i + 1 < end);
      const V most = powers.most;
      const V log_total = log(powers.total);
      line.each([&](auto at) { at.put(y, at.load(x, T(0)) - most - log_total, streams); });
    }
  }
};

/// For a formula that takes one group at a time.
template <class Formula>
struct EachGroup {
  template <class Group, class T>
  static void write_groups(
      std::int64_t first,
      std::int64_t end,
      std::int64_t length,
      std::int64_t inner,
      const T* y,
      const T* dy,
      T* dx,
      bool streams) {
    for (std::int64_t i = first; i < end; ++i)
      Formula::write(Group::at(i, length, inner), y, dy, dx, streams);
  }
};

struct SoftmaxBackwardFormula : EachGroup<SoftmaxBackwardFormula> {
  template <class Group, class T>
  static void write(const Group& line, const T* y, const T* dy, T* dx, bool streams) {
    using V = typename Group::V;
    const V total = line.sum_of([&](auto at) { return at.load(dy, T(0)) * at.load(y, T(0)); });
    line.each([&](auto at) {
      at.fetch_next(y);
      at.fetch_next(dy);
      at.put(dx, at.load(y, T(0)) * (at.load(dy, T(0)) - total), streams);
    });
  }
};

struct LogSoftmaxBackwardFormula : EachGroup<LogSoftmaxBackwardFormula> {
  template <class Group, class T>
  static void write(const Group& line, const T* y, const T* dy, T* dx, bool streams) {
    using V = typename Group::V;
    const V total = line.sum_of([&](auto at) { return at.load(dy, T(0)); });
    line.each([&](auto at) {
      at.fetch_next(dy);
      at.put(dx, at.load(dy, T(0)) - exp_below_one(at.load(y, T(0))) * total, streams);
    });
  }
};

/// plan.numbers: length and inner size of the lines, groups of lines, groups a chunk, outer
/// places.
template <class Formula, class T, bool Across>
[[gnu::flatten]] void run(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t groups = plan.numbers[2];
  const std::int64_t first = chunk * plan.numbers[3];
  const std::int64_t end = first + plan.numbers[3] < groups ? first + plan.numbers[3] : groups;
  const T* a = Contiguous<Arch>::in<T>(call, scratch, 0);
  const T* b = call.in_count > 1 ? Contiguous<Arch>::in<T>(call, scratch, 1) : nullptr;
  T* y = call.out[0].as<T>();
  using Group = Line<T, Arch, Across ? Along::across : Along::one>;
  const bool streams = Group::streams(y, plan.numbers[4], plan.numbers[0], plan.numbers[1]);
  Formula::template write_groups<Group>(
      first, end, plan.numbers[0], plan.numbers[1], a, b, y, streams);
  if (streams) Stream<Arch>::finish();
}

template <class Formula, class T, bool Across>
void plan_lines(const Axis<Arch>& axis, Plan& plan) {
  using Group = Line<T, Arch, Across ? Along::across : Along::one>;
  const std::int64_t groups = Group::groups(axis.outer, axis.inner);
  const std::int64_t group_elements = axis.length * Group::lines;
  if (groups == 0 || axis.length == 0) return;
  const std::int64_t per_chunk = group_elements < 16384 ? 16384 / group_elements : 1;
  plan.numbers = {axis.length, axis.inner, groups, per_chunk, axis.outer};
  plan.add(&run<Formula, T, Across>, (groups + per_chunk - 1) / per_chunk);
}

template <class Formula>
void plan_axis(const KernelCall& call, Plan& plan, std::int64_t dim, double ns_per_element) {
  Contiguous<Arch>::plan(call, plan);
  const auto axis = Axis<Arch>::of(call.in[0].shape, dim);
  const bool wide = call.in[0].dtype == DType::float64;
  plan.cost_ns +=
      static_cast<double>(axis.outer * axis.length * axis.inner) * ns_per_element * (wide ? 2 : 1);
  if (axis.inner > 1)
    wide ? plan_lines<Formula, double, true>(axis, plan)
         : plan_lines<Formula, float, true>(axis, plan);
  else
    wide ? plan_lines<Formula, double, false>(axis, plan)
         : plan_lines<Formula, float, false>(axis, plan);
}

}  // namespace

template <>
void Kernel<Softmax, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_axis<SoftmaxFormula>(call, plan, call.op<Softmax>().dim, 1.5);
}

template <>
void Kernel<SoftmaxBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_axis<SoftmaxBackwardFormula>(call, plan, call.op<SoftmaxBackward>().dim, 0.5);
}

template <>
void Kernel<LogSoftmax, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_axis<LogSoftmaxFormula>(call, plan, call.op<LogSoftmax>().dim, 1.5);
}

template <>
void Kernel<LogSoftmaxBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_axis<LogSoftmaxBackwardFormula>(call, plan, call.op<LogSoftmaxBackward>().dim, 1.5);
}

}  // namespace troupe::cpu
