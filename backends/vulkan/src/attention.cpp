#include "lines.hpp"
#include "number.hpp"

#include <troupe/tensor/ops/attention.hpp>

#include <algorithm>

namespace troupe::vulkan {

namespace {

/// ATTENTION_PARAMS of attention.glsl.
struct Params {
  std::uint32_t heads = 1;
  std::uint32_t inner = 1;  ///< heads beside each other in one tensor
  std::uint32_t queries = 0;
  std::uint32_t keys = 0;
  std::uint32_t features = 0;
  std::uint32_t values = 0;
  Number scale;
};

/// Invocations of a workgroup: SIDE² of attention.glsl.
constexpr std::uint32_t side = 8;
constexpr std::uint32_t group = side * side;

/// EACH and COLUMNS_EACH. A processor that plays a GPU takes minutes to compile large ones, for it
/// keeps all numbers of all invocations across each barrier.
struct Blocks {
  std::uint32_t each = 2;
  std::uint32_t columns_each = 4;

  explicit Blocks(const Encoder& encoder) {
    if (encoder.software()) each = columns_each = 1;
  }
  /// A workgroup for each block of `rows` and so many columns of a result `width` wide.
  [[nodiscard]] Grid grid(std::uint32_t heads, std::uint32_t rows, std::uint32_t width) const {
    return grid_of(
        heads * ceil_div(rows, side * each) * ceil_div(std::max(width, 1u), side * columns_each));
  }
};

Params params_of(
    const Shape& query, const Shape& key, const Shape& value, double scale, DType dtype) {
  Params p;
  const auto size = [](std::int64_t n) { return static_cast<std::uint32_t>(n); };
  const std::size_t rank = query.size();
  for (std::size_t i = 0; i + 2 < rank; ++i) p.heads *= size(query[i]);
  p.queries = size(query[rank - 2]);
  p.keys = size(key[rank - 2]);
  p.features = size(query[rank - 1]);
  p.values = size(value[rank - 1]);
  p.scale = Number::of(dtype, scale);
  return p;
}
Params params_of_packed(const Shape& qkv, double scale, DType dtype) {
  const Shape one{qkv[0], qkv[3], qkv[1], qkv[4]};
  Params p = params_of(one, one, one, scale, dtype);
  p.inner = static_cast<std::uint32_t>(qkv[3]);
  return p;
}

/// Queries, keys and values, contiguous: three tensors, or one three times.
struct Parts {
  bool packed;
  Value query;
  Value key;
  Value value;
  Params params;

  Parts(Encoder& encoder, std::size_t first, std::size_t count, double scale)
      : packed(count == 1),
        query(encoder.contiguous(encoder.in(first))),
        key(packed ? query : encoder.contiguous(encoder.in(first + 1))),
        value(packed ? query : encoder.contiguous(encoder.in(first + 2))),
        params(
            packed
                ? params_of_packed(query->shape(), scale, query->dtype())
                : params_of(query->shape(), key->shape(), value->shape(), scale, query->dtype())) {}
};

}  // namespace

template <>
void Kernel<Attention>::encode(Encoder& encoder, const Attention& op) {
  static const ShaderByDType shaders("attention");
  const Parts x(encoder, 0, encoder.inputs(), op.scale);
  const Shader& shader = encoder.shader(shaders, x.query->dtype());
  if (x.params.heads * x.params.queries == 0) return;
  const Blocks blocks(encoder);
  encoder.dispatch(
      shader,
      {group, x.packed, op.is_causal, blocks.each, blocks.columns_each},
      {read(x.query), read(x.key), read(x.value), write(encoder.out(0)), write(encoder.out(1))},
      x.params,
      blocks.grid(x.params.heads, x.params.queries, x.params.values));
}

template <>
void Kernel<AttentionBackward>::encode(Encoder& encoder, const AttentionBackward& op) {
  static const ShaderByDType delta_shaders("attention_delta");
  static const ShaderByDType query_shaders("attention_backward_query");
  static const ShaderByDType key_shaders("attention_backward_key");
  const std::size_t count = encoder.inputs() - 3;
  const Parts x(encoder, 1, count, op.scale);
  const DType dtype = x.query->dtype();
  const Shader& query_shader = encoder.shader(query_shaders, dtype);
  const Params& p = x.params;
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value y = encoder.contiguous(encoder.in(count + 1));
  const Value logarithms = encoder.contiguous(encoder.in(count + 2));
  const Value& dquery = encoder.out(0);
  const Value& dkey = x.packed ? dquery : encoder.out(1);
  const Value& dvalue = x.packed ? dquery : encoder.out(2);
  const std::uint32_t rows = p.heads * p.queries;
  const Value deltas = encoder.scratch(dtype, Shape{std::max<std::int64_t>(rows, 1)});
  if (rows > 0) {
    Axis axis;
    axis.outer = rows;
    axis.length = p.values;
    const Lines lines = Lines::of(encoder, axis);
    encoder.dispatch(
        *delta_shaders[dtype],
        {lines.group, lines.way},
        {read(dy), read(y), write(deltas)},
        lines.params,
        lines.grid);
  }
  const Blocks blocks(encoder);
  const auto encode = [&](const Shader& shader, std::uint32_t of, std::uint32_t width, auto... to) {
    if (p.heads * of == 0 || width == 0) return;
    encoder.dispatch(
        shader,
        {group, x.packed, op.is_causal, blocks.each, blocks.columns_each},
        {read(dy),
         read(x.query),
         read(x.key),
         read(x.value),
         read(logarithms),
         read(deltas),
         write(to)...},
        p,
        blocks.grid(p.heads, of, width));
  };
  encode(query_shader, p.queries, p.features, dquery);
  encode(*key_shaders[dtype], p.keys, std::max(p.features, p.values), dkey, dvalue);
}

}  // namespace troupe::vulkan
