#include <troupe/core/system.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/numbered_op.hpp>

#include <new>
#include <type_traits>

namespace troupe {

namespace {

template <class Op>
OpRef make_default(System& system) {
  if constexpr (std::is_empty_v<Op>) {
    return OpRef::share(&OpInfoOf<Op>::shared);
  } else {
    void* block = system.allocate(sizeof(OpInstanceOf<Op>));
    return OpRef::adopt(new (block) OpInstanceOf<Op>(OpInfoOf<Op>::info, &system, Op{}));
  }
}

template <class... Ops>
OpRef find(System& system, OpId id, OpList<Ops...>) {
  OpRef found;
  (void)((Ops::id == id && (found = make_default<Ops>(system), true)) || ...);
  return found;
}

}  // namespace

OpRef numbered_op(System& system, OpId id) { return find(system, id, AllOps{}); }

}  // namespace troupe
