#include <troupe/tensor/op_info.hpp>
#include <troupe/tensor/pooled.hpp>

namespace troupe {

bool Pooled::operator==(const Pooled& other) const noexcept {
  return equal(*product, *other.product) && equal(*pooling, *other.pooling);
}

// Shape and vjp rules are missing: when ops are joined, shapes are known and gradients recorded.
template <>
constexpr OpInfo OpInfoOf<Pooled>::info = [] {
  OpInfo info{};
  info.id = Pooled::id;
  info.name = Pooled::name;
  info.family = OpFamily::pooled;
  info.donates = -1;
  info.attributes_bytes = sizeof(Pooled);
  info.equal = [](const void* a, const void* b) {
    return *static_cast<const Pooled*>(a) == *static_cast<const Pooled*>(b);
  };
  info.visit = [](void*, FieldVisitor&) {};
  info.destroy = &detail::destroy_op<Pooled>;
  return info;
}();

}  // namespace troupe
