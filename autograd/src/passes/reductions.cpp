#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/fused.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

class Reductions : OpJoiner {
 public:
  explicit Reductions(Graph& graph) : OpJoiner(graph) {}

  void run() {
    for (std::uint32_t o = 0; o < graph_.ops.size(); ++o) {
      if (!may_fold(graph_.ops[o])) continue;
      const std::uint32_t before = producers_[graph_.ops[o].inputs[0]];
      if (before != no_op && join(before, graph_.ops[o])) gone_[o] = true;
    }
    finish();
  }

 private:
  /// Lets the op at `chain` end with the fold, if that can be. It stays where it is, for the fold
  /// waits for nothing else.
  bool join(std::uint32_t chain, const Graph::Op& fold) {
    Graph::Op& op = graph_.ops[chain];
    const bool fused = op.info().family == OpFamily::fused;
    const Graph::Cell cell = fold.inputs[0];
    if (!fused && !is_step(graph_, op)) return false;
    Fused attributes;
    if (fused) attributes = *static_cast<const Fused*>(op.op->attributes());
    if (attributes.fold) return false;
    attributes.segment = segment_of(op);
    attributes.executable = nullptr;
    attributes.fold = fold.op;
    std::vector<std::uint16_t>& stored = attributes.segment.outputs;
    std::vector<Graph::Cell> outputs = op.outputs;
    const auto at = std::find(outputs.begin(), outputs.end(), cell);
    const auto place =
        static_cast<std::size_t>(at - outputs.begin()) - (attributes.keeps_head ? 1 : 0);
    if (place >= stored.size()) return false;  // the head's result, which is none of the segment's
    attributes.folded = stored[place];
    if (!kept_[cell] && readers_[cell] == 1) {
      outputs.erase(at);
      stored.erase(stored.begin() + static_cast<std::ptrdiff_t>(place));
    }
    outputs.push_back(fold.outputs[0]);

    std::vector<Graph::Cell> inputs;
    for (const Graph::Cell input : op.inputs)
      if (fused || std::find(inputs.begin(), inputs.end(), input) == inputs.end())
        inputs.push_back(input);
    if (!takes(inputs.size() + outputs.size(), cell) ||
        !graph_.device_of(op).can_fold(attributes, metas_of(graph_, inputs), graph_.metas[cell]))
      return false;
    op.inputs = std::move(inputs);
    op.outputs = std::move(outputs);
    take_along(op, fold);
    producers_[fold.outputs[0]] = chain;
    complete_fused(graph_, std::move(attributes), op);
    return true;
  }
};

}  // namespace

void fuse_reductions(Graph& graph) { Reductions(graph).run(); }

}  // namespace troupe
