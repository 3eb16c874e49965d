#include "profiler.hpp"

#include <troupe/tensor/ops/expand.hpp>

#include <algorithm>
#include <numeric>

namespace troupe {

double ProgramProfile::seconds_in_ops() const noexcept {
  double sum = 0;
  for (const Op& op : ops) sum += op.seconds;
  return sum;
}

std::vector<Cost> costs_of(const Graph& graph) {
  std::vector<Cost> costs;
  std::vector<Graph::Cell> expanded_from(graph.metas.size());
  std::iota(expanded_from.begin(), expanded_from.end(), Graph::Cell{0});
  std::vector<Meta> inputs, outputs;
  for (const Graph::Op& op : graph.ops) {
    inputs.clear();
    outputs.clear();
    for (const Graph::Cell cell : op.inputs) inputs.push_back(graph.metas[cell]);
    for (const Graph::Cell cell : op.outputs) outputs.push_back(graph.metas[cell]);
    Cost& cost = costs.emplace_back(cost_of(*op.op, inputs, outputs));
    if (op.info().id == Expand::id) expanded_from[op.outputs[0]] = op.inputs[0];
    if (op.info().family == OpFamily::view) continue;
    for (std::size_t i = 0; i < op.inputs.size(); ++i) {
      const Graph::Cell cell = op.inputs[i];
      const auto here = op.inputs.begin() + static_cast<std::ptrdiff_t>(i);
      const bool again = std::find(op.inputs.begin(), here, cell) != here;
      const Graph::Cell from = expanded_from[cell];
      if (again || from != cell) cost.bytes -= static_cast<double>(inputs[i].bytes());
      if (!again && from != cell) cost.bytes += static_cast<double>(graph.metas[from].bytes());
    }
  }
  return costs;
}

void Profiler::add(std::span<const OpSpan> ops, std::int64_t ended_ns) {
  if (ops.empty()) return;
  const std::lock_guard lock(mutex_);
  total_ns_.resize(ops.size());
  last_.assign(ops.begin(), ops.end());
  last_began_ns_ = ops[0].began_ns;
  for (std::size_t o = 0; o < ops.size(); ++o) {
    total_ns_[o] += ops[o].ended_ns - ops[o].began_ns;
    last_began_ns_ = std::min(last_began_ns_, ops[o].began_ns);
  }
  steps_ns_ += ended_ns - last_began_ns_;
  ++steps_;
}

ProgramProfile Profiler::profile(const Graph& graph) const {
  const std::lock_guard lock(mutex_);
  ProgramProfile profile;
  profile.steps = steps_;
  if (steps_ == 0) return profile;
  const auto mean = [&](std::int64_t ns) {
    return static_cast<double>(ns) * 1e-9 / static_cast<double>(steps_);
  };
  profile.seconds = mean(steps_ns_);
  const std::vector<Cost> costs = costs_of(graph);
  for (std::size_t o = 0; o < graph.ops.size(); ++o) {
    const Graph::Op& op = graph.ops[o];
    const Meta& result = graph.metas[op.outputs[0]];
    profile.ops.push_back(
        {.name = name_of(op),
         .vjp_of = op.nodes.front().vjp_of,
         .late = op.late,
         .dtype = (op.inputs.empty() ? result : graph.metas[op.inputs[0]]).dtype,
         .result = to_string(result),
         .cost = costs[o],
         .seconds = mean(total_ns_[o]),
         .began = static_cast<double>(last_[o].began_ns - last_began_ns_) * 1e-9,
         .ended = static_cast<double>(last_[o].ended_ns - last_began_ns_) * 1e-9});
  }
  return profile;
}

}  // namespace troupe
