#include "expression.hpp"

namespace troupe::cpu {

template <>
void add_expressions<Arch, 0>(const Expressions** of_ops) {
  add_expressions_of<Arch, 0>(of_ops, AllOps{}, std::make_index_sequence<AllOps::size>{});
}

}  // namespace troupe::cpu
