#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/pooled.hpp>

#include <numeric>
#include <utility>
#include <vector>

namespace troupe {

namespace {

template <class Op>
const Op& as(const OpInstance& op) {
  return *static_cast<const Op*>(op.attributes());
}

/// The convolution that an op is or pools; null for other ops.
const OpInstance* convolution_in(const OpInstance& op) {
  const OpInstance& product = op.info().id == Pooled::id ? *as<Pooled>(op).product : op;
  const OpId id = product.info().id;
  return id == Conv2d::id || id == Conv2dBackwardInput::id ? &product : nullptr;
}

/// Whether an op takes its input `slot` as images of a convolution: in any layout.
bool takes_images(const Graph::Op& op, std::size_t slot) {
  if (op.info().id == Conv2dBackwardWeight::id) return slot < 2;
  return slot == 0 && convolution_in(*op.op);
}

/// Which cells are to lie with channels last: what convolutions make that prefer to, if all that
/// reads it are convolutions, or elementwise ops of which the same holds.
///
/// Cells that elementwise ops connect lie alike, so they are put into sets, and a set lies so if
/// nothing speaks against any of its cells.
class ChannelsLast {
 public:
  explicit ChannelsLast(const Graph& graph)
      : graph_(graph), sets_(graph.metas.size()), planes_(kept_cells(graph)) {
    std::iota(sets_.begin(), sets_.end(), Graph::Cell{0});
    std::vector<bool> made(graph.metas.size());
    for (const Graph::Op& op : graph.ops) {
      for (const Graph::Cell cell : op.outputs) made[cell] = true;
      if (is_step(graph, op) && !op.late)
        see_step(op);
      else
        see_other(op);
    }
    const std::vector<std::uint32_t> readers = reader_counts(graph);
    for (Graph::Cell cell = 0; cell < sets_.size(); ++cell)
      if (planes_[cell] || !made[cell] || readers[cell] == 0 || graph.metas[cell].shape.size() != 4)
        planes_[set_of(cell)] = true;
  }

  [[nodiscard]] bool operator[](Graph::Cell cell) const { return !planes_[set_of(cell)]; }

 private:
  /// An elementwise op lies as what it reads; one element lies in any way.
  void see_step(const Graph::Op& op) {
    const Graph::Cell made = op.outputs[0];
    bool any = false;
    for (const Graph::Cell cell : op.inputs) {
      if (graph_.metas[cell].elements() == 1) {
        planes_[cell] = true;
        continue;
      }
      sets_[set_of(cell)] = set_of(made);
      any = true;
    }
    if (!any) planes_[made] = true;
  }
  void see_other(const Graph::Op& op) {
    for (std::size_t i = 0; i < op.inputs.size(); ++i)
      if (op.late || !takes_images(op, i) || graph_.devices[op.inputs[i]] != &graph_.device_of(op))
        planes_[op.inputs[i]] = true;
    const Graph::Cell made = op.outputs[0];
    if (op.late || !convolution_in(*op.op) ||
        !graph_.device_of(op).prefers_channels_last(
            *op.op, metas_of(graph_, op.inputs), graph_.metas[made]))
      planes_[made] = true;
    for (std::size_t i = 1; i < op.outputs.size(); ++i) planes_[op.outputs[i]] = true;
  }
  [[nodiscard]] Graph::Cell set_of(Graph::Cell cell) const {
    while (sets_[cell] != cell) cell = sets_[cell] = sets_[sets_[cell]];
    return cell;
  }

  const Graph& graph_;
  mutable std::vector<Graph::Cell> sets_;  ///< of each cell another of its set, or itself
  std::vector<bool> planes_;               ///< of a set's own cell in the end: whether it may not
};

/// The op, made to give its result with channels last.
OpRef turned(const Graph::Op& op) {
  if (op.info().id == Conv2d::id) {
    Conv2d conv = as<Conv2d>(*op.op);
    conv.channels_last = true;
    return make_op(conv);
  }
  if (op.info().id == Conv2dBackwardInput::id) {
    Conv2dBackwardInput conv = as<Conv2dBackwardInput>(*op.op);
    conv.channels_last = true;
    return make_op(conv);
  }
  const auto& pooled = as<Pooled>(*op.op);
  Conv2d conv = as<Conv2d>(*pooled.product);
  conv.channels_last = true;
  if (pooled.pooling->info().id == MaxPool2d::id) {
    MaxPool2d pooling = as<MaxPool2d>(*pooled.pooling);
    pooling.channels_last = true;
    return make_op(Pooled{make_op(conv), make_op(pooling)});
  }
  MaxPool2dValues pooling = as<MaxPool2dValues>(*pooled.pooling);
  pooling.channels_last = true;
  return make_op(Pooled{make_op(conv), make_op(pooling)});
}

}  // namespace

// What is laid out so has another shape, and convolutions read a view of it that has the first one:
// nobody else need know.
void keep_channels_last(Graph& graph) {
  const ChannelsLast last(graph);
  std::vector<Graph::Op> ops;
  ops.reserve(graph.ops.size());
  std::vector<Graph::Cell> views(graph.metas.size());  // of what was turned
  for (Graph::Op& op : graph.ops) {
    for (std::size_t i = 0; i < op.inputs.size(); ++i)
      if (last[op.inputs[i]] && takes_images(op, i)) op.inputs[i] = views[op.inputs[i]];
    const Graph::Cell made = op.outputs[0];
    if (!last[made]) {
      ops.push_back(std::move(op));
      continue;
    }
    if (convolution_in(*op.op)) op.op = turned(op);
    const Meta planes = graph.metas[made];
    const Shape& shape = planes.shape;
    graph.metas[made].shape = Shape{shape[0], shape[2], shape[3], shape[1]};
    Graph::Op view;
    view.op = make_op(Permute{{}, Dims{0, 3, 1, 2}});
    view.inputs = {made};
    view.outputs = {graph.add_cell(planes, *graph.devices[made])};
    view.nodes = {op.nodes.back()};
    view.nodes.front().op = Permute::name;
    views[made] = view.outputs[0];
    ops.push_back(std::move(op));
    ops.push_back(std::move(view));
  }
  graph.ops = std::move(ops);
  remove_dead_code(graph);
}

}  // namespace troupe
