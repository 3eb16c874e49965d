#include "contiguous.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/layer_norm.hpp>

#include <cmath>

// Layer normalization by rows. A row is read from memory once; the passes after the first find it
// in the cache. The gradients of weight and bias are summed by chunks of rows, then in the chunks'
// order.
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

template <class T>
using Row = Line<T, Arch, Along::one>;

template <class T>
[[gnu::flatten]] void run_forward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using V = typename Row<T>::V;
  const std::int64_t length = plan.numbers[row_length];
  const T* weight = call.in_count > 1 ? C::in<T>(call, scratch, 1) : nullptr;
  const T* bias = call.in_count > 2 ? C::in<T>(call, scratch, 2) : nullptr;
  const double eps = call.op<LayerNorm>().eps;
  const double size = static_cast<double>(length);
  const T* x = C::in<T>(call, scratch, 0);
  T* y = call.out[0].as<T>();
  const bool streams = Row<T>::streams(y, plan.numbers[row_count], length, 1);
  const Rows rows(plan, chunk);
  for (std::int64_t number = rows.first; number < rows.end; ++number) {
    const auto row = Row<T>::at(number, length, 1);
    const V average = row.sum_of([&](auto at) { return at.load(x, T(0)); }) / V(size);
    const V squares = row.sum_of([&](auto at) {
      const V d = at.where_active(at.load(x, T(0)) - average);
      return d * d;
    });
    const V rstd = V(1) / sqrt(squares / V(size) + V(eps));
    const auto normal = [&](auto at) {
      at.fetch_next(x);
      return (at.load(x, T(0)) - average) * rstd;
    };
    if (weight && bias)
      row.each([&](auto at) {
        at.put(y, fma(normal(at), at.shared(weight), at.shared(bias)), streams);
      });
    else if (weight)
      row.each([&](auto at) { at.put(y, normal(at) * at.shared(weight), streams); });
    else
      row.each([&](auto at) { at.put(y, normal(at), streams); });
    Row<T>::write_down(average, call.out[1].as<T>() + number);
    Row<T>::write_down(rstd, call.out[2].as<T>() + number);
  }
  if (streams) Stream<Arch>::finish();
}

template <class T>
[[gnu::flatten]] void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using V = typename Row<T>::V;
  const std::int64_t length = plan.numbers[row_length];
  const T* weight = call.in_count > 4 ? C::in<T>(call, scratch, 4) : nullptr;
  T* dweight = nullptr;
  T* dbias = nullptr;
  if (weight) {
    dweight = reinterpret_cast<T*>(C::rest(call, scratch)) + 2 * chunk * length;
    dbias = dweight + length;
    for (std::int64_t i = 0; i < 2 * length; ++i) dweight[i] = T(0);
  }
  const T* dy = C::in<T>(call, scratch, 0);
  const T* x = C::in<T>(call, scratch, 1);
  T* dx = call.out[0].as<T>();
  const bool streams = Row<T>::streams(dx, plan.numbers[row_count], length, 1);
  const Rows rows(plan, chunk);
  for (std::int64_t number = rows.first; number < rows.end; ++number) {
    const auto row = Row<T>::at(number, length, 1);
    const V average = Row<T>::spread(C::in<T>(call, scratch, 2) + number);
    const V rstd = Row<T>::spread(C::in<T>(call, scratch, 3) + number);
    const V size(static_cast<double>(length));
    const auto normal = [&](auto at) { return (at.load(x, T(0)) - average) * rstd; };
    struct Sums {
      V g, gx;
    };
    const auto means_of = [&](auto slope) {
      const Sums sums = row.folded(
          Sums{V(0), V(0)},
          [&](const Sums& so_far, auto at) {
            const V g = slope(at);
            return Sums{so_far.g + g, fma(g, normal(at), so_far.gx)};
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
        at.put(dx, (at.load(dy, T(0)) - mean.g - normal(at) * mean.gx) * rstd, streams);
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
      const V shift = at.shared(dbias) + d;
      at.put(dx, (d * at.shared(weight) - mean.g - n * mean.gx) * rstd, streams);
      at.store_shared(dweight, slope);
      at.store_shared(dbias, shift);
    });
  }
  if (streams) Stream<Arch>::finish();
}

/// Adds the chunks' shares of dweight and dbias, a block of columns at a time.
template <class T>
void run_columns(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t length = plan.numbers[row_length];
  const std::int64_t begin = chunk * column_block;
  const std::int64_t end = begin + column_block < length ? begin + column_block : length;
  const T* parts = reinterpret_cast<const T*>(Contiguous<Arch>::rest(call, scratch));
  for (std::size_t k = 0; k < 2; ++k) {
    T* to = call.out[1 + k].as<T>();
    for (std::int64_t i = begin; i < end; ++i) to[i] = T(0);
    for (std::int64_t part = 0; part < plan.numbers[chunk_count]; ++part) {
      const T* from = parts + (2 * part + static_cast<std::int64_t>(k)) * length;
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

}  // namespace

template <>
void Kernel<LayerNorm, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t chunks = cut(plan, call.in[0], call.op<LayerNorm>().dims, false);
  if (chunks == 0) return;
  const bool wide = call.in[0].dtype == DType::float64;
  plan.cost_ns += static_cast<double>(call.out[0].elements()) * (wide ? 1 : 0.5);
  plan.add(wide ? &run_forward<double> : &run_forward<float>, chunks);
}

template <>
void Kernel<LayerNormBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  const bool weighted = call.in_count > 4;
  const std::int64_t chunks = cut(plan, call.in[1], call.op<LayerNormBackward>().dims, weighted);
  const bool wide = call.in[1].dtype == DType::float64;
  const std::int64_t length = plan.numbers[row_length];
  const std::int64_t sums = weighted ? 2 * chunks * length * (wide ? 8 : 4) : 0;
  Contiguous<Arch>::plan(call, plan, static_cast<std::size_t>(sums));
  plan.cost_ns += static_cast<double>(call.out[0].elements()) * (wide ? 2 : 1);
  if (chunks > 0) plan.add(wide ? &run_backward<double> : &run_backward<float>, chunks);
  if (weighted)
    plan.add(
        wide ? &run_columns<double> : &run_columns<float>,
        (length + column_block - 1) / column_block);
}

}  // namespace troupe::cpu
