#include "axis.hpp"
#include "check_indices.hpp"
#include "index_walk.hpp"

#include <troupe/tensor/ops/gather.hpp>

// Gather and its gradient by lines along the axis. Lines never meet, neither in x nor in y, so each
// chunk owns some and adds in order.
namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { lines, lines_a_chunk };

struct Line {
  std::int64_t small;  ///< first element in the tensor of the index's shape
  std::int64_t large;  ///< first element in the other
};

/// Where line `number` of the index begins in both tensors.
Line line_at(const Shape& index, const Shape& other, std::size_t axis, std::int64_t number) {
  std::int64_t small = 0;
  std::int64_t large = 0;
  std::int64_t small_stride = 1;
  std::int64_t large_stride = 1;
  for (std::size_t d = index.size(); d-- > 0;) {
    if (d != axis) {
      small += number % index[d] * small_stride;
      large += number % index[d] * large_stride;
      number /= index[d];
    }
    small_stride *= index[d];
    large_stride *= other[d];
  }
  return {small, large};
}

std::size_t axis_of(std::int64_t dim, const Shape& shape) {
  return static_cast<std::size_t>(dim < 0 ? dim + static_cast<std::int64_t>(shape.size()) : dim);
}

/// Calls `move(small, large)` for the places of each element of the chunk's lines.
template <class Move>
void for_elements(
    const Plan& plan,
    std::uint32_t chunk,
    const Indices<Arch>& indices,
    const Shape& index,
    const Shape& other,
    std::size_t axis,
    const Move& move) {
  const std::int64_t length = index[axis];
  const std::int64_t large_length = other[axis];
  std::int64_t small_stride = 1;
  std::int64_t large_stride = 1;
  for (std::size_t d = axis + 1; d < index.size(); ++d) {
    small_stride *= index[d];
    large_stride *= other[d];
  }
  const std::int64_t first = chunk * plan.numbers[lines_a_chunk];
  std::int64_t end = first + plan.numbers[lines_a_chunk];
  if (end > plan.numbers[lines]) end = plan.numbers[lines];
  for (std::int64_t number = first; number < end; ++number) {
    const Line line = line_at(index, other, axis, number);
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int64_t small = line.small + i * small_stride;
      const std::int64_t to = indices[small];
      // The plan has refused what is out of range; should it come here all the same, it is skipped.
      if (to >= 0 && to < large_length) move(small, line.large + to * large_stride);
    }
  }
}

template <class Word>
void run_gather(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Word* x = Contiguous<Arch>::in<Word>(call, scratch, 0);
  Word* y = call.out[0].as<Word>();
  const Shape& index = call.in[1].shape;
  for_elements(
      plan,
      chunk,
      Indices<Arch>::of(call, scratch, 1),
      index,
      call.in[0].shape,
      axis_of(call.op<Gather>().dim, index),
      [&](std::int64_t small, std::int64_t large) { y[small] = x[large]; });
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
  const Shape& index = call.in[1].shape;
  for_elements(
      plan,
      chunk,
      Indices<Arch>::of(call, scratch, 1),
      index,
      call.out[0].shape,
      axis_of(call.op<GatherBackward>().dim, index),
      [&](std::int64_t small, std::int64_t large) { dx[large] += dy[small]; });
}

/// Adds a phase over the index's lines, if it has any element.
void add_lines(const KernelCall& call, Plan& plan, std::size_t axis, Plan::Run run) {
  const std::int64_t elements = call.in[1].elements();
  if (elements == 0) return;
  const std::int64_t length = call.in[1].shape[axis];
  const std::int64_t count = elements / length;
  const std::int64_t per_chunk = length < 8192 ? 8192 / length : 1;
  plan.numbers = {count, per_chunk};
  plan.cost_ns += 2 * static_cast<double>(elements);
  plan.add(run, (count + per_chunk - 1) / per_chunk);
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
      return add_lines(call, plan, axis, &run_gather<std::uint64_t>);
    case 4:
      return add_lines(call, plan, axis, &run_gather<std::uint32_t>);
    case 2:
      return add_lines(call, plan, axis, &run_gather<std::uint16_t>);
    default:
      return add_lines(call, plan, axis, &run_gather<std::uint8_t>);
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
  add_lines(call, plan, axis, wide ? &run_add<double> : &run_add<float>);
}

}  // namespace troupe::cpu
