#include "fold.hpp"

#include "chain.hpp"

#include <algorithm>

namespace troupe::vulkan {

namespace {

std::uint32_t bits_of(const Dims& axes, std::size_t rank) {
  if (axes.empty() || rank == 0) return (1U << rank) - 1;
  std::uint32_t bits = 0;
  for (const std::int64_t axis : axes)
    bits |= 1U << (axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis);
  return bits;
}

std::uint32_t ceil_div(std::uint32_t n, std::uint32_t by) { return n / by + (n % by != 0 ? 1 : 0); }

}  // namespace

FoldShape FoldShape::of(const Shape& shape, const Dims& axes) {
  const std::uint32_t bits = bits_of(axes, shape.size());
  struct Group {
    std::uint32_t size;
    bool folds;
  };
  Group groups[rank_max];
  std::size_t count = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const auto size = static_cast<std::uint32_t>(shape[d]);
    const bool folds = (bits >> d & 1) != 0;
    if (size == 1) continue;
    if (count > 0 && groups[count - 1].folds == folds)
      groups[count - 1].size *= size;
    else
      groups[count++] = {size, folds};
  }
  // From the last group inward, each takes the next of the five places that is folded as it is.
  FoldShape fold;
  std::uint32_t* const places[5] = {
      &fold.inner, &fold.second, &fold.middle, &fold.first, &fold.outer};
  std::size_t place = 0;
  for (std::size_t g = count; g-- > 0;) {
    if ((place % 2 == 1) != groups[g].folds) ++place;
    if (place == 5) {
      fold = FoldShape{};
      fold.reordered = true;
      for (std::size_t i = 0; i < count; ++i)
        (groups[i].folds ? fold.second : fold.outer) *= groups[i].size;
      return fold;
    }
    *places[place++] = groups[g].size;
  }
  if (fold.first == 1) {
    fold.outer *= fold.middle;
    fold.middle = 1;
  }
  return fold;
}

FoldInput::FoldInput(Encoder& encoder, const Value& given, const Dims& axes)
    : shape(FoldShape::of(given->shape(), axes)), dtype(given->dtype()) {
  if (!shape.reordered) {
    x = encoder.contiguous(given);
    return;
  }
  // What stays goes before what is folded; one copy does that and closes the gaps.
  const std::uint32_t bits = bits_of(axes, given->shape().size());
  Meta meta{given->dtype(), {}};
  Dims strides;
  for (const std::uint32_t folds : {0U, 1U})
    for (std::size_t d = 0; d < given->shape().size(); ++d) {
      if ((bits >> d & 1) != folds) continue;
      meta.shape.push_back(given->shape()[d]);
      strides.push_back(given->strides()[d]);
    }
  x = encoder.contiguous(ValueBody::view(given, meta, strides, given->offset()));
}

FoldInput::FoldInput(Encoder& encoder, const Dims& axes)
    : FoldInput(
          encoder.chain()
              ? FoldInput({}, FoldShape::of(encoder.chain()->shape, axes), encoder.chain()->dtype)
              : FoldInput(encoder, encoder.in(0), axes)) {}

FoldEncoder::Cut FoldEncoder::cut() const {
  const std::uint32_t kept = std::max(shape_.kept(), 1U);
  const std::uint32_t folded = shape_.folded();
  const bool software = encoder_.software();
  // A group of few elements is no work for a workgroup; nor one whose elements are far apart while
  // its neighbours' are near.
  if (shape_.inner == 1 && folded > 32) {
    const std::uint32_t most = std::max((software ? 16U : 1024U) / kept, 1U);
    const std::uint32_t segments = std::min(ceil_div(folded, 4096), most);
    return {true, segments, encoder_.fold_group(folded / segments)};
  }
  const std::uint32_t most = std::max((software ? 256U : 65536U) / kept, 1U);
  const std::uint32_t segments = std::clamp(ceil_div(folded, 64), 1U, most);
  return {false, segments, encoder_.plain_group()};
}

void FoldEncoder::dispatch(
    const Shader& shader,
    std::array<std::uint32_t, 2> constants,
    const Pass& pass,
    std::span<const Operand> operands) {
  const struct {
    std::uint32_t kept, folded, segments, first, middle, second, inner;
    Number factor;
    Divisor split;
  } params{
      shape_.kept(),
      pass.folded,
      pass.segments,
      shape_.first,
      shape_.middle,
      shape_.second,
      shape_.inner,
      factor_,
      split_};
  const std::uint32_t all_constants[] = {
      pass.cut.group,
      pass.cut.together,
      pass.from_parts,
      pass.to_parts,
      constants[0],
      constants[1]};
  const std::uint64_t items = std::uint64_t{params.kept} * pass.segments;
  encoder_.dispatch(
      shader,
      all_constants,
      operands,
      std::as_bytes(std::span(&params, 1)),
      pass.cut.together ? grid_of(items) : grid_for(items, pass.cut.group));
}

}  // namespace troupe::vulkan
