#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>
#include <troupe/tensor/ops/relu.hpp>
#include <troupe/tensor/pooled.hpp>

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

  /// Whether an op reads a cell, or the program hands it out.
  [[nodiscard]] bool is_read(Graph::Cell cell) const {
    return kept_[cell] || !readers_[cell].empty();
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

/// A pooling's rule, whichever op it is.
const MaxPool2dRule& rule_of(const Graph::Op& op) {
  return *static_cast<const MaxPool2dRule*>(op.op->attributes());
}

/// Has an op do what another one did too.
void take_over(Graph::Op& op, const Graph::Op& other) {
  op.nodes.insert(op.nodes.end(), other.nodes.begin(), other.nodes.end());
}

/// Makes a pooling whose places nobody reads one that keeps none.
void drop_places(Graph::Op& pooling, bool relu) {
  pooling.op = make_op(MaxPool2dValues{rule_of(pooling), relu});
  pooling.outputs.pop_back();
}

// The largest of some numbers, made 0 if it is negative, is the largest of them each made so. On
// the way back a window's gradient goes to its maximum, and nowhere unless that is positive; which
// of several zeros would have been the place of the maximum matters to nobody.
void join_activations(Graph& graph) {
  const Finder finder(graph);
  std::vector<Pattern> found;
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o)
    if (const auto pattern = finder.at(o)) found.push_back(*pattern);
  std::vector<bool> gone(graph.ops.size());
  for (const Pattern& pattern : found) {
    const Graph::Op& activation = graph.ops[pattern.activation];
    Graph::Op& pooling = graph.ops[pattern.pooling];
    pooling.inputs[0] = activation.inputs[0];
    take_over(pooling, activation);
    gone[pattern.activation] = true;
    if (pattern.pooling_backward == no_op) {
      drop_places(pooling, true);
      continue;
    }
    const MaxPool2d joined{rule_of(pooling), true};
    pooling.op = make_op(joined);
    graph.metas[pooling.outputs[1]].dtype = joined.index_dtype(true);
    Graph::Op& pooling_backward = graph.ops[pattern.pooling_backward];
    const Graph::Op& activation_backward = graph.ops[pattern.activation_backward];
    pooling_backward.outputs[0] = activation_backward.outputs[0];
    take_over(pooling_backward, activation_backward);
    gone[pattern.activation_backward] = true;
  }
  for (Graph::Op& op : graph.ops)
    if (op.info().id == MaxPool2d::id && !finder.is_read(op.outputs[1]))
      drop_places(op, static_cast<const MaxPool2d*>(op.op->attributes())->relu);
  erase_ops(graph, gone);
}

/// Has convolutions go on with the pooling of what nothing else reads.
void join_convolutions(Graph& graph) {
  const std::vector<std::uint32_t> producers = producers_of(graph);
  const std::vector<std::uint32_t> readers = reader_counts(graph);
  const std::vector<bool> kept = kept_cells(graph);
  std::vector<bool> gone(graph.ops.size());
  for (Graph::Op& pooling : graph.ops) {
    const OpId id = pooling.info().id;
    if (id != MaxPool2d::id && id != MaxPool2dValues::id) continue;
    const Graph::Cell result = pooling.inputs[0];
    const std::uint32_t number = producers[result];
    if (number == no_op || kept[result] || readers[result] != 1) continue;
    const Graph::Op& product = graph.ops[number];
    if (product.info().id != Conv2d::id || product.late != pooling.late ||
        !graph.device_of(product).can_pool(
            *product.op, metas_of(graph, product.inputs), graph.metas[result], *pooling.op))
      continue;
    pooling.op = make_op(Pooled{product.op, pooling.op});
    pooling.inputs = product.inputs;
    pooling.nodes.insert(pooling.nodes.begin(), product.nodes.begin(), product.nodes.end());
    gone[number] = true;
  }
  erase_ops(graph, gone);
}

}  // namespace

void join_with_pooling(Graph& graph) {
  join_activations(graph);
  narrow_between_casts(graph);
  join_convolutions(graph);
}

}  // namespace troupe
