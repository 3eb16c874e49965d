#include "axis.hpp"
#include "check_indices.hpp"
#include "index_walk.hpp"
#include "pack.hpp"

#include <troupe/tensor/ops/embedding.hpp>
#include <troupe/tensor/ops/index_select.hpp>

// Looking up slices of a tensor [outer, length, inner] by number, and adding them back. Embedding
// is the case of one outer place. Gradients are added in the order of the indices: each chunk owns
// some of the destination and walks over all indices, so no two chunks touch the same element.
namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { outer, length, inner, index_count, cut_size, cuts, padding, source_at };

void run_select(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t count = plan.numbers[index_count];
  const std::int64_t bytes = plan.numbers[inner] * width_of<Arch>(call.out[0].dtype);
  const auto source = static_cast<std::size_t>(plan.numbers[source_at]);
  const auto* from = Contiguous<Arch>::in<std::byte>(call, scratch, source);
  const auto indices = Indices<Arch>::of(call, scratch, 1 - source);
  auto* to = call.out[0].as<std::byte>();
  const bool streams = Stream<Arch>::pays(plan.numbers[outer] * count * bytes);
  // Slices of the output, numbered through all outer places.
  const std::int64_t first = chunk * plan.numbers[cut_size];
  std::int64_t end = first + plan.numbers[cut_size];
  if (end > plan.numbers[outer] * count) end = plan.numbers[outer] * count;
  for (std::int64_t slice = first; slice < end; ++slice) {
    const std::int64_t index = indices[slice % count];
    std::byte* row = to + slice * bytes;
    // The plan has refused what is out of range; should it come here all the same, it is not
    // followed.
    if (index < 0 || index >= plan.numbers[length])
      std::memset(row, 0xff, static_cast<std::size_t>(bytes));
    else
      Stream<Arch>::copy(
          row,
          from + (slice / count * plan.numbers[length] + index) * bytes,
          static_cast<std::size_t>(bytes),
          streams);
  }
  if (streams) Stream<Arch>::finish();
}

/// The same for slices of a single element, which are found faster than they are called for.
template <class Word>
void run_select_elements(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const std::int64_t count = plan.numbers[index_count];
  const auto size = static_cast<std::uint64_t>(plan.numbers[length]);
  const auto source = static_cast<std::size_t>(plan.numbers[source_at]);
  const auto indices = Indices<Arch>::of(call, scratch, 1 - source);
  const std::int64_t first = chunk * plan.numbers[cut_size];
  std::int64_t end = first + plan.numbers[cut_size];
  if (end > plan.numbers[outer] * count) end = plan.numbers[outer] * count;
  Word* to = call.out[0].as<Word>();
  for (std::int64_t slice = first; slice < end;) {
    const std::int64_t place = slice / count;
    const std::int64_t begin = slice - place * count;
    const std::int64_t stop = end - slice < count - begin ? begin + end - slice : count;
    const Word* from =
        Contiguous<Arch>::in<Word>(call, scratch, source) + place * plan.numbers[length];
    const auto copy = [&](auto* numbers) {
      for (std::int64_t j = begin; j < stop; ++j) {
        const auto index = static_cast<std::uint64_t>(numbers[j]);
        to[place * count + j] = index < size ? from[index] : static_cast<Word>(~Word{0});
      }
    };
    indices.wide ? copy(static_cast<const std::int64_t*>(indices.data))
                 : copy(static_cast<const std::int32_t*>(indices.data));
    slice += stop - begin;
  }
}

template <class T>
void run_add(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using P = Pack<T, Arch>;
  const std::int64_t count = plan.numbers[index_count];
  const std::int64_t size = plan.numbers[inner];
  const T* dy = Contiguous<Arch>::in<T>(call, scratch, 0);
  const auto indices = Indices<Arch>::of(call, scratch, 1);
  const std::int64_t place = chunk / plan.numbers[cuts];
  const std::int64_t first = chunk % plan.numbers[cuts] * plan.numbers[cut_size];
  std::int64_t end = first + plan.numbers[cut_size];
  if (end > plan.numbers[length]) end = plan.numbers[length];
  T* dx = call.out[0].as<T>() + place * plan.numbers[length] * size;
  for (std::int64_t i = first * size; i < end * size; ++i) dx[i] = T(0);
  const std::int64_t whole = size - size % P::size;
  for (std::int64_t j = 0; j < count; ++j) {
    const std::int64_t index = indices[j];
    if (index < first || index >= end || index == plan.numbers[padding]) continue;
    const T* row = dy + (place * count + j) * size;
    T* to = dx + index * size;
    for (std::int64_t i = 0; i < whole; i += P::size)
      (P::load(to + i) + P::load(row + i)).store(to + i);
    for (std::int64_t i = whole; i < size; ++i) to[i] += row[i];
  }
}

void plan_select(
    const KernelCall& call,
    Plan& plan,
    const Axis<Arch>& axis,
    std::size_t source,
    std::int64_t count,
    std::string_view what) {
  check_indices(call.in[1 - source], 0, axis.length, what);
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t slices = axis.outer * count;
  if (slices == 0 || axis.inner == 0) return;
  const std::int64_t per_chunk = axis.inner < 16384 ? 16384 / axis.inner : 1;
  plan.numbers = {
      axis.outer,
      axis.length,
      axis.inner,
      count,
      per_chunk,
      0,
      -1,
      static_cast<std::int64_t>(source)};
  plan.cost_ns += static_cast<double>(slices) * (5 + 0.3 * static_cast<double>(axis.inner));
  Plan::Run run = &run_select;
  if (axis.inner == 1) switch (width_of<Arch>(call.out[0].dtype)) {
      case 8:
        run = &run_select_elements<std::uint64_t>;
        break;
      case 4:
        run = &run_select_elements<std::uint32_t>;
        break;
      case 2:
        run = &run_select_elements<std::uint16_t>;
        break;
      default:
        run = &run_select_elements<std::uint8_t>;
        break;
    }
  plan.add(run, (slices + per_chunk - 1) / per_chunk);
}

void plan_add(
    const KernelCall& call,
    Plan& plan,
    const Axis<Arch>& axis,
    std::int64_t padding_idx,
    std::string_view what) {
  const std::int64_t count = call.in[1].elements();
  check_indices(call.in[1], 0, axis.length, what);
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t elements = axis.outer * axis.length * axis.inner;
  if (elements == 0) return;
  // Every chunk reads all indices: few chunks, unless there are many outer places anyway.
  const std::int64_t wanted = axis.outer < 16 ? 16 / axis.outer : 1;
  std::int64_t rows = (axis.length + wanted - 1) / wanted;
  const std::int64_t least = axis.inner < 8192 ? 8192 / axis.inner : 1;
  if (rows < least) rows = least;
  const std::int64_t pieces = (axis.length + rows - 1) / rows;
  plan.numbers = {axis.outer, axis.length, axis.inner, count, rows, pieces, padding_idx};
  plan.cost_ns += 0.3 * static_cast<double>(elements) +
                  static_cast<double>(axis.outer * count) *
                      (static_cast<double>(pieces) + 0.5 * static_cast<double>(axis.inner));
  plan.add(
      call.out[0].dtype == DType::float64 ? &run_add<double> : &run_add<float>,
      axis.outer * pieces);
}

Axis<Arch> rows_of(const Shape& weight) { return {1, weight[0], weight[1]}; }

}  // namespace

template <>
void Kernel<IndexSelect, Arch>::plan(const KernelCall& call, Plan& plan) {
  const auto axis = Axis<Arch>::of(call.in[0].shape, call.op<IndexSelect>().dim);
  plan_select(call, plan, axis, 0, call.in[1].elements(), "the index");
}

template <>
void Kernel<IndexSelectBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  const auto axis = Axis<Arch>::of(call.out[0].shape, call.op<IndexSelectBackward>().dim);
  plan_add(call, plan, axis, -1, "the index");
}

template <>
void Kernel<Embedding, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_select(
      call, plan, rows_of(call.in[1].shape), 1, call.in[0].elements(), "the embedding's index");
}

template <>
void Kernel<EmbeddingBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_add(
      call,
      plan,
      rows_of(call.out[0].shape),
      call.op<EmbeddingBackward>().padding_idx,
      "the embedding's index");
}

}  // namespace troupe::cpu
