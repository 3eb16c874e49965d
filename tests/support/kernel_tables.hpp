#pragma once

#include "instruction_sets.hpp"

#include <string>
#include <vector>

/// All kernels of the CPU backend by instruction set, for tests and benches of what ops share.
namespace troupe::cpu {

namespace test {

struct NamedTable {
  std::string isa;
  KernelTable table;
};

/// Those that this build and this machine have, oldest first; but for sets that differ in products
/// alone.
inline std::vector<NamedTable> kernel_tables() {
  std::vector<NamedTable> list;
  for (const InstructionSet& set : known_sets())
    if (set.present && !set.products_alone)
      list.push_back({std::string(set.name), set.make_table()});
  return list;
}

template <class Op, class... Ops>
constexpr std::size_t index_in(OpList<Ops...>) {
  std::size_t index = 0;
  (void)((std::is_same_v<Op, Ops> || (++index, false)) || ...);
  return index;
}
/// An op's place in the tables.
template <class Op>
constexpr std::size_t index_of = index_in<Op>(AllOps{});

}  // namespace test
}  // namespace troupe::cpu
