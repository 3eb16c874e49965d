#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/op_info.hpp>

namespace troupe {

// Shape and vjp rules are missing: when ops are fused, shapes are known, and an update has no
// gradient.
template <>
constexpr OpInfo OpInfoOf<FusedUpdate>::info = [] {
  OpInfo info{};
  info.id = FusedUpdate::id;
  info.name = FusedUpdate::name;
  info.family = OpFamily::structured;
  info.donates = 0;
  info.attributes_bytes = sizeof(FusedUpdate);
  info.equal = [](const void* a, const void* b) {
    return *static_cast<const FusedUpdate*>(a) == *static_cast<const FusedUpdate*>(b);
  };
  info.visit = [](void*, FieldVisitor&) {};
  info.destroy = &detail::destroy_op<FusedUpdate>;
  return info;
}();

}  // namespace troupe
