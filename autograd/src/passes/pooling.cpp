#include "pass.hpp"

#include <troupe/tensor/ops/max_pool2d.hpp>
#include <troupe/tensor/ops/relu.hpp>

#include <optional>

namespace troupe {

namespace {

/// relu → max_pool2d, and on the way back max_pool2d_backward → relu_backward: ops by number.
struct Pattern {
  std::uint32_t activation = no_op;
  std::uint32_t pooling = no_op;
  std::uint32_t pooling_backward = no_op;  // no_op for both: no gradient goes back
  std::uint32_t activation_backward = no_op;
};

class Finder {
 public:
  explicit Finder(const Graph& graph)
      : graph_(graph),
        producers_(producers_of(graph)),
        kept_(kept_cells(graph)),
        readers_(graph.metas.size()) {
    for (std::uint32_t o = 0; o < graph.ops.size(); ++o)
      for (const Graph::Cell cell : graph.ops[o].inputs) readers_[cell].push_back(o);
  }

  /// The pattern that begins at an op, if nothing else reads what is inside of it.
  [[nodiscard]] std::optional<Pattern> at(std::uint32_t number) const {
    Pattern found;
    found.activation = number;
    const Graph::Op& activation = graph_.ops[number];
    const Graph::Cell active = activation.outputs[0];
    if (activation.info().id != Relu::id || kept_[active]) return std::nullopt;
    for (const std::uint32_t reader : readers_[active]) {
      const Graph::Op& op = graph_.ops[reader];
      if (op.info().id == MaxPool2d::id && found.pooling == no_op)
        found.pooling = reader;
      else if (
          op.info().id == ReluBackward::id && found.activation_backward == no_op &&
          op.inputs[0] == active && op.inputs[1] != active)
        found.activation_backward = reader;
      else
        return std::nullopt;
    }
    if (found.pooling == no_op) return std::nullopt;
    const Graph::Cell places = graph_.ops[found.pooling].outputs[1];
    if (kept_[places]) return std::nullopt;
    if (found.activation_backward == no_op)
      return readers_[places].empty() ? std::optional(found) : std::nullopt;
    const Graph::Cell gradient = graph_.ops[found.activation_backward].inputs[1];
    found.pooling_backward = producers_[gradient];
    if (found.pooling_backward == no_op || kept_[gradient] || readers_[gradient].size() != 1 ||
        readers_[places].size() != 1)
      return std::nullopt;
    const Graph::Op& back = graph_.ops[found.pooling_backward];
    if (back.info().id != MaxPool2dBackward::id || back.inputs[1] != places) return std::nullopt;
    return found;
  }

 private:
  const Graph& graph_;
  std::vector<std::uint32_t> producers_;
  std::vector<bool> kept_;
  std::vector<std::vector<std::uint32_t>> readers_;  // of each cell
};

}  // namespace

// The largest of some numbers, made 0 if it is negative, is the largest of them each made so. On
// the way back a window's gradient goes to its maximum and is 0 unless that is positive; which of
// several zeros would have been the place of the maximum matters to nobody.
void move_activations_behind_pooling(Graph& graph) {
  const Finder finder(graph);
  std::vector<Pattern> found;
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o)
    if (const auto pattern = finder.at(o)) found.push_back(*pattern);
  for (const Pattern& pattern : found) {
    Graph::Op& activation = graph.ops[pattern.activation];
    Graph::Op& pooling = graph.ops[pattern.pooling];
    const Graph::Cell pooled = pooling.outputs[0];
    const Graph::Cell before = graph.add_cell(graph.metas[pooled]);
    pooling.inputs[0] = activation.inputs[0];
    pooling.outputs[0] = before;
    activation.inputs[0] = before;
    activation.outputs[0] = pooled;
    if (pattern.pooling_backward == no_op) continue;
    Graph::Op& pooling_backward = graph.ops[pattern.pooling_backward];
    Graph::Op& activation_backward = graph.ops[pattern.activation_backward];
    const Graph::Cell gradient = pooling_backward.inputs[0];
    const Graph::Cell masked = graph.add_cell(graph.metas[gradient]);
    activation_backward.inputs = {pooled, gradient};
    pooling_backward.inputs[0] = masked;
    pooling_backward.outputs[0] = activation_backward.outputs[0];
    activation_backward.outputs[0] = masked;
  }
  if (!found.empty()) sort_ops(graph);
}

}  // namespace troupe
