#include "tables.hpp"

#include <algorithm>

namespace troupe {

Tables::Tables(Graph given) : graph(std::move(given)) {
  for (const Graph::Op& from : graph.ops) {
    Op op;
    op.op = from.op;
    op.device = &graph.device_of(from);
    op.first_input = static_cast<std::uint32_t>(operands.size());
    op.input_count = static_cast<std::uint32_t>(from.inputs.size());
    operands.insert(operands.end(), from.inputs.begin(), from.inputs.end());
    op.first_output = static_cast<std::uint32_t>(results.size());
    op.output_count = static_cast<std::uint32_t>(from.outputs.size());
    for (const Cell cell : from.outputs) {
      results.push_back(cell);
      result_metas.push_back(graph.metas[cell]);
    }
    op.random = from.random;
    op.late = from.late;
    op.first = from.info().family == OpFamily::exchange;
    op.node = from.nodes.front();
    late_ops += op.late;
    inputs_max = std::max(inputs_max, op.input_count);
    outputs_most = std::max(outputs_most, op.output_count);
    ops.push_back(std::move(op));
  }

  for (std::uint32_t k = 0; k < graph.kept.size(); ++k)
    for (Op& op : ops)
      if (outputs_of(op)[0] == graph.kept[k].cell) op.kept = k;

  // Who waits for what. An op that reads a cell twice waits for it once.
  const std::size_t cells = graph.metas.size();
  uses.assign(cells, 0);
  consumers.assign(cells, {});
  awaited.assign(ops.size(), 0);
  std::vector<std::vector<std::uint32_t>> readers(cells);
  for (std::uint32_t o = 0; o < ops.size(); ++o) {
    const auto wait_for = [&](Cell cell) {
      if (!readers[cell].empty() && readers[cell].back() == o) return;
      readers[cell].push_back(o);
      ++awaited[o];
    };
    for (const Cell cell : graph.ops[o].inputs) {
      ++uses[cell];
      wait_for(cell);
    }
    for (const Cell cell : graph.ops[o].after) wait_for(cell);
  }
  for (const Cell cell : graph.outputs) ++uses[cell];
  for (const Held& one : graph.held)
    for (const Cell cell : one.results) ++uses[cell];
  for (Cell cell = 0; cell < cells; ++cell) {
    consumers[cell] = {
        static_cast<std::uint32_t>(consuming.size()),
        static_cast<std::uint32_t>(readers[cell].size())};
    consuming.insert(consuming.end(), readers[cell].begin(), readers[cell].end());
  }
  lent.assign(cells, false);
  for (const Held& one : graph.held)
    for (std::uint32_t i = 0; i <= one.states; ++i) lent[one.first_cell + i] = true;
  std::vector<bool> seen(cells);
  for (auto one = graph.held.rbegin(); one != graph.held.rend(); ++one)
    for (auto cell = one->results.rbegin(); cell != one->results.rend(); ++cell) {
      last_result.push_back(!seen[*cell]);
      seen[*cell] = true;
    }
  std::reverse(last_result.begin(), last_result.end());
  // Constants are there from the start: nobody waits for them within a step.
  for (const auto& [cell, value] : graph.constants) {
    for (const std::uint32_t reader : readers[cell]) --awaited[reader];
    consumers[cell].count = 0;
  }
}

}  // namespace troupe
