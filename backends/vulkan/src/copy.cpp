#include "copy.hpp"

#include "divisor.hpp"

#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/copy.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <string>

namespace troupe::vulkan {
namespace {

/// A walk over the places of two tensors, in as few axes as it can be told in.
struct Walk {
  Dims size;
  Dims from;  ///< strides
  Dims to;

  static Walk over(const Shape& shape, const Dims& from, const Dims& to) {
    Walk walk;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      const std::size_t last = walk.size.size() - 1;
      const bool goes_on = !walk.size.empty() && walk.from[last] == shape[i] * from[i] &&
                           walk.to[last] == shape[i] * to[i];
      if (goes_on) {
        walk.size[last] *= shape[i];
        walk.from[last] = from[i];
        walk.to[last] = to[i];
      } else {
        walk.size.push_back(shape[i]);
        walk.from.push_back(from[i]);
        walk.to.push_back(to[i]);
      }
    }
    if (walk.size.empty()) walk = {{1}, {1}, {1}};
    return walk;
  }

  /// Whether it may be told in elements `count` times as long, if those at `begins` are such.
  [[nodiscard]] bool in_pieces_of(
      std::int64_t count, std::initializer_list<std::int64_t> begins) const {
    const std::size_t last = size.size() - 1;
    if (from[last] != 1 || to[last] != 1 || size[last] % count != 0) return false;
    for (std::size_t i = 0; i < last; ++i)
      if (from[i] % count != 0 || to[i] % count != 0) return false;
    for (const std::int64_t begin : begins)
      if (begin % count != 0) return false;
    return true;
  }
  void join(std::int64_t count) {
    const std::size_t last = size.size() - 1;
    size[last] /= count;
    for (std::size_t i = 0; i < last; ++i) {
      from[i] /= count;
      to[i] /= count;
    }
  }
};

/// The shader that copies elements of so many bytes, a power of two up to 16.
const Shader& copier(std::uint32_t bytes) {
  static const Shader* const shaders[] = {
      find_shader("copy", "1"),
      find_shader("copy", "2"),
      find_shader("copy", "4"),
      find_shader("copy", "8"),
      find_shader("copy_16", "")};
  std::size_t i = 0;
  while (1u << i < bytes) ++i;
  return *shaders[i];
}

/// A transposition: the two sides of a walk each lie side by side along an axis of their own.
/// Records nothing and says so unless that is the case, with axes long enough for tiles.
bool copy_tiles(
    Encoder& encoder,
    const Value& from,
    std::int64_t from_begin,
    const Value& to,
    std::int64_t to_begin,
    const Walk& walk) {
  static const ShaderBySize shaders("copy_tiles");
  constexpr std::size_t outer_max = 3;
  constexpr std::int64_t side = 32;
  constexpr std::uint32_t group = 128;  // every device takes as many
  const std::size_t last = walk.size.size() - 1;
  std::size_t axis = 0;
  while (axis < last && walk.from[axis] != 1) ++axis;
  if (axis == last || walk.to[last] != 1 || last - 1 > outer_max) return false;
  if (walk.size[axis] < side / 2 || walk.size[last] < side / 2) return false;
  const auto word = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
  const auto tiles = [&](std::int64_t size) { return Divisor::of(word((size + side - 1) / side)); };
  struct {
    std::uint32_t groups, from, to, from_size, to_size, from_stride, to_stride;
    Divisor from_tiles, to_tiles;
    std::uint32_t shifts, size[outer_max], multiplier[outer_max], outer_from_stride[outer_max],
        outer_to_stride[outer_max];
  } params{};
  params.from = word(from_begin);
  params.to = word(to_begin);
  params.from_size = word(walk.size[axis]);
  params.to_size = word(walk.size[last]);
  params.from_stride = word(walk.from[last]);
  params.to_stride = word(walk.to[axis]);
  params.from_tiles = tiles(walk.size[axis]);
  params.to_tiles = tiles(walk.size[last]);
  params.groups = params.from_tiles.number * params.to_tiles.number;
  std::uint32_t outer = 0;
  for (std::size_t i = 0; i < last; ++i) {
    if (i == axis) continue;
    const Divisor size = Divisor::of(word(walk.size[i]));
    params.groups *= size.number;
    params.shifts |= size.shift << (5 * outer);
    params.size[outer] = size.number;
    params.multiplier[outer] = size.multiplier;
    params.outer_from_stride[outer] = word(walk.from[i]);
    params.outer_to_stride[outer] = word(walk.to[i]);
    ++outer;
  }
  encoder.dispatch(
      *shaders[from->dtype()],
      {group, outer},
      {read(from), write(to)},
      params,
      grid_of(params.groups));
  return true;
}

/// The walk from an element of `from`, counted from its first, to an element of `to`.
void copy(
    Encoder& encoder,
    const Value& from,
    std::int64_t from_begin,
    const Value& to,
    std::int64_t to_begin,
    Walk walk) {
  constexpr std::size_t axes_max = 6;  // in the shader
  if (walk.size.size() > axes_max) {
    Walk inner = walk;
    inner.size.erase(0);
    inner.from.erase(0);
    inner.to.erase(0);
    for (std::int64_t i = 0; i < walk.size[0]; ++i)
      copy(encoder, from, from_begin + i * walk.from[0], to, to_begin + i * walk.to[0], inner);
    return;
  }
  // A driver's own copy of a buffer takes five times as long as a shader on some GPUs.
  if (encoder.software() && walk.size.size() == 1 && walk.from[0] == 1 && walk.to[0] == 1)
    return encoder.copy_bytes(from, from_begin, to, to_begin, walk.size[0]);
  // A processor has no shared memory that would be faster than what it shares.
  if (!encoder.software() && copy_tiles(encoder, from, from_begin, to, to_begin, walk)) return;
  auto bytes = static_cast<std::uint32_t>(size_of(from->dtype()));
  std::int64_t joined = 16 / bytes;
  while (joined > 1 &&
         !walk.in_pieces_of(joined, {from->offset(), from_begin, to->offset(), to_begin}))
    joined /= 2;
  walk.join(joined);
  bytes *= static_cast<std::uint32_t>(joined);
  struct {
    std::uint32_t n, from, to, shifts, size[axes_max], multiplier[axes_max], from_stride[axes_max],
        to_stride[axes_max];
  } params{};
  params.n = 1;
  params.from = static_cast<std::uint32_t>(from_begin / joined);
  params.to = static_cast<std::uint32_t>(to_begin / joined);
  const auto rank = static_cast<std::uint32_t>(walk.size.size());
  for (std::size_t i = 0; i < rank; ++i) {
    const Divisor size = Divisor::of(static_cast<std::uint32_t>(walk.size[i]));
    params.n *= size.number;
    params.shifts |= size.shift << (5 * i);
    params.size[i] = size.number;
    params.multiplier[i] = size.multiplier;
    params.from_stride[i] = static_cast<std::uint32_t>(walk.from[i]);
    params.to_stride[i] = static_cast<std::uint32_t>(walk.to[i]);
  }
  const Spread spread = encoder.spread(params.n);
  encoder.dispatch(
      copier(bytes),
      {spread.group, rank, spread.turns},
      {read(from, bytes), write(to, bytes)},
      params,
      spread.grid);
}

/// The shaders of all casts.
struct Casts {
  const Shader* shaders[dtype_count][dtype_count] = {};

  Casts() {
    for (std::size_t from = 0; from < dtype_count; ++from)
      for (std::size_t to = 0; to < dtype_count; ++to)
        shaders[from][to] = find_shader(
            "cast",
            std::string(name_of(static_cast<DType>(from))) + "_" +
                std::string(name_of(static_cast<DType>(to))));
  }
};

}  // namespace

void encode_copy(
    Encoder& encoder,
    const Value& from,
    const Value& to,
    const Dims& strides,
    std::int64_t offset) {
  if (from->meta().elements() == 0) return;
  copy(encoder, from, 0, to, offset, Walk::over(from->shape(), from->strides(), strides));
}

void encode_copy(Encoder& encoder, const Value& from, const Value& to) {
  encode_copy(encoder, from, to, contiguous_strides(to->shape()), 0);
}

template <>
void Kernel<Copy>::encode(Encoder& encoder, const Copy&) {
  encode_copy(encoder, encoder.in(0), encoder.out(0));
}

void encode_cast(Encoder& encoder, const Value& from, const Value& to) {
  static const Casts casts;
  if (from->dtype() == to->dtype()) return encode_copy(encoder, from, to);
  const Value x = encoder.contiguous(from);
  const Shader* shader =
      casts.shaders[static_cast<std::size_t>(from->dtype())][static_cast<std::size_t>(to->dtype())];
  if (!shader) encoder.refuse(from->dtype());
  struct {
    std::uint32_t n;
  } const params{static_cast<std::uint32_t>(to->meta().elements())};
  if (params.n == 0) return;
  encoder.dispatch(
      *shader,
      {encoder.plain_group()},
      {read(x), write(to)},
      params,
      grid_for(params.n, encoder.plain_group()));
}

template <>
void Kernel<Cast>::encode(Encoder& encoder, const Cast&) {
  encode_cast(encoder, encoder.in(0), encoder.out(0));
}

template <>
void Kernel<SliceBackward>::encode(Encoder& encoder, const SliceBackward& op) {
  const Value& dx = encoder.out(0);
  const Shape& shape = dx->shape();
  if (dx->meta().elements() == 0) return;
  encoder.fill_zero(dx);
  const std::size_t axis = normalize_axis(op.slice.dim, shape.size());
  Dims strides = contiguous_strides(shape);
  const std::int64_t first = op.slice.range(shape[axis]).first * strides[axis];
  strides[axis] *= op.slice.step;
  encode_copy(encoder, encoder.in(0), dx, strides, first);
}

}  // namespace troupe::vulkan
