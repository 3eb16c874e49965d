#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/op_info.hpp>

#include <algorithm>

namespace troupe {

bool Segment::Step::operator==(const Step& other) const noexcept {
  return std::equal(from, from + 3, other.from) && equal(*op, *other.op);
}

bool Segment::operator==(const Segment& other) const noexcept {
  return inputs == other.inputs && steps == other.steps && outputs == other.outputs;
}

bool Fused::operator==(const Fused& other) const noexcept {
  const auto same = [](const OpRef& a, const OpRef& b) {
    return a && b ? equal(*a, *b) : !a && !b;
  };
  return same(head, other.head) && head_inputs == other.head_inputs &&
         keeps_head == other.keeps_head && reshapes_head == other.reshapes_head &&
         head_shape == other.head_shape && segment == other.segment && same(fold, other.fold) &&
         folded == other.folded;
}

std::size_t Fused::last_output() const noexcept {
  const std::size_t own = keeps_head ? 1 : 0;
  if (segment.outputs.empty()) return own;
  const auto last = std::max_element(segment.outputs.begin(), segment.outputs.end());
  return own + static_cast<std::size_t>(last - segment.outputs.begin());
}

std::optional<std::size_t> Fused::folded_output() const noexcept {
  const auto found = std::find(segment.outputs.begin(), segment.outputs.end(), folded);
  if (found == segment.outputs.end()) return std::nullopt;
  return static_cast<std::size_t>(found - segment.outputs.begin());
}

std::size_t Fused::segment_outputs() const noexcept {
  return segment.outputs.empty() && !fold ? 1 : segment.outputs.size();
}

Shape Fused::segment_shape(std::span<const Meta> inputs) const {
  Shape shape;
  if (head) {
    Metas result;
    head->info().infer(head->attributes(), inputs.first(head_inputs), result);
    shape = result[0].shape;
  }
  for (const Meta& input : inputs.subspan(head_inputs)) shape = broadcast(shape, input.shape);
  return shape;
}

// Shape and vjp rules are missing: when ops are fused, shapes are known and gradients recorded.
template <>
constexpr OpInfo OpInfoOf<Fused>::info = [] {
  OpInfo info{};
  info.id = Fused::id;
  info.name = Fused::name;
  info.family = OpFamily::fused;
  info.donates = -1;
  info.attributes_bytes = sizeof(Fused);
  info.equal = [](const void* a, const void* b) {
    return *static_cast<const Fused*>(a) == *static_cast<const Fused*>(b);
  };
  info.visit = [](void*, FieldVisitor&) {};
  info.destroy = &detail::destroy_op<Fused>;
  return info;
}();

}  // namespace troupe
