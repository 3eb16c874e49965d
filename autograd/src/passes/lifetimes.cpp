#include "lifetimes.hpp"

#include "pass.hpp"

#include <algorithm>

namespace troupe {

Lifetimes::Lifetimes(const Graph& graph)
    : graph_(graph),
      base_(graph.metas.size()),
      planned_(graph.metas.size()),
      last_use_(graph.metas.size()),
      ending_(graph.ops.size()) {
  for (Graph::Cell cell = 0; cell < base_.size(); ++cell) base_[cell] = cell;
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
    const Graph::Op& op = graph.ops[o];
    const bool is_view = op.info().family == OpFamily::view;
    // Late ops run when all others are done, wherever they stand.
    const std::uint32_t used_by = op.late ? static_cast<std::uint32_t>(graph.ops.size()) - 1 : o;
    for (const Graph::Cell cell : op.inputs)
      last_use_[base_[cell]] = std::max(last_use_[base_[cell]], used_by);
    for (const Graph::Cell cell : op.outputs) {
      if (is_view) base_[cell] = base_[op.inputs[0]];
      planned_[cell] = !is_view && !op.late && op.info().family != OpFamily::transfer &&
                       graph.devices[cell] == graph.plan.device &&
                       graph.metas[cell].bytes() > small_bytes_max;
      last_use_[base_[cell]] = std::max(last_use_[base_[cell]], o);
    }
  }
  const auto goes_out = [&](Graph::Cell cell) { planned_[base_[cell]] = false; };
  for (const Graph::Cell cell : graph.outputs) goes_out(cell);
  for (const Graph::Kept& kept : graph.kept) goes_out(kept.cell);
  for (const Graph::Held& held : graph.held)
    for (const Graph::Cell cell : held.results) goes_out(cell);
  for (Graph::Cell cell = 0; cell < planned_.size(); ++cell)
    if (planned_[cell]) ending_[last_use_[cell]].push_back(cell);
}

Lifetimes::Peak Lifetimes::peak() const {
  Peak peak;
  std::uint64_t alive = 0;
  for (std::uint32_t o = 0; o < graph_.ops.size(); ++o) {
    for (const Graph::Cell cell : graph_.ops[o].outputs)
      if (planned_[cell]) alive += bytes_of(graph_.metas[cell]);
    if (alive > peak.bytes) peak = {alive, o};
    for (const Graph::Cell cell : ending_[o]) alive -= bytes_of(graph_.metas[cell]);
  }
  return peak;
}

std::vector<Graph::Cell> Lifetimes::alive_at(std::uint32_t op) const {
  std::vector<Graph::Cell> alive;
  for (std::uint32_t o = 0; o <= op; ++o)
    for (const Graph::Cell cell : graph_.ops[o].outputs)
      if (planned_[cell] && last_use_[cell] >= op) alive.push_back(cell);
  return alive;
}

}  // namespace troupe
