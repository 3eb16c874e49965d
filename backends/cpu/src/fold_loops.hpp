#pragma once

#include "fold.hpp"
#include "pack.hpp"
#include "strided_copy.hpp"

#include <cstring>
#include <limits>
#include <type_traits>

namespace troupe::cpu {

/// What floats are added and multiplied in, so that rounding shows once, at the end; integers wrap.
template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
template <class T>
Wide<T> wide(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<double>(x);
  else
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(x));
}
/// What a sum of `T` is stored as.
template <class T>
using Total = std::conditional_t<std::is_floating_point_v<T>, T, std::int64_t>;

template <class T, class A>
struct SumFold {
  using In = T;
  using Sum = Wide<T>;
  using Out = Total<T>;
  static constexpr Sum identity = 0;
  static Sum step(Sum sum, T x) { return sum + wide(x); }
  static Sum join(Sum a, Sum b) { return a + b; }
  static Out finish(Sum sum, std::int64_t) { return static_cast<Out>(sum); }
};

template <class T, class A>
struct MeanFold : SumFold<T, A> {
  static T finish(double sum, std::int64_t n) {
    return static_cast<T>(sum / static_cast<double>(n));
  }
};

template <class T, class A>
struct ProdFold {
  using In = T;
  using Sum = Wide<T>;
  using Out = Total<T>;
  static constexpr Sum identity = 1;
  static Sum step(Sum sum, T x) { return sum * wide(x); }
  static Sum join(Sum a, Sum b) { return a * b; }
  static Out finish(Sum sum, std::int64_t) { return static_cast<Out>(sum); }
};

/// A NaN is larger than all, so that it is found.
template <class T, class A>
struct MaxFold {
  using Arch = A;
  using In = T;
  using Sum = T;
  using Out = T;
  static constexpr T identity = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                                            : std::numeric_limits<T>::lowest();
  static T step(T best, T x) { return (x > best) | (x != x) ? x : best; }
  static T join(T a, T b) { return step(a, b); }
  /// Of numbers; `best` where either is a NaN.
  static Pack<T, A> beyond(Pack<T, A> x, Pack<T, A> best) { return larger(x, best); }
  static T finish(T best, std::int64_t) { return best; }
};

template <class T, class A>
struct MinFold {
  using Arch = A;
  using In = T;
  using Sum = T;
  using Out = T;
  static constexpr T identity = std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity()
                                                            : std::numeric_limits<T>::max();
  static T step(T best, T x) { return (x < best) | (x != x) ? x : best; }
  static T join(T a, T b) { return step(a, b); }
  /// Of numbers; `best` where either is a NaN.
  static Pack<T, A> beyond(Pack<T, A> x, Pack<T, A> best) { return smaller(x, best); }
  static T finish(T best, std::int64_t) { return best; }
};

template <class T, class A>
struct AllFold {
  using In = T;
  using Sum = std::uint8_t;
  using Out = bool;
  static constexpr std::uint8_t identity = 1;
  static std::uint8_t step(std::uint8_t yes, T x) { return yes & (x != T(0) ? 1 : 0); }
  static std::uint8_t join(std::uint8_t a, std::uint8_t b) { return a & b; }
  static bool finish(std::uint8_t yes, std::int64_t) { return yes != 0; }
};

template <class T, class A>
struct AnyFold {
  using In = T;
  using Sum = std::uint8_t;
  using Out = bool;
  static constexpr std::uint8_t identity = 0;
  static std::uint8_t step(std::uint8_t yes, T x) { return yes | (x != T(0) ? 1 : 0); }
  static std::uint8_t join(std::uint8_t a, std::uint8_t b) { return a | b; }
  static bool finish(std::uint8_t yes, std::int64_t) { return yes != 0; }
};

/// Folds a plain array, as a whole or piece by piece. Partial results, each for every so many-th
/// element, are joined by halves: the order depends on the length alone. They stand in four arrays,
/// each a register or two, so that none waits for the one before.
template <class F>
class RowFold {
  using In = typename F::In;
  using Sum = typename F::Sum;
  static constexpr std::int64_t lanes = 16;

 public:
  /// What every piece but the last has a multiple of.
  static constexpr std::int64_t unit = 4 * lanes;

  RowFold() {
    for (std::int64_t j = 0; j < lanes; ++j) a_[j] = b_[j] = c_[j] = d_[j] = F::identity;
  }
  void take(const In* x, std::int64_t n) { add(x, n, a_, b_, c_, d_); }
  Sum total() { return join(a_, b_, c_, d_); }

  static Sum of(const In* x, std::int64_t n) {
    Sum a[lanes];
    Sum b[lanes];
    Sum c[lanes];
    Sum d[lanes];
    for (std::int64_t j = 0; j < lanes; ++j) a[j] = b[j] = c[j] = d[j] = F::identity;
    add(x, n, a, b, c, d);
    return join(a, b, c, d);
  }

 private:
  [[gnu::always_inline]] static void add(
      const In* x,
      std::int64_t n,
      Sum (&a)[lanes],
      Sum (&b)[lanes],
      Sum (&c)[lanes],
      Sum (&d)[lanes]) {
    std::int64_t i = 0;
    for (; i + unit <= n; i += unit) {
      for (std::int64_t j = 0; j < lanes; ++j) a[j] = F::step(a[j], x[i + j]);
      for (std::int64_t j = 0; j < lanes; ++j) b[j] = F::step(b[j], x[i + lanes + j]);
      for (std::int64_t j = 0; j < lanes; ++j) c[j] = F::step(c[j], x[i + 2 * lanes + j]);
      for (std::int64_t j = 0; j < lanes; ++j) d[j] = F::step(d[j], x[i + 3 * lanes + j]);
    }
    for (; i + lanes <= n; i += lanes)
      for (std::int64_t j = 0; j < lanes; ++j) a[j] = F::step(a[j], x[i + j]);
    for (std::int64_t j = 0; i < n; ++i, ++j) b[j] = F::step(b[j], x[i]);
  }
  [[gnu::always_inline]] static Sum join(
      Sum (&a)[lanes], Sum (&b)[lanes], Sum (&c)[lanes], Sum (&d)[lanes]) {
    for (std::int64_t j = 0; j < lanes; ++j)
      a[j] = F::join(F::join(a[j], b[j]), F::join(c[j], d[j]));
    for (std::int64_t half = lanes / 2; half > 0; half /= 2)
      for (std::int64_t j = 0; j < half; ++j) a[j] = F::join(a[j], a[j + half]);
    return a[0];
  }

  Sum a_[lanes];
  Sum b_[lanes];
  Sum c_[lanes];
  Sum d_[lanes];
};

/// The largest or smallest of a plain array of floats, by packs, four in turn. A NaN wins: the last
/// of those behind the last whole turn of the packs, or else the first of all.
template <class F>
requires(std::is_floating_point_v<typename F::Sum>&& requires {
  typename F::Arch;
}) class RowFold<F> {
  using T = typename F::In;
  using P = Pack<T, typename F::Arch>;
  static constexpr std::int64_t turn = 4 * P::size;

 public:
  static constexpr std::int64_t unit = 64;
  static_assert(unit % turn == 0);

  RowFold() {
    for (P& best : best_) best = P(Vec<T, typename F::Arch>(F::identity));
  }
  static T of(const T* x, std::int64_t n) {
    RowFold fold;
    fold.take(x, n);
    return fold.total();
  }
  [[gnu::always_inline]] void take(const T* x, std::int64_t n) {
    P best[4] = {best_[0], best_[1], best_[2], best_[3]};
    auto nan = is_nan(best[0]);
    std::int64_t i = 0;
    for (; i + turn <= n; i += turn)
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const P next = P::load(x + i + k * P::size);
        best[k] = F::beyond(next, best[k]);
        nan = nan | is_nan(next);
      }
    for (int k = 0; k < 4; ++k) best_[k] = best[k];
    if (any(nan))
      for (std::int64_t k = 0; first_nan_ == first_nan_; ++k)
        first_nan_ = F::step(first_nan_, x[k]);
    for (; i < n; ++i) rest_ = F::step(rest_, x[i]);
  }
  [[gnu::always_inline]] T total() {
    alignas(64) T lanes[P::size];
    F::beyond(F::beyond(best_[0], best_[1]), F::beyond(best_[2], best_[3])).store(lanes);
    T result = F::identity;
    for (const T lane : lanes) result = F::step(result, lane);
    result = F::step(result, rest_);
    return result == result ? F::step(result, first_nan_) : result;
  }

 private:
  P best_[4];
  T first_nan_ = F::identity;  // of those in whole turns
  T rest_ = F::identity;       // of those behind them
};

template <class F>
typename F::Sum fold_row(const typename F::In* x, std::int64_t n) {
  return RowFold<F>::of(x, n);
}

/// So many adjacent columns go together: memory is read faster in stretches than by lines.
inline constexpr std::int64_t fold_columns_max = 256;

/// Folds `rows` more rows of `width` adjacent columns, in order.
template <class F>
[[gnu::always_inline]] inline void fold_more_columns(
    const typename F::In* x,
    std::int64_t rows,
    std::int64_t row_step,
    std::int64_t width,
    typename F::Sum* into) {
  using Sum = typename F::Sum;
  constexpr std::int64_t lanes = 16;
  // Some rows for each of the columns' registers, which are so loaded less often.
  constexpr std::int64_t rows_together = 4;
  for (std::int64_t r = 0; r < rows; r += rows_together) {
    const std::int64_t count = rows - r < rows_together ? rows - r : rows_together;
    std::int64_t c = 0;
    for (; c + lanes <= width; c += lanes) {
      Sum sums[lanes];
      for (std::int64_t j = 0; j < lanes; ++j) sums[j] = into[c + j];
      for (std::int64_t k = 0; k < count; ++k)
        for (std::int64_t j = 0; j < lanes; ++j)
          sums[j] = F::step(sums[j], x[(r + k) * row_step + c + j]);
      for (std::int64_t j = 0; j < lanes; ++j) into[c + j] = sums[j];
    }
    for (; c < width; ++c)
      for (std::int64_t k = 0; k < count; ++k)
        into[c] = F::step(into[c], x[(r + k) * row_step + c]);
  }
}

/// Folds `width` adjacent columns over `rows` rows.
template <class F>
void fold_columns(
    const typename F::In* x,
    std::int64_t rows,
    std::int64_t row_step,
    std::int64_t width,
    typename F::Sum* into) {
  for (std::int64_t j = 0; j < width; ++j) into[j] = F::identity;
  fold_more_columns<F>(x, rows, row_step, width, into);
}

/// Copies a strided or oddly grouped input, kept dimensions first.
template <class Op, class A, bool RowsOnly>
void copy_for_fold(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  const View& x = call.in[0];
  const FoldShape shape =
      fold_shape<A>(x, folded_axes<A>(call.op<Op>().axes, x.shape.size()), RowsOnly);
  StridedCopy<A>(shape.permuted).run(size_of(x.dtype), chunk, scratch);
}

/// The kernel of one way to fold, on one dtype.
template <class Op, class F, class A>
struct FoldKernel {
  using T = typename F::In;
  using Sum = typename F::Sum;
  using Out = typename F::Out;
  static constexpr std::int64_t chunk_elements = 32768;

  static void plan(const KernelCall& call, Plan& plan) {
    const View& x = call.in[0];
    const FoldShape shape =
        fold_shape<A>(x, folded_axes<A>(call.op<Op>().axes, x.shape.size()), false);
    if (shape.kept() == 0) return;
    const std::int64_t total = shape.kept() * shape.folded();
    auto& n = plan.numbers;
    n[fold_outer] = shape.outer;
    n[fold_first] = shape.first;
    n[fold_middle] = shape.middle;
    n[fold_second] = shape.second;
    n[fold_inner] = shape.inner;
    n[fold_copied] = shape.copies;
    if (shape.copies) {
      plan.scratch_bytes = (static_cast<std::size_t>(total) * sizeof(T) + 63) / 64 * 64;
      plan.add(&copy_for_fold<Op, A, false>, StridedCopy<A>(shape.permuted).chunks());
    }
    // Long folds are cut where there is not enough else to share out.
    const std::int64_t tiles = shape.inner == 1 ? 1 : chunks(shape.inner, fold_columns_max);
    const std::int64_t width = shape.inner < fold_columns_max ? shape.inner : fold_columns_max;
    const std::int64_t segment_least = chunk_elements / width;
    const bool cut = shape.first == 1 && shape.outer * tiles < 32 && shape.second > segment_least;
    n[fold_segment] = cut ? segment_least : shape.second;
    n[fold_segments] = cut ? chunks(shape.second, segment_least) : 1;
    const std::int64_t lines = shape.outer * shape.first * shape.middle;
    const std::int64_t items = lines * n[fold_segments] * tiles;
    const std::int64_t item_elements = n[fold_segment] * width;
    n[fold_items_per_chunk] = item_elements >= chunk_elements ? 1
                              : item_elements == 0            ? items
                                                              : chunk_elements / item_elements;
    n[fold_sums_at] = static_cast<std::int64_t>(plan.scratch_bytes);
    plan.add(
        call.make_elements ? &run_part<true> : &run_part<false>,
        chunks(items, n[fold_items_per_chunk]));
    plan.cost_ns = static_cast<double>(total) * (shape.copies ? 1.0 : 0.25) + 20;
    if (shape.first > 1 || cut) {
      plan.scratch_bytes +=
          static_cast<std::size_t>(lines * n[fold_segments] * shape.inner) * sizeof(Sum);
      plan.add(&run_join, chunks(shape.kept(), chunk_elements / 16));
    }
  }

 private:
  static std::int64_t chunks(std::int64_t n, std::int64_t each) { return (n + each - 1) / each; }

  /// `Made`: the input's elements are made when they are needed.
  template <bool Made>
  static void run_part(
      const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
    const auto& n = plan.numbers;
    const T* const x = n[fold_copied] ? reinterpret_cast<const T*>(scratch) : call.in[0].as<T>();
    const bool joins = n[fold_first] > 1 || n[fold_segments] > 1;
    Sum* const sums = reinterpret_cast<Sum*>(scratch + n[fold_sums_at]);
    Out* const out = call.out[0].as<Out>();
    const std::int64_t inner = n[fold_inner];
    const std::int64_t tiles = inner == 1 ? 1 : chunks(inner, fold_columns_max);
    const std::int64_t items =
        n[fold_outer] * n[fold_first] * n[fold_middle] * n[fold_segments] * tiles;
    const std::int64_t begin = chunk * n[fold_items_per_chunk];
    const std::int64_t end =
        items - begin < n[fold_items_per_chunk] ? items : begin + n[fold_items_per_chunk];
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t tile = item % tiles;
      const std::int64_t segment = item / tiles % n[fold_segments];
      const std::int64_t line = item / tiles / n[fold_segments];
      const std::int64_t row = segment * n[fold_segment];
      const std::int64_t rows =
          n[fold_second] - row < n[fold_segment] ? n[fold_second] - row : n[fold_segment];
      const std::int64_t column = tile * fold_columns_max;
      const std::int64_t width =
          inner - column < fold_columns_max ? inner - column : fold_columns_max;
      const std::int64_t from = (line * n[fold_second] + row) * inner + column;
      const std::int64_t to = (line * n[fold_segments] + segment) * inner + column;
      Sum part[fold_columns_max];
      if constexpr (Made) {
        if (inner == 1)
          part[0] = fold_made_row(call, from, rows);
        else
          fold_made_columns(call, from, rows, inner, width, part);
      } else {
        if (inner == 1)
          part[0] = fold_row<F>(x + from, rows);
        else
          fold_columns<F>(x + from, rows, inner, width, part);
      }
      if (joins)
        for (std::int64_t j = 0; j < width; ++j) sums[to + j] = part[j];
      else
        for (std::int64_t j = 0; j < width; ++j) out[to + j] = F::finish(part[j], n[fold_second]);
    }
  }

  /// Elements that are made at a time: they stay in the first-level cache.
  static constexpr std::int64_t made_max = 1024;
  static_assert(made_max % RowFold<F>::unit == 0 && made_max >= fold_columns_max);

  /// The row of `n` elements that begins at element `from`.
  static Sum fold_made_row(const KernelCall& call, std::int64_t from, std::int64_t n) {
    const T* const kept = call.in[0].as<T>();
    alignas(64) T made[made_max];
    RowFold<F> fold;
    for (const std::int64_t end = from + n; from < end; from += made_max) {
      const std::int64_t some = end - from < made_max ? end - from : made_max;
      call.make_elements(*call.segment, from, 1, 0, some, kept ? nullptr : made);
      fold.take(kept ? kept + from : made, some);
    }
    return fold.total();
  }
  /// `rows` rows of `width` columns, of which the first begins at element `from`.
  static void fold_made_columns(
      const KernelCall& call,
      std::int64_t from,
      std::int64_t rows,
      std::int64_t row_step,
      std::int64_t width,
      Sum* into) {
    const T* const kept = call.in[0].as<T>();
    alignas(64) T made[made_max];
    for (std::int64_t j = 0; j < width; ++j) into[j] = F::identity;
    const std::int64_t at_once = made_max / width;
    for (; rows > 0; rows -= at_once, from += at_once * row_step) {
      const std::int64_t count = rows < at_once ? rows : at_once;
      if (width == row_step)
        call.make_elements(*call.segment, from, 1, 0, count * width, kept ? nullptr : made);
      else
        call.make_elements(*call.segment, from, count, row_step, width, kept ? nullptr : made);
      fold_more_columns<F>(kept ? kept + from : made, count, kept ? row_step : width, width, into);
    }
  }

  /// Joins partial results in their order: those of `first`, or of the segments.
  static void run_join(
      const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
    const auto& n = plan.numbers;
    const bool segments = n[fold_segments] > 1;
    const std::int64_t parts = segments ? n[fold_segments] : n[fold_first];
    const std::int64_t inner = segments ? n[fold_inner] : n[fold_middle] * n[fold_inner];
    const std::int64_t kept = n[fold_outer] * n[fold_middle] * n[fold_inner];
    const Sum* const sums = reinterpret_cast<const Sum*>(scratch + n[fold_sums_at]);
    Out* const out = call.out[0].as<Out>();
    const std::int64_t begin = chunk * (chunk_elements / 16);
    const std::int64_t end =
        kept - begin < chunk_elements / 16 ? kept : begin + chunk_elements / 16;
    for (std::int64_t i = begin; i < end; ++i) {
      const Sum* part = sums + i / inner * parts * inner + i % inner;
      Sum sum = part[0];
      for (std::int64_t p = 1; p < parts; ++p) sum = F::join(sum, part[p * inner]);
      out[i] = F::finish(sum, n[fold_first] * n[fold_second]);
    }
  }
};

/// The plan of a fold for whichever dtype the input has.
template <class Op, template <class, class> class F, class A>
void plan_fold(const KernelCall& call, Plan& plan) {
  switch (call.in[0].dtype) {
    case DType::float32:
      return FoldKernel<Op, F<float, A>, A>::plan(call, plan);
    case DType::float64:
      return FoldKernel<Op, F<double, A>, A>::plan(call, plan);
    case DType::int32:
      return FoldKernel<Op, F<std::int32_t, A>, A>::plan(call, plan);
    case DType::int64:
      return FoldKernel<Op, F<std::int64_t, A>, A>::plan(call, plan);
    case DType::uint8:
      return FoldKernel<Op, F<std::uint8_t, A>, A>::plan(call, plan);
    case DType::boolean:
      return FoldKernel<Op, F<bool, A>, A>::plan(call, plan);
    case DType::bfloat16:
    case DType::float16:
      break;  // refused by the shape rule
  }
}

}  // namespace troupe::cpu
