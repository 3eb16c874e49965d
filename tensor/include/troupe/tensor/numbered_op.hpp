#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

class System;

/// One of `AllOps` by its number, with its attributes as they are when nobody sets them: what a
/// visitor that reads an op from somewhere begins with. Null for a number that none of them has.
[[nodiscard]] OpRef numbered_op(System& system, OpId id);

/// The attributes of an op that nobody else has yet, for such a visitor.
inline void set_attributes(OpInstance& op, FieldVisitor& visit) {
  // An op without attributes is one instance for all, and shows none.
  op.info().visit(const_cast<void*>(op.attributes()), visit);
}

}  // namespace troupe
