#include "divisor.hpp"
#include "encoder.hpp"
#include "number.hpp"

#include <troupe/tensor/ops/pad.hpp>

namespace troupe::vulkan {
namespace {

/// The value as an element of the dtype; 16-bit floats take 0 only, which all bits off is.
Number element_of(DType dtype, double value) {
  switch (dtype) {
    case DType::float32:
    case DType::float64:
      return Number::of(dtype, value);
    case DType::int32:
    case DType::int64:
      return Number::of(static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
    case DType::uint8:
      return {static_cast<std::uint8_t>(value), 0};
    case DType::boolean:
      return {value != 0 ? 1u : 0u, 0};
    default:
      return {};
  }
}

/// Pads by what `op` says from axis `begin` up to `end`, and leaves the other axes alone.
void pad(
    Encoder& encoder,
    const Pad& op,
    const Value& x,
    const Value& y,
    std::size_t begin,
    std::size_t end) {
  static const ShaderBySize shaders("pad");
  constexpr std::size_t axes_max = 6;
  struct {
    std::uint32_t n;
    Number value;
    std::uint32_t shifts, size[axes_max], multiplier[axes_max], from_size[axes_max];
    std::int32_t before[axes_max];
  } params{};
  params.n = static_cast<std::uint32_t>(y->meta().elements());
  params.value = element_of(y->dtype(), op.value);
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < y->shape().size(); ++i) {
    const auto size = static_cast<std::uint32_t>(y->shape()[i]);
    const auto from_size = static_cast<std::uint32_t>(x->shape()[i]);
    const bool padded = i >= begin && i < end && (op.before[i] != 0 || op.after[i] != 0);
    if (rank > 0 && !padded) {
      // An axis that stays as it is goes with the one before it.
      params.size[rank - 1] *= size;
      params.from_size[rank - 1] *= from_size;
      params.before[rank - 1] *= static_cast<std::int32_t>(size);
    } else {
      params.size[rank] = size;
      params.from_size[rank] = from_size;
      params.before[rank] = padded ? static_cast<std::int32_t>(op.before[i]) : 0;
      ++rank;
    }
  }
  for (std::uint32_t i = 0; i < rank; ++i) {
    const Divisor size = Divisor::of(params.size[i]);
    params.multiplier[i] = size.multiplier;
    params.shifts |= size.shift << (5 * i);
  }
  encoder.dispatch(
      *shaders[y->dtype()],
      {encoder.plain_group(), rank},
      {read(x), write(y)},
      params,
      grid_for(params.n, encoder.plain_group()));
}

}  // namespace

template <>
void Kernel<Pad>::encode(Encoder& encoder, const Pad& op) {
  const Value x = encoder.contiguous(encoder.in(0));
  const Value& y = encoder.out(0);
  if (y->meta().elements() == 0) return;
  // The shader pads five axes and one more; more go in two steps.
  constexpr std::size_t at_once = 5;
  const std::size_t rank = y->shape().size();
  if (rank <= at_once + 1) return pad(encoder, op, x, y, 0, rank);
  Shape between = x->shape();
  for (std::size_t i = at_once; i < rank; ++i) between[i] = y->shape()[i];
  const Value half = encoder.scratch(y->dtype(), between);
  if (half->meta().elements() != 0) pad(encoder, op, x, half, at_once, rank);
  pad(encoder, op, half, y, 0, at_once);
}

}  // namespace troupe::vulkan
