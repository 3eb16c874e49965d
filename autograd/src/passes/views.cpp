#include "pass.hpp"

#include <troupe/tensor/ops/expand.hpp>
#include <troupe/tensor/ops/identity.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/reshape.hpp>

namespace troupe {

namespace {

template <class Op>
const Op* as(const Graph::Op& op) noexcept {
  return op.info().id == Op::id ? static_cast<const Op*>(op.op->attributes()) : nullptr;
}

/// Whether the op gives its input as it is.
bool changes_nothing(const Graph& graph, const Graph::Op& op) noexcept {
  if (as<Identity>(op)) return true;
  if (as<Reshape>(op) || as<Expand>(op))
    return graph.metas[op.inputs[0]] == graph.metas[op.outputs[0]];
  if (const Permute* const permute = as<Permute>(op)) {
    for (std::size_t i = 0; i < permute->order.size(); ++i)
      if (permute->order[i] != static_cast<std::int64_t>(i)) return false;
    return true;
  }
  return false;
}

}  // namespace

void simplify_views(Graph& graph) {
  std::vector<std::uint32_t> producers = producers_of(graph);
  Renaming renaming(graph);
  std::vector<bool> gone(graph.ops.size());
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
    Graph::Op& op = graph.ops[o];
    renaming.apply_to(op);
    if (op.info().family != OpFamily::view || op.late) continue;
    const std::uint32_t before = producers[op.inputs[0]];
    if (before != no_op && !graph.ops[before].late) {
      const Graph::Op& first = graph.ops[before];
      if (as<Reshape>(op) && as<Reshape>(first)) {
        op.inputs[0] = first.inputs[0];
      } else if (const Permute* second = as<Permute>(op), *other = as<Permute>(first);
                 second && other) {
        Permute both;
        for (const std::int64_t axis : second->order)
          both.order.push_back(other->order[static_cast<std::size_t>(axis)]);
        op.inputs[0] = first.inputs[0];
        op.op = make_op(both);
      }
    }
    if (!changes_nothing(graph, op)) continue;
    renaming.rename(op.outputs[0], op.inputs[0]);
    gone[o] = true;
  }
  renaming.apply_to_results(graph);
  erase_ops(graph, gone);
  // Views that only other views read.
  remove_dead_code(graph);
}

}  // namespace troupe
