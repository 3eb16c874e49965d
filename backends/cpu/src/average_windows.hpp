#pragma once

#include "contiguous.hpp"
#include "lanes.hpp"

namespace troupe::cpu {

/// The part of a plane that a window covers along one axis, and how many places it counts for.
struct Span {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t counted;
};

/// Average pooling by planes [H, W], forward and backward, whatever the windows: `Windows` gives
/// `Span rows(i)`, `Span columns(j)` and `std::int64_t divisor(rows, columns)`, and is made from
/// the call and from the plan, whose first four numbers are the planes' sizes before and after.
template <class Windows, class T, class A>
struct AverageWindows {
  enum Number : std::size_t { height, width, out_height, out_width, planes, planes_a_chunk };

  static void run_forward(
      const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
    const Windows windows(call, plan);
    const std::int64_t in_size = plan.numbers[height] * plan.numbers[width];
    const std::int64_t out_size = plan.numbers[out_height] * plan.numbers[out_width];
    const T* all = Contiguous<A>::template in<T>(call, scratch, 0);
    for (std::int64_t p = first(plan, chunk); p < end(plan, chunk); ++p) {
      const T* x = all + p * in_size;
      T* y = call.out[0].template as<T>() + p * out_size;
      for (std::int64_t i = 0; i < plan.numbers[out_height]; ++i) {
        const Span rows = windows.rows(i);
        for (std::int64_t j = 0; j < plan.numbers[out_width]; ++j) {
          const Span columns = windows.columns(j);
          *y++ = sum(x, plan.numbers[width], rows, columns) /
                 static_cast<T>(windows.divisor(rows, columns));
        }
      }
    }
  }

  static void run_backward(
      const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
    const Windows windows(call, plan);
    const std::int64_t row_size = plan.numbers[width];
    const std::int64_t in_size = plan.numbers[height] * row_size;
    const std::int64_t out_size = plan.numbers[out_height] * plan.numbers[out_width];
    const T* all = Contiguous<A>::template in<T>(call, scratch, 0);
    for (std::int64_t p = first(plan, chunk); p < end(plan, chunk); ++p) {
      const T* dy = all + p * out_size;
      T* dx = call.out[0].template as<T>() + p * in_size;
      for (std::int64_t i = 0; i < in_size; ++i) dx[i] = T(0);
      for (std::int64_t i = 0; i < plan.numbers[out_height]; ++i) {
        const Span rows = windows.rows(i);
        for (std::int64_t j = 0; j < plan.numbers[out_width]; ++j) {
          const Span columns = windows.columns(j);
          const T share = *dy++ / static_cast<T>(windows.divisor(rows, columns));
          for (std::int64_t r = rows.begin; r < rows.end; ++r)
            for (std::int64_t c = columns.begin; c < columns.end; ++c)
              dx[r * row_size + c] += share;
        }
      }
    }
  }

  /// `plane` is the larger tensor, `pooled` the smaller.
  static void plan(const KernelCall& call, Plan& plan, const View& plane, const View& pooled) {
    const std::size_t rank = plane.shape.size();
    std::int64_t count = 1;
    for (std::size_t i = 0; i + 2 < rank; ++i) count *= plane.shape[i];
    const std::int64_t size = plane.shape[rank - 2] * plane.shape[rank - 1];
    const std::int64_t out_size = pooled.shape[rank - 2] * pooled.shape[rank - 1];
    if (count == 0 || size == 0) return;
    Contiguous<A>::plan(call, plan);
    const std::int64_t per_chunk = size < 32768 ? 32768 / size : 1;
    plan.numbers = {
        plane.shape[rank - 2],
        plane.shape[rank - 1],
        pooled.shape[rank - 2],
        pooled.shape[rank - 1],
        count,
        per_chunk};
    plan.cost_ns += static_cast<double>(count * (size + 4 * out_size));
    plan.add(
        &plane == &call.in[0] ? &run_forward : &run_backward, (count + per_chunk - 1) / per_chunk);
  }

 private:
  static std::int64_t first(const Plan& plan, std::uint32_t chunk) {
    return chunk * plan.numbers[planes_a_chunk];
  }
  static std::int64_t end(const Plan& plan, std::uint32_t chunk) {
    const std::int64_t last = first(plan, chunk) + plan.numbers[planes_a_chunk];
    return last < plan.numbers[planes] ? last : plan.numbers[planes];
  }
  static T sum(const T* x, std::int64_t row_size, const Span& rows, const Span& columns) {
    using L = Lanes<T, A>;
    if (columns.end - columns.begin >= L::count) {
      // A wide window, such as a whole plane: sums of columns, side by side.
      typename L::V total(T(0));
      for (std::int64_t r = rows.begin; r < rows.end; ++r)
        for (std::int64_t c = columns.begin; c < columns.end; c += L::count)
          total += L::load(x + r * row_size + c, columns.end - c, T(0));
      return L::sum(total);
    }
    T total = 0;
    for (std::int64_t c = columns.begin; c < columns.end; ++c) {
      T column = 0;
      for (std::int64_t r = rows.begin; r < rows.end; ++r) column += x[r * row_size + c];
      total += column;
    }
    return total;
  }
};

}  // namespace troupe::cpu
