#include "pass.hpp"

#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <optional>

namespace troupe {

namespace {

/// More than this is not kept for the program's whole life to save computing it.
constexpr std::size_t folded_bytes_max = std::size_t{1} << 20;

bool may_be_folded(const Graph& graph, const Graph::Op& op) noexcept {
  const OpInfo& info = op.info();
  if (op.late || info.random || info.family == OpFamily::transfer ||
      info.family == OpFamily::exchange || info.id >= first_user_op || op.inputs.empty())
    return false;
  return info.family == OpFamily::view ||
         std::all_of(op.outputs.begin(), op.outputs.end(), [&](Graph::Cell cell) {
           return graph.metas[cell].bytes() <= folded_bytes_max;
         });
}

}  // namespace

void fold_constants(Graph& graph) {
  std::vector<Value> constant(graph.metas.size());
  for (const auto& [cell, value] : graph.constants) constant[cell] = value;
  std::vector<bool> folded(graph.ops.size());
  const NoGrad no_grad;
  for (std::size_t o = 0; o < graph.ops.size(); ++o) {
    const Graph::Op& op = graph.ops[o];
    if (!may_be_folded(graph, op) ||
        !std::all_of(
            op.inputs.begin(), op.inputs.end(), [&](Graph::Cell cell) { return constant[cell]; }))
      continue;
    const Where where = op.nodes.front().where;
    std::vector<Tensor> tensors;
    for (const Graph::Cell cell : op.inputs)
      tensors.push_back(Tensor::adopt(Record::make_constant(constant[cell], nullptr, where), 0));
    std::vector<Operand> inputs;
    for (const Tensor& tensor : tensors) inputs.emplace_back(tensor, where);
    std::vector<Tensor> results(op.outputs.size());
    try {
      apply(op.op, inputs, results);
      for (std::size_t k = 0; k < results.size(); ++k) constant[op.outputs[k]] = results[k].value();
    } catch (const Error&) {
      // An index out of range, say: each step that comes to it shall tell.
      for (const Graph::Cell cell : op.outputs) constant[cell].reset();
      continue;
    }
    for (const Graph::Cell cell : op.outputs) graph.constants.emplace_back(cell, constant[cell]);
    folded[o] = true;
  }
  erase_ops(graph, folded);
  remove_dead_code(graph);
}

}  // namespace troupe
