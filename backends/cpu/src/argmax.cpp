#include "fold_loops.hpp"

#include <troupe/tensor/ops/argmax.hpp>
#include <troupe/tensor/ops/argmin.hpp>
#include <troupe/tensor/ops/max.hpp>
#include <troupe/tensor/ops/min.hpp>
#include <troupe/tensor/ops/std.hpp>
#include <troupe/tensor/ops/var.hpp>

#include <cmath>

namespace troupe::cpu {

namespace {

/// Plans a kernel that looks at each row as a whole: [rows, length].
template <class Op>
void plan_rows(const KernelCall& call, Plan& plan, Plan::Run run) {
  const View& x = call.in[0];
  const FoldShape shape =
      fold_shape<Arch>(x, folded_axes<Arch>(call.op<Op>().axes, x.shape.size()), true);
  const std::int64_t rows = shape.outer;
  const std::int64_t length = shape.second;
  if (rows == 0) return;
  plan.numbers[fold_outer] = rows;
  plan.numbers[fold_second] = length;
  plan.numbers[fold_copied] = shape.copies;
  if (shape.copies) {
    plan.scratch_bytes = static_cast<std::size_t>(rows * length) * size_of(x.dtype);
    plan.add(&copy_for_fold<Op, Arch, true>, StridedCopy<Arch>(shape.permuted).chunks());
  }
  const std::int64_t rows_per_chunk = length >= 32768 ? 1 : 32768 / (length + 1);
  plan.numbers[fold_items_per_chunk] = rows_per_chunk;
  plan.add(run, (rows + rows_per_chunk - 1) / rows_per_chunk);
  plan.cost_ns = static_cast<double>(rows * length) * (shape.copies ? 1.5 : 0.5) + 20;
}

/// Calls `body(row, elements)` for each row of a chunk.
template <class T, class Body>
void for_rows(
    const KernelCall& call,
    const Plan& plan,
    std::uint32_t chunk,
    const std::byte* scratch,
    Body body) {
  const auto& n = plan.numbers;
  const T* const x =
      n[fold_copied] ? reinterpret_cast<const T*>(scratch) : call.in[0].template as<T>();
  const std::int64_t begin = chunk * n[fold_items_per_chunk];
  const std::int64_t left = n[fold_outer] - begin;
  const std::int64_t end =
      begin + (left < n[fold_items_per_chunk] ? left : n[fold_items_per_chunk]);
  for (std::int64_t row = begin; row < end; ++row) body(row, x + row * n[fold_second]);
}

/// The best of a row, then where it stands first: two passes that vectorize instead of one that
/// does not.
template <class F, bool Values>
void run_choice(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using T = typename F::In;
  const std::int64_t length = plan.numbers[fold_second];
  for_rows<T>(call, plan, chunk, scratch, [&](std::int64_t row, const T* x) {
    const T best = fold_row<F>(x, length);
    std::int64_t at = 0;
    if constexpr (std::is_floating_point_v<T>) {
      using P = Pack<T, Arch>;
      const P wanted = P(Vec<T, Arch>(best));
      while (at + P::size <= length && !any(P::load(x + at) == wanted) &&
             !any(is_nan(P::load(x + at))))
        at += P::size;
    }
    if (best == best)
      while (x[at] != best) ++at;
    else
      while (x[at] == x[at]) ++at;
    if constexpr (Values) call.out[0].template as<T>()[row] = best;
    call.out[Values ? 1 : 0].template as<std::int64_t>()[row] = at;
  });
}

template <class Op, template <class, class> class F, bool Values>
void plan_choice(const KernelCall& call, Plan& plan) {
  switch (call.in[0].dtype) {
    case DType::float32:
      return plan_rows<Op>(call, plan, &run_choice<F<float, Arch>, Values>);
    case DType::float64:
      return plan_rows<Op>(call, plan, &run_choice<F<double, Arch>, Values>);
    case DType::int32:
      return plan_rows<Op>(call, plan, &run_choice<F<std::int32_t, Arch>, Values>);
    case DType::int64:
      return plan_rows<Op>(call, plan, &run_choice<F<std::int64_t, Arch>, Values>);
    case DType::uint8:
      return plan_rows<Op>(call, plan, &run_choice<F<std::uint8_t, Arch>, Values>);
    case DType::boolean:
      return plan_rows<Op>(call, plan, &run_choice<F<bool, Arch>, Values>);
    case DType::bfloat16:
    case DType::float16:
      break;  // refused by the shape rule
  }
}

/// Mean first, then the squares around it: the textbook's one pass cancels.
template <class Op, class T, bool Root>
void run_variance(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t length = plan.numbers[fold_second];
  const auto count = static_cast<double>(length);
  const double rest = count - call.op<Op>().correction;
  for_rows<T>(call, plan, chunk, scratch, [&](std::int64_t row, const T* x) {
    const double mean = fold_row<SumFold<T, Arch>>(x, length) / count;
    constexpr std::int64_t lanes = 16;
    double sums[lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= length; i += lanes)
      for (std::int64_t j = 0; j < lanes; ++j) {
        const double d = static_cast<double>(x[i + j]) - mean;
        sums[j] += d * d;
      }
    for (std::int64_t j = 0; i < length; ++i, ++j) {
      const double d = static_cast<double>(x[i]) - mean;
      sums[j] += d * d;
    }
    for (std::int64_t half = lanes / 2; half > 0; half /= 2)
      for (std::int64_t j = 0; j < half; ++j) sums[j] += sums[j + half];
    const double variance = sums[0] / (rest > 0 ? rest : 0);
    call.out[0].template as<T>()[row] = static_cast<T>(Root ? ::sqrt(variance) : variance);
  });
}

template <class Op, bool Root>
void plan_variance(const KernelCall& call, Plan& plan) {
  if (call.in[0].dtype == DType::float64)
    plan_rows<Op>(call, plan, &run_variance<Op, double, Root>);
  else
    plan_rows<Op>(call, plan, &run_variance<Op, float, Root>);
}

}  // namespace

template <>
void Kernel<Argmax, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_choice<Argmax, MaxFold, false>(call, plan);
}

template <>
void Kernel<Argmin, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_choice<Argmin, MinFold, false>(call, plan);
}

template <>
void Kernel<Max, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_choice<Max, MaxFold, true>(call, plan);
}

template <>
void Kernel<Min, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_choice<Min, MinFold, true>(call, plan);
}

template <>
void Kernel<Var, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_variance<Var, false>(call, plan);
}

template <>
void Kernel<Std, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_variance<Std, true>(call, plan);
}

}  // namespace troupe::cpu
