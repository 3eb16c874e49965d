#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/ops/reshape.hpp>

#include <algorithm>

namespace troupe {

namespace {

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

class Epilogues : OpJoiner {
 public:
  explicit Epilogues(Graph& graph) : OpJoiner(graph), reader_(graph.metas.size(), no_op) {
    for (std::uint32_t o = 0; o < graph.ops.size(); ++o)
      for (const Graph::Cell cell : graph.ops[o].inputs) reader_[cell] = o;
  }

  void run() {
    for (std::uint32_t o = 0; o < graph_.ops.size(); ++o) {
      const Graph::Op& tail = graph_.ops[o];
      if (tail.info().family != OpFamily::fused && !is_step(graph_, tail)) continue;
      const std::vector<Graph::Cell> inputs = graph_.ops[o].inputs;
      for (const Graph::Cell cell : inputs)
        if (join(o, cell)) break;
    }
    finish();
  }

 private:
  /// Whether an op only gives its input another shape, and nothing else reads that.
  [[nodiscard]] bool is_reshape(std::uint32_t number) const {
    const Graph::Op& op = graph_.ops[number];
    return op.info().id == Reshape::id && !op.late && !kept_[op.inputs[0]] &&
           readers_[op.inputs[0]] == 1;
  }

  /// Whether an op's result is only folded, so that the fold can take it in without its being
  /// written.
  [[nodiscard]] bool is_folded(const Graph::Op& op) const {
    const Graph::Cell result = op.outputs[0];
    if (op.outputs.size() != 1 || kept_[result] || readers_[result] != 1) return false;
    const Graph::Op& reader = graph_.ops[reader_[result]];
    if (!may_fold(reader)) return false;
    Fused fused;
    fused.segment = segment_of(op);
    fused.segment.outputs.clear();
    fused.fold = reader.op;
    fused.folded =
        static_cast<std::uint16_t>(fused.segment.inputs + fused.segment.steps.size() - 1);
    return graph_.device_of(op).can_fold(fused, metas_of(graph_, op.inputs), graph_.metas[result]);
  }

  /// Makes op `o` the epilogue of the op that made `cell`, or what `cell` is a reshape of, if that
  /// can be.
  bool join(std::uint32_t o, Graph::Cell cell) {
    const Graph::Op& tail = graph_.ops[o];
    const auto reads =
        static_cast<std::uint32_t>(std::count(tail.inputs.begin(), tail.inputs.end(), cell));
    const bool keeps = kept_[cell] || readers_[cell] > reads;
    std::uint32_t head_number = producers_[cell];
    std::uint32_t reshape = no_op;
    if (head_number != no_op && !keeps && !gone_[head_number] && is_reshape(head_number)) {
      reshape = head_number;
      head_number = producers_[graph_.ops[reshape].inputs[0]];
    }
    if (head_number == no_op || gone_[head_number]) return false;
    const Graph::Op& head = graph_.ops[head_number];
    if (head.late || head.info().family != OpFamily::structured || head.outputs.size() != 1 ||
        graph_.metas[cell].shape != graph_.metas[tail.outputs[0]].shape)
      return false;
    // What is folded need not be written, and what others read is there to be folded.
    if (keeps && is_folded(tail)) return false;
    // What else the segment reads may have been made of what others read of the head: then the head
    // cannot wait for it. What was there before the head was not, nor what is made of nothing.
    for (const Graph::Cell other : tail.inputs) {
      const std::uint32_t maker = producers_[other];
      if (keeps && other != cell && maker != no_op && maker > head_number &&
          !waits_for_nothing(graph_.ops[maker]))
        return false;
    }

    Graph::Op op;
    Fused attributes;
    attributes.head = head.op;
    attributes.head_inputs = static_cast<std::uint16_t>(head.inputs.size());
    attributes.reshapes_head = reshape != no_op;
    if (attributes.reshapes_head) attributes.head_shape = graph_.metas[head.outputs[0]].shape;
    attributes.segment = segment_of(tail);
    op.inputs = head.inputs;
    std::vector<Graph::Cell> own;
    for (const Graph::Cell input : tail.inputs)
      if (std::find(own.begin(), own.end(), input) == own.end()) own.push_back(input);
    put_first(
        attributes.segment,
        static_cast<std::uint16_t>(std::find(own.begin(), own.end(), cell) - own.begin()));
    for (const Graph::Cell input : own)
      if (input != cell) op.inputs.push_back(input);
    op.outputs = tail.outputs;
    // Where nobody else reads the head's result it lies where the segment's last will, if that is
    // as large: a product in 16 bits may become something of 32.
    const Graph::Cell last = op.outputs[attributes.last_output()];
    attributes.keeps_head = keeps || graph_.metas[last] != graph_.metas[cell];
    if (attributes.keeps_head) op.outputs.insert(op.outputs.begin(), cell);
    if (!takes(op.inputs.size() + op.outputs.size(), cell) ||
        !graph_.device_of(op).can_end_with(
            attributes, metas_of(graph_, op.inputs), graph_.metas[cell]))
      return false;
    take_along(op, head);
    if (reshape != no_op) take_along(op, graph_.ops[reshape]);
    take_along(op, tail);
    op.random = head.random;
    complete_fused(graph_, std::move(attributes), op);
    for (const Graph::Cell output : op.outputs) producers_[output] = o;
    graph_.ops[o] = std::move(op);
    gone_[head_number] = true;
    if (reshape != no_op) gone_[reshape] = true;
    return true;
  }

  std::vector<std::uint32_t> reader_;  // of each cell, the last
};

}  // namespace

void add_epilogues(Graph& graph) { Epilogues(graph).run(); }

}  // namespace troupe
