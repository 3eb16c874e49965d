#include "encoder.hpp"
#include "index.hpp"
#include "scatter.hpp"

#include <troupe/tensor/ops/gather.hpp>

namespace troupe::vulkan {
namespace {

/// What gather.glsl wants to know: the index's axes beside those of the tensor it points into.
struct Params {
  std::uint32_t n, extent, axis_stride, op, size[rank_max], stride[rank_max];
};
Params params_of(const Encoder& encoder, const Value& index, const Shape& other, std::size_t axis) {
  Params params{};
  params.n = static_cast<std::uint32_t>(index->meta().elements());
  params.op = encoder.fault_code();
  const Dims strides = contiguous_strides(other);
  for (std::size_t i = 0; i < other.size(); ++i) {
    params.size[i] = static_cast<std::uint32_t>(index->shape()[i]);
    params.stride[i] = i == axis ? 0 : static_cast<std::uint32_t>(strides[i]);
  }
  params.extent = static_cast<std::uint32_t>(other[axis]);
  params.axis_stride = static_cast<std::uint32_t>(strides[axis]);
  return params;
}

}  // namespace

template <>
void Kernel<Gather>::encode(Encoder& encoder, const Gather& op) {
  static const ShaderBySize shaders("gather");
  if (encoder.out(0)->meta().elements() == 0) return;
  const Value x = encoder.contiguous(encoder.in(0));
  const Value index = encoder.contiguous(encoder.in(1));
  const std::size_t axis = normalize_axis(op.dim, x->shape().size());
  const Params params = params_of(encoder, index, x->shape(), axis);
  encoder.dispatch(
      *shaders[x->dtype()],
      {encoder.plain_group(), index_words(index), static_cast<std::uint32_t>(x->shape().size())},
      {read(x), read_index(index), write(encoder.out(0)), encoder.fault()},
      params,
      grid_for(params.n, encoder.plain_group()));
}

template <>
void Kernel<GatherBackward>::encode(Encoder& encoder, const GatherBackward& op) {
  static const ShaderByDType walks("gather_backward");
  static const Shader* const keys = find_shader("gather_keys", "");
  const Value& dx = encoder.out(0);
  if (dx->meta().elements() == 0) return;
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value index = encoder.contiguous(encoder.in(1));
  if (dy->meta().elements() == 0) return encoder.fill_zero(dx);
  const std::size_t axis = normalize_axis(op.dim, dx->shape().size());
  const Params params = params_of(encoder, index, dx->shape(), axis);
  const auto rank = static_cast<std::uint32_t>(dx->shape().size());
  const std::uint32_t lines = params.n / params.size[axis];
  // One invocation walks along a line: enough of them, or lines short enough, or else sorting pays.
  constexpr std::uint32_t long_line = 64;
  constexpr std::uint32_t many_lines = 4096;
  if (params.size[axis] > long_line && lines < many_lines) {
    Scatter scatter(encoder, params.n, static_cast<std::uint32_t>(dx->meta().elements()));
    encoder.dispatch(
        *keys,
        {encoder.plain_group(), index_words(index), rank},
        {read_index(index), write(scatter.keys), write(scatter.counts), encoder.fault()},
        params,
        grid_for(params.n, encoder.plain_group()));
    return scatter.sum(dy, dx, 1, 1);
  }
  const Shader& shader = encoder.shader(walks, dx->dtype());
  encoder.fill_zero(dx);
  struct {
    std::uint32_t lines, extent, op, size[rank_max], stride[rank_max];
  } walk{};
  walk.lines = lines;
  walk.extent = params.extent;
  walk.op = params.op;
  for (std::size_t i = 0; i < rank; ++i) {
    walk.size[i] = params.size[i];
    walk.stride[i] = i == axis ? params.axis_stride : params.stride[i];
  }
  encoder.dispatch(
      shader,
      {encoder.plain_group(), index_words(index), rank, static_cast<std::uint32_t>(axis)},
      {read(dy), read_index(index), write(dx), encoder.fault()},
      walk,
      grid_for(lines, encoder.plain_group()));
}

}  // namespace troupe::vulkan
