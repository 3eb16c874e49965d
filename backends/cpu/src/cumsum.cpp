#include "axis.hpp"
#include "contiguous.hpp"
#include "transpose.hpp"

#include <troupe/tensor/ops/cumsum.hpp>

#include <type_traits>

// Every sum is the one before and an element, in that order along a line. Lines that lie side by
// side are summed a row at a time; lines one after the other as many at a time as a tile has rows,
// transposed on the way in and out.
namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { outer, length, inner, outer_a_chunk, column_blocks };

constexpr std::int64_t block_columns = 1024;

/// What adds nothing: x + that is x, also where x is −0.
template <class T>
constexpr T nothing = std::is_floating_point_v<T> ? T(-0.0) : T(0);

/// One line from `first` on, of which the elements before have come to `sum`.
template <class T>
void run_line(
    const T* x,
    T* y,
    std::int64_t first,
    std::int64_t count,
    bool reverse,
    std::int64_t all,
    T sum) {
  for (std::int64_t i = first; i < count; ++i) {
    const std::int64_t at = reverse ? all - 1 - i : i;
    sum += x[at];
    y[at] = sum;
  }
}

/// As many lines as a tile has rows, one after the other in memory.
template <class T>
void run_tile_of_lines(const T* x, T* y, std::int64_t count, bool reverse) {
  using Word = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  using Tile = Transpose<Word, Arch>;
  constexpr std::int64_t size = Tile::size;
  alignas(64) T tile[size * size];
  alignas(64) T sums[size];
  for (T& sum : sums) sum = nothing<T>;
  const auto words = [](auto* of) {
    return reinterpret_cast<std::conditional_t<
        std::is_const_v<std::remove_pointer_t<decltype(of)>>,
        const Word*,
        Word*>>(of);
  };
  std::int64_t done = 0;
  for (; done + size <= count; done += size) {
    const std::int64_t at = reverse ? count - done - size : done;
    Tile::tile(words(x + at), count, words(tile), size, false);
    for (std::int64_t k = 0; k < size; ++k) {
      T* const row = tile + (reverse ? size - 1 - k : k) * size;
      for (std::int64_t line = 0; line < size; ++line) {
        sums[line] += row[line];
        row[line] = sums[line];
      }
    }
    Tile::tile(words(tile), size, words(y + at), count, false);
  }
  for (std::int64_t line = 0; line < size; ++line)
    run_line(x + line * count, y + line * count, done, count, reverse, count, sums[line]);
}

template <class T>
void run_lines(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  constexpr std::int64_t size =
      Transpose<std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>, Arch>::size;
  const bool reverse = call.op<Cumsum>().reverse;
  const std::int64_t count = plan.numbers[length];
  const T* x = Contiguous<Arch>::in<T>(call, scratch, 0);
  T* y = call.out[0].as<T>();
  std::int64_t line = chunk * plan.numbers[outer_a_chunk];
  std::int64_t end = line + plan.numbers[outer_a_chunk];
  if (end > plan.numbers[outer]) end = plan.numbers[outer];
  for (; line + size <= end; line += size)
    run_tile_of_lines(x + line * count, y + line * count, count, reverse);
  for (; line < end; ++line)
    run_line(x + line * count, y + line * count, 0, count, reverse, count, nothing<T>);
}

/// Some columns of one outer place, row by row.
template <class T>
void run_columns(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t size = plan.numbers[inner];
  const std::int64_t rows = plan.numbers[length];
  const bool reverse = call.op<Cumsum>().reverse;
  const std::int64_t first = chunk % plan.numbers[column_blocks] * block_columns;
  const std::int64_t width = size - first < block_columns ? size - first : block_columns;
  std::int64_t o = chunk / plan.numbers[column_blocks] * plan.numbers[outer_a_chunk];
  std::int64_t end = o + plan.numbers[outer_a_chunk];
  if (end > plan.numbers[outer]) end = plan.numbers[outer];
  for (; o < end; ++o) {
    const std::int64_t start = o * rows * size + first + (reverse ? (rows - 1) * size : 0);
    const std::int64_t step = reverse ? -size : size;
    const T* x = Contiguous<Arch>::in<T>(call, scratch, 0) + start;
    T* y = call.out[0].as<T>() + start;
    std::memcpy(y, x, static_cast<std::size_t>(width) * sizeof(T));
    for (std::int64_t r = 1; r < rows; ++r) {
      const T* const last = y;
      x += step;
      y += step;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < width; ++i) y[i] = last[i] + x[i];
    }
  }
}

struct Runs {
  Plan::Run lines;
  Plan::Run columns;
};
template <class T>
constexpr Runs runs{&run_lines<T>, &run_columns<T>};

const Runs& runs_for(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return runs<double>;
    // Unsigned: sums of integers wrap around, as everywhere in integer arithmetic here.
    case DType::int32:
      return runs<std::uint32_t>;
    case DType::int64:
      return runs<std::uint64_t>;
    default:
      return runs<float>;
  }
}

}  // namespace

template <>
void Kernel<Cumsum, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const auto axis = Axis<Arch>::of(call.in[0].shape, call.op<Cumsum>().dim);
  const std::int64_t elements = axis.length * axis.inner;
  if (elements * axis.outer == 0) return;
  const Runs& run = runs_for(call.in[0].dtype);
  const std::int64_t blocks = (axis.inner + block_columns - 1) / block_columns;
  std::int64_t per_chunk = elements < 16384 ? 16384 / elements : 1;
  if (axis.inner == 1 && per_chunk < 16) per_chunk = 16;  // lines that go together
  plan.numbers = {axis.outer, axis.length, axis.inner, per_chunk, blocks};
  plan.cost_ns += static_cast<double>(axis.outer * elements) * (axis.inner == 1 ? 0.4 : 0.2);
  plan.add(
      axis.inner == 1 ? run.lines : run.columns, (axis.outer + per_chunk - 1) / per_chunk * blocks);
}

}  // namespace troupe::cpu
