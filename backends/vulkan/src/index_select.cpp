#include "axis.hpp"
#include "divisor.hpp"
#include "encoder.hpp"
#include "index.hpp"
#include "scatter.hpp"

#include <troupe/tensor/ops/embedding.hpp>
#include <troupe/tensor/ops/index_select.hpp>

// Looking up slices of a tensor [outer, length, inner] by number, and adding them back. Embedding
// is the case of one outer place.
namespace troupe::vulkan {
namespace {

constexpr std::uint32_t no_padding = ~std::uint32_t{0};

void select(Encoder& encoder, const Axis& axis, const Value& from, const Value& indices) {
  static const ShaderBySize shaders("index_select");
  const Value& y = encoder.out(0);
  if (y->meta().elements() == 0) return;
  const Value x = encoder.contiguous(from);
  const Value index = encoder.contiguous(indices);
  struct {
    std::uint32_t n;
    Divisor count;
    std::uint32_t extent;
    Divisor inner;
    std::uint32_t op;
  } const params{
      static_cast<std::uint32_t>(y->meta().elements()),
      Divisor::of(static_cast<std::uint32_t>(index->meta().elements())),
      axis.length,
      Divisor::of(axis.inner),
      encoder.fault_code()};
  encoder.dispatch(
      *shaders[x->dtype()],
      {encoder.plain_group(), index_words(index)},
      {read(x), read_index(index), write(y), encoder.fault()},
      params,
      grid_for(params.n, encoder.plain_group()));
}

void add(Encoder& encoder, const Axis& axis, std::uint32_t padding) {
  static const ShaderByDType walks("index_select_backward");
  static const Shader* const keys = find_shader("index_keys", "");
  const Value& dx = encoder.out(0);
  if (dx->meta().elements() == 0) return;
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value index = encoder.contiguous(encoder.in(1));
  const auto elements = static_cast<std::uint32_t>(dx->meta().elements());
  const auto count = static_cast<std::uint32_t>(index->meta().elements());
  if (count == 0) return encoder.fill_zero(dx);
  // Where every element can look at all indices in no time, the launches of a sort take longer.
  constexpr std::uint64_t looks_max = std::uint64_t{1} << 18;
  if (std::uint64_t{elements} * count > looks_max) {
    Scatter scatter(encoder, count, axis.length);
    struct {
      std::uint32_t n, rows, padding, op;
    } const params{count, axis.length, padding, encoder.fault_code()};
    encoder.dispatch(
        *keys,
        {encoder.plain_group(), index_words(index)},
        {read_index(index), write(scatter.keys), write(scatter.counts), encoder.fault()},
        params,
        grid_for(count, encoder.plain_group()));
    return scatter.sum(dy, dx, axis.outer, axis.inner);
  }
  const Shader& shader = encoder.shader(walks, dx->dtype());
  struct {
    std::uint32_t n, count;
    Divisor extent, inner;
    std::uint32_t padding, op;
  } const params{
      elements,
      count,
      Divisor::of(axis.length),
      Divisor::of(axis.inner),
      padding,
      encoder.fault_code()};
  encoder.dispatch(
      shader,
      {encoder.plain_group(), index_words(index)},
      {read(dy), read_index(index), write(dx), encoder.fault()},
      params,
      grid_for(elements, encoder.plain_group()));
}

}  // namespace

template <>
void Kernel<IndexSelect>::encode(Encoder& encoder, const IndexSelect& op) {
  select(encoder, Axis::of(encoder.in(0)->shape(), op.dim), encoder.in(0), encoder.in(1));
}

template <>
void Kernel<IndexSelectBackward>::encode(Encoder& encoder, const IndexSelectBackward& op) {
  add(encoder, Axis::of(encoder.out(0)->shape(), op.dim), no_padding);
}

template <>
void Kernel<Embedding>::encode(Encoder& encoder, const Embedding&) {
  select(encoder, Axis::of(encoder.in(1)->shape(), 0), encoder.in(1), encoder.in(0));
}

template <>
void Kernel<EmbeddingBackward>::encode(Encoder& encoder, const EmbeddingBackward& op) {
  const std::uint32_t padding =
      op.padding_idx < 0 ? no_padding : static_cast<std::uint32_t>(op.padding_idx);
  add(encoder, Axis::of(encoder.out(0)->shape(), 0), padding);
}

}  // namespace troupe::vulkan
