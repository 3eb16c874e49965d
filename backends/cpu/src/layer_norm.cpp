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
void run_forward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using L = Lanes<T, Arch>;
  using V = typename L::V;
  const std::int64_t length = plan.numbers[row_length];
  const T* weight = call.in_count > 1 ? C::in<T>(call, scratch, 1) : nullptr;
  const T* bias = call.in_count > 2 ? C::in<T>(call, scratch, 2) : nullptr;
  const T eps = static_cast<T>(call.op<LayerNorm>().eps);
  const T size = static_cast<T>(length);
  const Rows rows(plan, chunk);
  for (std::int64_t row = rows.first; row < rows.end; ++row) {
    const T* x = C::in<T>(call, scratch, 0) + row * length;
    T* y = call.out[0].as<T>() + row * length;
    V total(T(0));
    for (std::int64_t i = 0; i < length; i += L::count) total += L::load(x + i, length - i, T(0));
    const T average = L::sum(total) / size;
    V squares(T(0));
    for (std::int64_t i = 0; i < length; i += L::count) {
      // What pads the last register equals the average, and so adds nothing.
      const V d = L::load(x + i, length - i, average) - V(average);
      squares = fused_multiply_add(d, d, squares);
    }
    const T rstd = T(1) / std::sqrt(L::sum(squares) / size + eps);
    for (std::int64_t i = 0; i < length; i += L::count) {
      const std::int64_t n = length - i;
      V normal = (L::load(x + i, n, T(0)) - V(average)) * V(rstd);
      if (weight) normal *= L::load(weight + i, n, T(0));
      if (bias) normal += L::load(bias + i, n, T(0));
      L::store(y + i, n, normal);
    }
    call.out[1].as<T>()[row] = average;
    call.out[2].as<T>()[row] = rstd;
  }
}

template <class T>
void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using L = Lanes<T, Arch>;
  using V = typename L::V;
  const std::int64_t length = plan.numbers[row_length];
  const T* weight = call.in_count > 4 ? C::in<T>(call, scratch, 4) : nullptr;
  T* dweight = nullptr;
  T* dbias = nullptr;
  if (weight) {
    dweight = reinterpret_cast<T*>(C::rest(call, scratch)) + 2 * chunk * length;
    dbias = dweight + length;
    for (std::int64_t i = 0; i < 2 * length; ++i) dweight[i] = T(0);
  }
  const Rows rows(plan, chunk);
  for (std::int64_t row = rows.first; row < rows.end; ++row) {
    const T* dy = C::in<T>(call, scratch, 0) + row * length;
    const T* x = C::in<T>(call, scratch, 1) + row * length;
    const V average(C::in<T>(call, scratch, 2)[row]);
    const V rstd(C::in<T>(call, scratch, 3)[row]);
    T* dx = call.out[0].as<T>() + row * length;
    V sum_g(T(0));
    V sum_gx(T(0));
    for (std::int64_t i = 0; i < length; i += L::count) {
      const std::int64_t n = length - i;
      const V d = L::load(dy + i, n, T(0));
      const V normal = (L::load(x + i, n, T(0)) - average) * rstd;
      const V g = weight ? d * L::load(weight + i, n, T(0)) : d;
      sum_g += g;
      sum_gx = fused_multiply_add(g, normal, sum_gx);
      if (!weight) continue;
      L::store(dweight + i, n, fused_multiply_add(d, normal, L::load(dweight + i, n, T(0))));
      L::store(dbias + i, n, L::load(dbias + i, n, T(0)) + d);
    }
    const V mean_g(L::sum(sum_g) / static_cast<T>(length));
    const V mean_gx(L::sum(sum_gx) / static_cast<T>(length));
    for (std::int64_t i = 0; i < length; i += L::count) {
      const std::int64_t n = length - i;
      const V d = L::load(dy + i, n, T(0));
      const V normal = (L::load(x + i, n, T(0)) - average) * rstd;
      const V g = weight ? d * L::load(weight + i, n, T(0)) : d;
      L::store(dx + i, n, (g - mean_g - normal * mean_gx) * rstd);
    }
  }
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
