#include "axis.hpp"
#include "check_indices.hpp"
#include "index_walk.hpp"

#include <troupe/tensor/ops/gather.hpp>

// Gather and its gradient, by lines along the axis that lie side by side in memory: row by row, as
// they lie. Lines never meet, neither in x nor in y, so each chunk owns some and adds in order.
namespace troupe::cpu {
namespace {

/// plan.numbers: an index of [rows, length, columns] elements, the axis in the middle; how it is
/// cut; and the other tensor's elements along the axis and behind it.
enum Number : std::size_t {
  rows,
  length,
  columns,
  rows_a_chunk,
  columns_a_chunk,
  other_length,
  other_columns
};

std::size_t axis_of(std::int64_t dim, const Shape& shape) {
  return static_cast<std::size_t>(dim < 0 ? dim + static_cast<std::int64_t>(shape.size()) : dim);
}

/// The place in the other tensor of row `row` of the index, and of column `column` in such a row:
/// the index may be smaller, so that the places of its neighbours are apart.
std::int64_t place_in_other(
    const Shape& index,
    const Shape& other,
    std::size_t begin,
    std::size_t end,
    std::int64_t number) {
  std::int64_t place = 0;
  std::int64_t step = 1;
  for (std::size_t d = end; d-- > begin;) {
    place += number % index[d] * step;
    number /= index[d];
    step *= other[d];
  }
  return place;
}

/// Calls `move(small, large)` for the places of each element of the chunk's lines.
template <class Integer, class Move>
void for_elements(
    const Plan& plan,
    std::uint32_t chunk,
    const Integer* indices,
    const Shape& index,
    const Shape& other,
    std::size_t axis,
    const Move& move) {
  const auto& n = plan.numbers;
  const std::int64_t blocks = (n[columns] + n[columns_a_chunk] - 1) / n[columns_a_chunk];
  const std::int64_t first_column = chunk % blocks * n[columns_a_chunk];
  std::int64_t width = n[columns] - first_column;
  if (width > n[columns_a_chunk]) width = n[columns_a_chunk];
  const std::int64_t first_row = chunk / blocks * n[rows_a_chunk];
  std::int64_t end_row = first_row + n[rows_a_chunk];
  if (end_row > n[rows]) end_row = n[rows];
  const auto count = static_cast<std::uint64_t>(n[other_length]);
  const std::int64_t step = n[other_columns];
  // Where the columns lie in the other tensor: in order unless a dimension of it is longer.
  bool plain = true;
  for (std::size_t d = axis + 2; d < index.size(); ++d) plain = plain && index[d] == other[d];
  for (std::int64_t row = first_row; row < end_row; ++row) {
    const std::int64_t large_row =
        place_in_other(index, other, 0, axis, row) * n[other_length] * n[other_columns];
    if (n[columns] == 1) {
      const std::int64_t end = (row + 1) * n[length];
      for (std::int64_t small = row * n[length]; small < end; ++small) {
        const auto to = static_cast<std::uint64_t>(indices[small]);
        if (to < count) move(small, large_row + static_cast<std::int64_t>(to) * step);
      }
      continue;
    }
    for (std::int64_t i = 0; i < n[length]; ++i) {
      const std::int64_t small = (row * n[length] + i) * n[columns] + first_column;
      // The plan has refused what is out of range; should it come here all the same, it is skipped.
      for (std::int64_t j = 0; j < width; ++j) {
        const auto to = static_cast<std::uint64_t>(indices[small + j]);
        std::int64_t column = first_column + j;
        if (!plain) column = place_in_other(index, other, axis + 1, index.size(), column);
        if (to < count) move(small + j, large_row + static_cast<std::int64_t>(to) * step + column);
      }
    }
  }
}
template <class Move>
void for_elements(
    const KernelCall& call,
    const Plan& plan,
    std::uint32_t chunk,
    std::byte* scratch,
    const Shape& other,
    std::size_t axis,
    const Move& move) {
  const Shape& index = call.in[1].shape;
  if (call.in[1].dtype == DType::int64)
    for_elements(
        plan,
        chunk,
        Contiguous<Arch>::in<std::int64_t>(call, scratch, 1),
        index,
        other,
        axis,
        move);
  else
    for_elements(
        plan,
        chunk,
        Contiguous<Arch>::in<std::int32_t>(call, scratch, 1),
        index,
        other,
        axis,
        move);
}

template <class Word>
void run_gather(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Word* x = Contiguous<Arch>::in<Word>(call, scratch, 0);
  Word* y = call.out[0].as<Word>();
  for_elements(
      call,
      plan,
      chunk,
      scratch,
      call.in[0].shape,
      axis_of(call.op<Gather>().dim, call.in[1].shape),
      [x, y](std::int64_t small, std::int64_t large) { y[small] = x[large]; });
}

template <class T>
void run_zero(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  const std::int64_t all = call.out[0].elements();
  const std::int64_t first = std::int64_t{chunk} * 65536;
  const std::int64_t end = first + 65536 < all ? first + 65536 : all;
  T* dx = call.out[0].as<T>();
  for (std::int64_t i = first; i < end; ++i) dx[i] = T(0);
}

template <class T>
void run_add(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const T* dy = Contiguous<Arch>::in<T>(call, scratch, 0);
  T* dx = call.out[0].as<T>();
  for_elements(
      call,
      plan,
      chunk,
      scratch,
      call.out[0].shape,
      axis_of(call.op<GatherBackward>().dim, call.in[1].shape),
      [dx, dy](std::int64_t small, std::int64_t large) { dx[large] += dy[small]; });
}

/// Adds a phase over the index's lines, if it has any element.
void add_lines(
    const KernelCall& call, Plan& plan, const Shape& other, std::size_t axis, Plan::Run run) {
  const std::int64_t elements = call.in[1].elements();
  if (elements == 0) return;
  const auto small = Axis<Arch>::of(call.in[1].shape, static_cast<std::int64_t>(axis));
  const auto large = Axis<Arch>::of(other, static_cast<std::int64_t>(axis));
  auto& n = plan.numbers;
  n[rows] = small.outer;
  n[length] = small.length;
  n[columns] = small.inner;
  n[other_length] = large.length;
  n[other_columns] = large.inner;
  // So few columns at a time that their lines stay in the second cache, but whole lines of it.
  constexpr std::int64_t line = 16;
  std::int64_t width = 131072 / (large.length + 1) / line * line;
  if (width < line) width = line;
  n[columns_a_chunk] = small.inner < width ? small.inner : width;
  const std::int64_t row_elements = small.length * n[columns_a_chunk];
  n[rows_a_chunk] = row_elements < 8192 ? 8192 / row_elements : 1;
  plan.cost_ns += 2 * static_cast<double>(elements);
  plan.add(
      run,
      (small.outer + n[rows_a_chunk] - 1) / n[rows_a_chunk] *
          ((small.inner + n[columns_a_chunk] - 1) / n[columns_a_chunk]));
}

}  // namespace

template <>
void Kernel<Gather, Arch>::plan(const KernelCall& call, Plan& plan) {
  const std::size_t axis = axis_of(call.op<Gather>().dim, call.in[1].shape);
  if (call.in[1].elements() == 0) return;
  check_indices(call.in[1], 0, call.in[0].shape[axis], "the index");
  Contiguous<Arch>::plan(call, plan);
  switch (width_of<Arch>(call.in[0].dtype)) {
    case 8:
      return add_lines(call, plan, call.in[0].shape, axis, &run_gather<std::uint64_t>);
    case 4:
      return add_lines(call, plan, call.in[0].shape, axis, &run_gather<std::uint32_t>);
    case 2:
      return add_lines(call, plan, call.in[0].shape, axis, &run_gather<std::uint16_t>);
    default:
      return add_lines(call, plan, call.in[0].shape, axis, &run_gather<std::uint8_t>);
  }
}

template <>
void Kernel<GatherBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  const std::size_t axis = axis_of(call.op<GatherBackward>().dim, call.in[1].shape);
  if (call.in[1].elements() > 0) check_indices(call.in[1], 0, call.out[0].shape[axis], "the index");
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t all = call.out[0].elements();
  if (all == 0) return;
  const bool wide = call.out[0].dtype == DType::float64;
  plan.cost_ns += 0.2 * static_cast<double>(all);
  plan.add(wide ? &run_zero<double> : &run_zero<float>, (all + 65535) / 65536);
  add_lines(call, plan, call.out[0].shape, axis, wide ? &run_add<double> : &run_add<float>);
}

}  // namespace troupe::cpu
