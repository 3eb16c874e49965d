#include "axis.hpp"
#include "contiguous.hpp"
#include "lanes.hpp"

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

template <class Group, class T>
typename Group::V maximum(const Group& line, const T* x) {
  typename Group::V most(lowest<T>);
  for (std::int64_t s = 0; s < line.steps(); ++s)
    most = xsimd::max(most, line.load(x, s, lowest<T>));
  return Group::max(most);
}

struct SoftmaxFormula {
  template <class Group, class T>
  static void write(const Group& line, const T* x, const T*, T* y) {
    using V = typename Group::V;
    const V most = maximum(line, x);
    V total(T(0));
    for (std::int64_t s = 0; s < line.steps(); ++s) {
      const V e = xsimd::exp(line.load(x, s, lowest<T>) - most);
      total += e;
      line.store(y, s, e);
    }
    total = Group::sum(total);
    for (std::int64_t s = 0; s < line.steps(); ++s) line.store(y, s, line.load(y, s, T(0)) / total);
  }
};

struct LogSoftmaxFormula {
  template <class Group, class T>
  static void write(const Group& line, const T* x, const T*, T* y) {
    using V = typename Group::V;
    const V most = maximum(line, x);
    V total(T(0));
    for (std::int64_t s = 0; s < line.steps(); ++s)
      total += xsimd::exp(line.load(x, s, lowest<T>) - most);
    const V log_total = xsimd::log(Group::sum(total));
    for (std::int64_t s = 0; s < line.steps(); ++s)
      line.store(y, s, line.load(x, s, T(0)) - most - log_total);
  }
};

struct SoftmaxBackwardFormula {
  template <class Group, class T>
  static void write(const Group& line, const T* y, const T* dy, T* dx) {
    using V = typename Group::V;
    V total(T(0));
    for (std::int64_t s = 0; s < line.steps(); ++s)
      total = fused_multiply_add(line.load(dy, s, T(0)), line.load(y, s, T(0)), total);
    total = Group::sum(total);
    for (std::int64_t s = 0; s < line.steps(); ++s)
      line.store(dx, s, line.load(y, s, T(0)) * (line.load(dy, s, T(0)) - total));
  }
};

struct LogSoftmaxBackwardFormula {
  template <class Group, class T>
  static void write(const Group& line, const T* y, const T* dy, T* dx) {
    using V = typename Group::V;
    V total(T(0));
    for (std::int64_t s = 0; s < line.steps(); ++s) total += line.load(dy, s, T(0));
    total = Group::sum(total);
    for (std::int64_t s = 0; s < line.steps(); ++s)
      line.store(dx, s, line.load(dy, s, T(0)) - xsimd::exp(line.load(y, s, T(0))) * total);
  }
};

/// plan.numbers: length and inner size of the lines, groups of lines, groups a chunk.
template <class Formula, class T, bool Across>
void run(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t groups = plan.numbers[2];
  const std::int64_t first = chunk * plan.numbers[3];
  const std::int64_t end = first + plan.numbers[3] < groups ? first + plan.numbers[3] : groups;
  const T* a = Contiguous<Arch>::in<T>(call, scratch, 0);
  const T* b = call.in_count > 1 ? Contiguous<Arch>::in<T>(call, scratch, 1) : nullptr;
  T* y = call.out[0].as<T>();
  for (std::int64_t group = first; group < end; ++group)
    Formula::write(Line<T, Arch, Across>::at(group, plan.numbers[0], plan.numbers[1]), a, b, y);
}

template <class Formula, class T, bool Across>
void plan_lines(const Axis<Arch>& axis, Plan& plan) {
  const std::int64_t groups = Line<T, Arch, Across>::groups(axis.outer, axis.inner);
  const std::int64_t group_elements = axis.length * (Across ? Lanes<T, Arch>::count : 1);
  if (groups == 0 || axis.length == 0) return;
  const std::int64_t per_chunk = group_elements < 16384 ? 16384 / group_elements : 1;
  plan.numbers = {axis.length, axis.inner, groups, per_chunk};
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
