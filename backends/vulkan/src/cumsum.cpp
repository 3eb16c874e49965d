#include "axis.hpp"
#include "sum_fold.hpp"

#include <troupe/tensor/ops/cumsum.hpp>

#include <algorithm>

namespace troupe::vulkan {

template <>
void Kernel<Cumsum>::encode(Encoder& encoder, const Cumsum& op) {
  static const ShaderByDType shaders("cumsum");
  const Value x = encoder.contiguous(encoder.in(0));
  const Shader& shader = encoder.shader(shaders, x->dtype());
  if (x->meta().elements() == 0) return;
  const Axis axis = Axis::of(x->shape(), op.dim);
  const std::uint32_t lines = axis.lines();
  const bool alone = axis.length <= 32 || lines >= (encoder.software() ? 8U : 4096U);
  // A few long lines would leave most of the device idle: they are cut.
  std::uint32_t segments = 1;
  if (!alone && !encoder.software())
    segments = std::clamp(axis.length / 4096, 1U, std::max(512U / lines, 1U));
  const std::uint32_t segment_length = (axis.length + segments - 1) / segments;
  const struct {
    std::uint32_t lines, extent, inner, segments, segment_extent;
  } params{lines, axis.length, axis.inner, segments, segment_length};
  const std::uint32_t group = alone ? encoder.plain_group() : encoder.fold_group(segment_length);
  const Grid grid = alone ? grid_for(lines, group) : grid_of(std::uint64_t{lines} * segments);
  Operand totals = encoder.unused();
  Value sums;
  if (segments > 1) {
    sums = wide_scratch(encoder, std::int64_t{lines} * segments);
    encoder.dispatch(
        shader,
        {group, 0U, op.reverse, 1U},
        {read(x), write(sums, wide_bytes), totals},
        params,
        grid);
    totals = encoder.unwritten(sums, wide_bytes);
  }
  encoder.dispatch(
      shader,
      {group, alone, op.reverse, 0U},
      {read(x), totals, write(encoder.out(0))},
      params,
      grid);
}

}  // namespace troupe::vulkan
