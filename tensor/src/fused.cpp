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
  const bool same_head = head && other.head ? equal(*head, *other.head) : !head && !other.head;
  return same_head && head_inputs == other.head_inputs && keeps_head == other.keeps_head &&
         reshapes_head == other.reshapes_head && head_shape == other.head_shape &&
         segment == other.segment;
}

std::size_t Fused::last_output() const noexcept {
  const std::size_t own = keeps_head ? 1 : 0;
  if (segment.outputs.empty()) return own;
  const auto last = std::max_element(segment.outputs.begin(), segment.outputs.end());
  return own + static_cast<std::size_t>(last - segment.outputs.begin());
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
