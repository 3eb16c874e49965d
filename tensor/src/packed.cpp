#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/op_info.hpp>
#include <troupe/tensor/packed.hpp>
#include <troupe/tensor/pooled.hpp>

namespace troupe {

bool Pack::operator==(const Pack& other) const noexcept {
  return operands == other.operands && result == other.result && equal(*product, *other.product);
}

bool Packed::operator==(const Packed& other) const noexcept { return equal(*op, *other.op); }

ProductIn product_in(const OpInstance& op, std::size_t inputs) noexcept {
  if (op.info().family == OpFamily::structured) return {&op, inputs};
  if (op.info().family == OpFamily::pooled)
    return {static_cast<const Pooled*>(op.attributes())->product.get(), inputs};
  if (op.info().family != OpFamily::fused) return {};
  const auto& fused = *static_cast<const Fused*>(op.attributes());
  return {fused.head.get(), fused.head_inputs};
}

namespace {

// Shape and vjp rules are missing: when operands are packed, shapes are known and gradients
// recorded.
template <class Op>
constexpr OpInfo packing_info() {
  OpInfo info{};
  info.id = Op::id;
  info.name = Op::name;
  info.family = OpFamily::packing;
  info.donates = -1;
  info.attributes_bytes = sizeof(Op);
  info.equal = [](const void* a, const void* b) {
    return *static_cast<const Op*>(a) == *static_cast<const Op*>(b);
  };
  info.visit = [](void*, FieldVisitor&) {};
  info.destroy = &detail::destroy_op<Op>;
  return info;
}

}  // namespace

template <>
constexpr OpInfo OpInfoOf<Pack>::info = packing_info<Pack>();
template <>
constexpr OpInfo OpInfoOf<Packed>::info = packing_info<Packed>();

}  // namespace troupe
