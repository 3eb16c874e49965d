#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/fused.hpp>

#include <algorithm>

namespace troupe {

namespace {

/// An elementwise op as the segment of one step that it is.
Segment segment_of(const Graph::Op& op) {
  if (op.info().family == OpFamily::fused)
    return static_cast<const Fused*>(op.op->attributes())->segment;
  Segment segment;
  Segment::Step step;
  step.op = op.op;
  std::vector<Graph::Cell> seen;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const auto found = std::find(seen.begin(), seen.end(), op.inputs[i]);
    step.from[i] = static_cast<std::uint16_t>(found - seen.begin());
    if (found == seen.end()) seen.push_back(op.inputs[i]);
  }
  segment.inputs = static_cast<std::uint16_t>(seen.size());
  segment.steps.push_back(std::move(step));
  segment.outputs.push_back(segment.inputs);
  return segment;
}

/// The segment with its input `k` in the first place.
void put_first(Segment& segment, std::uint16_t k) {
  for (Segment::Step& step : segment.steps)
    for (std::size_t i = 0; i < step.op->info().arity; ++i) {
      if (step.from[i] == k)
        step.from[i] = 0;
      else if (step.from[i] < k)
        ++step.from[i];
    }
}

class Epilogues {
 public:
  Epilogues(Graph& graph, const Device& device)
      : graph_(graph),
        device_(device),
        producers_(producers_of(graph)),
        kept_(kept_cells(graph)),
        readers_(reader_counts(graph)),
        gone_(graph.ops.size()) {}

  void run() {
    for (std::uint32_t o = 0; o < graph_.ops.size(); ++o) {
      const OpFamily family = graph_.ops[o].info().family;
      if (graph_.ops[o].late) continue;
      if (family != OpFamily::elementwise && family != OpFamily::fused) continue;
      const std::vector<Graph::Cell> inputs = graph_.ops[o].inputs;
      for (const Graph::Cell cell : inputs)
        if (join(producers_[cell], o, cell)) break;
    }
    erase_ops(graph_, gone_);
    sort_ops(graph_);
  }

 private:
  /// Makes op `o` the epilogue of the op that made `cell`, if that can be.
  bool join(std::uint32_t head_number, std::uint32_t o, Graph::Cell cell) {
    if (head_number == no_op || gone_[head_number]) return false;
    const Graph::Op& head = graph_.ops[head_number];
    const Graph::Op& tail = graph_.ops[o];
    if (head.late || head.info().family != OpFamily::structured || head.outputs.size() != 1 ||
        graph_.metas[cell].shape != graph_.metas[tail.outputs[0]].shape)
      return false;
    const auto reads =
        static_cast<std::uint32_t>(std::count(tail.inputs.begin(), tail.inputs.end(), cell));
    const bool keeps = kept_[cell] || readers_[cell] > reads;
    // What else the segment reads may have been made of what others read of the head: then the head
    // cannot wait for it. What was there before the head was not.
    for (const Graph::Cell other : tail.inputs)
      if (keeps && other != cell && producers_[other] != no_op && producers_[other] > head_number)
        return false;

    Graph::Op op;
    Fused attributes;
    attributes.head = head.op;
    attributes.head_inputs = static_cast<std::uint16_t>(head.inputs.size());
    attributes.keeps_head = keeps;
    attributes.segment = segment_of(tail);
    op.inputs = head.inputs;
    if (keeps) op.outputs.push_back(cell);
    std::vector<Graph::Cell> own;
    for (const Graph::Cell input : tail.inputs)
      if (std::find(own.begin(), own.end(), input) == own.end()) own.push_back(input);
    put_first(
        attributes.segment,
        static_cast<std::uint16_t>(std::find(own.begin(), own.end(), cell) - own.begin()));
    for (const Graph::Cell input : own)
      if (input != cell) op.inputs.push_back(input);
    op.outputs.insert(op.outputs.end(), tail.outputs.begin(), tail.outputs.end());
    const Graph::Cell last = op.outputs[attributes.last_output()];
    if (!keeps && graph_.metas[last] != graph_.metas[cell]) return false;
    if (op.inputs.size() + op.outputs.size() >
        device_.fusion_limits(graph_.metas[cell].elements()).operands_max)
      return false;

    if (!device_.can_end_with(attributes, metas_of(graph_, op.inputs), graph_.metas[cell]))
      return false;
    op.after = head.after;
    op.after.insert(op.after.end(), tail.after.begin(), tail.after.end());
    op.nodes = head.nodes;
    op.nodes.insert(op.nodes.end(), tail.nodes.begin(), tail.nodes.end());
    op.random = head.random;
    complete_fused(graph_, device_, std::move(attributes), op);
    for (const Graph::Cell output : op.outputs) producers_[output] = o;
    graph_.ops[o] = std::move(op);
    gone_[head_number] = true;
    return true;
  }

  Graph& graph_;
  const Device& device_;
  std::vector<std::uint32_t> producers_;
  std::vector<bool> kept_;
  std::vector<std::uint32_t> readers_;
  std::vector<bool> gone_;
};

}  // namespace

void add_epilogues(Graph& graph, const Device& device) {
  if (device.fusion_limits(1).operands_max == 0) return;
  Epilogues(graph, device).run();
}

}  // namespace troupe
