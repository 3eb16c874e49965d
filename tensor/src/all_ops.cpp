#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/op_info.hpp>

#include <array>

namespace troupe {

namespace {

template <class... Ops>
constexpr std::array<const OpInfo*, sizeof...(Ops)> infos_of(OpList<Ops...>) {
  return {&OpInfoOf<Ops>::info...};
}
/// Forces the one shared instance of each op without attributes into this file.
template <class Op>
constexpr const OpInstance* instance_of() {
  if constexpr (std::is_empty_v<Op>)
    return &OpInfoOf<Op>::shared;
  else
    return nullptr;
}
template <class... Ops>
constexpr std::array<const OpInstance*, sizeof...(Ops)> instances_of(OpList<Ops...>) {
  return {instance_of<Ops>()...};
}

template <class... Ops>
constexpr bool ids_differ(OpList<Ops...>) {
  const OpId ids[] = {Ops::id...};
  for (std::size_t i = 0; i < sizeof...(Ops); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (ids[i] == ids[j]) return false;
  return true;
}
template <class... Ops>
constexpr bool names_differ(OpList<Ops...>) {
  const std::string_view names[] = {Ops::name...};
  for (std::size_t i = 0; i < sizeof...(Ops); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (names[i] == names[j]) return false;
  return true;
}
static_assert(ids_differ(AllOps{}), "two ops have the same number");
static_assert(names_differ(AllOps{}), "two ops have the same name");

constexpr auto infos = infos_of(AllOps{});
[[gnu::used]] constexpr auto instances = instances_of(AllOps{});

}  // namespace

std::span<const OpInfo* const> all_ops() noexcept { return infos; }

}  // namespace troupe
