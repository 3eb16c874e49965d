#include "contiguous.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/layer_norm.hpp>
#include <troupe/tensor/ops/rms_norm.hpp>

#include <cmath>

// Layer and RMS normalization by rows, the latter without means and bias. A row is read from memory
// once; the passes after the first find it in the cache. The gradients of weight and bias are
// summed by chunks of rows, then in the chunks' order.
namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { row_count, row_length, rows_a_chunk, chunk_count };
constexpr std::int64_t column_block = 512;

struct Rows {
  std::int64_t first;
  std::int64_t end;

  Rows(const Plan& plan, std::uint32_t chunk)
      : first(chunk * plan.numbers[rows_a_chunk]), end(first + plan.numbers[rows_a_chunk]) {
    if (end > plan.numbers[row_count]) end = plan.numbers[row_count];
  }
};

/// Whether an op, or the one it is the gradient of, takes the mean off.
template <class Op>
constexpr bool centered = std::is_same_v<Op, LayerNorm> || std::is_same_v<Op, LayerNormBackward>;

template <class T>
using Row = Line<T, Arch, Along::one>;

template <class Op, class T>
[[gnu::flatten]] void run_forward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using V = typename Row<T>::V;
  const std::int64_t length = plan.numbers[row_length];
  const T* weight = call.in_count > 1 ? C::in<T>(call, scratch, 1) : nullptr;
  const T* bias = call.in_count > 2 ? C::in<T>(call, scratch, 2) : nullptr;
  const double eps = call.op<Op>().eps;
  const double size = static_cast<double>(length);
  const T* x = C::in<T>(call, scratch, 0);
  T* y = call.out[0].as<T>();
  const bool streams = Row<T>::streams(y, plan.numbers[row_count], length, 1);
  const Rows rows(plan, chunk);
  for (std::int64_t number = rows.first; number < rows.end; ++number) {
    const auto row = Row<T>::at(number, length, 1);
    V average(0);
    if constexpr (centered<Op>)
      average = row.sum_of([&](auto at) { return at.load(x, T(0)); }) / V(size);
    const V squares = row.sum_of([&](auto at) {
      V d = at.load(x, T(0));
      if constexpr (centered<Op>) d = at.where_active(d - average);
      return d * d;
    });
    const V rstd = V(1) / sqrt(squares / V(size) + V(eps));
    const auto normal = [&](auto at) {
      at.fetch_next(x);
      V d = at.load(x, T(0));
      if constexpr (centered<Op>) d = d - average;
      return d * rstd;
    };
    if (weight && bias)
      row.each([&](auto at) {
        at.put(y, fma(normal(at), at.shared(weight), at.shared(bias)), streams);
      });
    else if (weight)
      row.each([&](auto at) { at.put(y, normal(at) * at.shared(weight), streams); });
    else
      row.each([&](auto at) { at.put(y, normal(at), streams); });
    if constexpr (centered<Op>) Row<T>::write_down(average, call.out[1].as<T>() + number);
    constexpr std::size_t rstds = centered<Op> ? 2 : 1;
    Row<T>::write_down(rstd, call.out[rstds].template as<T>() + number);
  }
  if (streams) Stream<Arch>::finish();
}

/// Of an op that is a gradient, the input that holds rstd; the weight comes behind it.
template <class Op>
constexpr std::size_t rstd_input = centered<Op> ? 3 : 2;
/// How many sums over rows it has: dweight, and dbias.
template <class Op>
constexpr std::int64_t row_sums = centered<Op> ? 2 : 1;

template <class Op, class T>
[[gnu::flatten]] void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using V = typename Row<T>::V;
  const std::int64_t length = plan.numbers[row_length];
  constexpr std::size_t rstds = rstd_input<Op>;
  const T* weight = call.in_count > rstds + 1 ? C::in<T>(call, scratch, rstds + 1) : nullptr;
  T* dweight = nullptr;
  T* dbias = nullptr;
  if (weight) {
    dweight = reinterpret_cast<T*>(C::rest(call, scratch)) + row_sums<Op> * chunk * length;
    dbias = dweight + length;
    for (std::int64_t i = 0; i < row_sums<Op> * length; ++i) dweight[i] = T(0);
  }
  const T* dy = C::in<T>(call, scratch, 0);
  const T* x = C::in<T>(call, scratch, 1);
  T* dx = call.out[0].as<T>();
  const bool streams = Row<T>::streams(dx, plan.numbers[row_count], length, 1);
  const Rows rows(plan, chunk);
  for (std::int64_t number = rows.first; number < rows.end; ++number) {
    const auto row = Row<T>::at(number, length, 1);
    V average(0);
    if constexpr (centered<Op>) average = Row<T>::spread(C::in<T>(call, scratch, 2) + number);
    const V rstd = Row<T>::spread(C::in<T>(call, scratch, rstds) + number);
    const V size(static_cast<double>(length));
    const auto normal = [&](auto at) {
      V d = at.load(x, T(0));
      if constexpr (centered<Op>) d = d - average;
      return d * rstd;
    };
    // What is left of a slope g at x̂ = n, before the factor rstd.
    const auto projected = [&](const V& g, const V& n, const auto& mean) {
      if constexpr (centered<Op>) return g - mean.g - n * mean.gx;
      return g - n * mean.gx;
    };
    struct Sums {
      V g, gx;
    };
    const auto means_of = [&](auto slope) {
      const Sums sums = row.folded(
          Sums{V(0), V(0)},
          [&](const Sums& so_far, auto at) {
            const V g = slope(at);
            return Sums{centered<Op> ? so_far.g + g : so_far.g, fma(g, normal(at), so_far.gx)};
          },
          [](const Sums& a, const Sums& b) {
            return Sums{a.g + b.g, a.gx + b.gx};
          });
      return Sums{Row<T>::summed(sums.g) / size, Row<T>::summed(sums.gx) / size};
    };
    if (!weight) {
      const Sums mean = means_of([&](auto at) { return at.load(dy, T(0)); });
      row.each([&](auto at) {
        at.fetch_next(dy);
        at.fetch_next(x);
        at.put(dx, projected(at.load(dy, T(0)), normal(at), mean) * rstd, streams);
      });
      continue;
    }
    const Sums mean = means_of([&](auto at) { return at.load(dy, T(0)) * at.shared(weight); });
    row.each([&](auto at) {
      at.fetch_next(dy);
      at.fetch_next(x);
      const V d = at.load(dy, T(0));
      const V n = normal(at);
      const V slope = fma(d, n, at.shared(dweight));
      if constexpr (centered<Op>) {
        const V shift = at.shared(dbias) + d;
        at.store_shared(dbias, shift);
      }
      at.put(dx, projected(d * at.shared(weight), n, mean) * rstd, streams);
      at.store_shared(dweight, slope);
    });
  }
  if (streams) Stream<Arch>::finish();
}

/// Adds the chunks' shares of dweight and dbias, a block of columns at a time.
template <class Op, class T>
void run_columns(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t length = plan.numbers[row_length];
  const std::int64_t begin = chunk * column_block;
  const std::int64_t end = begin + column_block < length ? begin + column_block : length;
  const T* parts = reinterpret_cast<const T*>(Contiguous<Arch>::rest(call, scratch));
  for (std::int64_t k = 0; k < row_sums<Op>; ++k) {
    T* to = call.out[1 + k].as<T>();
    for (std::int64_t i = begin; i < end; ++i) to[i] = T(0);
    for (std::int64_t part = 0; part < plan.numbers[chunk_count]; ++part) {
      const T* from = parts + (row_sums<Op> * part + k) * length;
      for (std::int64_t i = begin; i < end; ++i) to[i] += from[i];
    }
  }
}

/// Cuts the rows of `x`; at most 64 chunks when each keeps sums of its own.
std::int64_t cut(Plan& plan, const View& x, std::int64_t dims, bool sums) {
  std::int64_t rows = 1;
  std::int64_t length = 1;
  const auto rows_rank = static_cast<std::int64_t>(x.shape.size()) - dims;
  for (std::size_t i = 0; i < x.shape.size(); ++i)
    (static_cast<std::int64_t>(i) < rows_rank ? rows : length) *= x.shape[i];
  std::int64_t per_chunk = length < 16384 ? 16384 / length : 1;
  if (sums && per_chunk < (rows + 63) / 64) per_chunk = (rows + 63) / 64;
  const std::int64_t chunks = (rows + per_chunk - 1) / per_chunk;
  plan.numbers = {rows, length, per_chunk, chunks};
  return chunks;
}

template <class Op>
void plan_forward(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t chunks = cut(plan, call.in[0], call.op<Op>().dims, false);
  if (chunks == 0) return;
  const bool wide = call.in[0].dtype == DType::float64;
  plan.cost_ns += static_cast<double>(call.out[0].elements()) * (wide ? 1 : 0.5);
  plan.add(wide ? &run_forward<Op, double> : &run_forward<Op, float>, chunks);
}

template <class Op>
void plan_backward(const KernelCall& call, Plan& plan) {
  const bool weighted = call.in_count > rstd_input<Op> + 1;
  const std::int64_t chunks = cut(plan, call.in[1], call.op<Op>().dims, weighted);
  const bool wide = call.in[1].dtype == DType::float64;
  const std::int64_t length = plan.numbers[row_length];
  const std::int64_t sums = weighted ? row_sums<Op> * chunks * length * (wide ? 8 : 4) : 0;
  Contiguous<Arch>::plan(call, plan, static_cast<std::size_t>(sums));
  plan.cost_ns += static_cast<double>(call.out[0].elements()) * (wide ? 2 : 1);
  if (chunks > 0) plan.add(wide ? &run_backward<Op, double> : &run_backward<Op, float>, chunks);
  if (weighted)
    plan.add(
        wide ? &run_columns<Op, double> : &run_columns<Op, float>,
        (length + column_block - 1) / column_block);
}

}  // namespace

template <>
void Kernel<LayerNorm, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_forward<LayerNorm>(call, plan);
}

template <>
void Kernel<LayerNormBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_backward<LayerNormBackward>(call, plan);
}

template <>
void Kernel<RmsNorm, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_forward<RmsNorm>(call, plan);
}

template <>
void Kernel<RmsNormBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_backward<RmsNormBackward>(call, plan);
}

}  // namespace troupe::cpu
