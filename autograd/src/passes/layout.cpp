#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/pooled.hpp>

#include <algorithm>
#include <utility>

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
class ChannelsLast {
 public:
  explicit ChannelsLast(const Graph& graph)
      : graph_(graph), kept_(kept_cells(graph)), last_(graph.metas.size()) {
    const std::vector<std::uint32_t> readers = reader_counts(graph);
    for (const Graph::Op& op : graph.ops) {
      const Graph::Cell made = op.outputs[0];
      last_[made] = !op.late && !kept_[made] && readers[made] > 0 &&
                    graph.metas[made].shape.size() == 4 && can_make(op);
    }
    // An op that cannot keep to it takes the cells that it reads along, and what was made of those.
    for (bool changes = true; changes;) {
      changes = false;
      for (const Graph::Op& op : graph.ops) {
        if (last_[op.outputs[0]] && !can_make(op)) {
          last_[op.outputs[0]] = false;
          changes = true;
        }
        for (std::size_t i = 0; i < op.inputs.size(); ++i)
          if (last_[op.inputs[i]] && !can_read(op, i)) {
            last_[op.inputs[i]] = false;
            changes = true;
          }
      }
    }
  }

  [[nodiscard]] bool operator[](Graph::Cell cell) const { return last_[cell]; }

 private:
  [[nodiscard]] bool can_make(const Graph::Op& op) const {
    if (convolution_in(*op.op))
      return graph_.device_of(op).prefers_channels_last(
          *op.op, metas_of(graph_, op.inputs), graph_.metas[op.outputs[0]]);
    if (!is_step(graph_, op)) return false;
    bool any = false;
    for (const Graph::Cell cell : op.inputs) {
      if (!last_[cell] && graph_.metas[cell].elements() != 1) return false;
      any = any || last_[cell];
    }
    return any;
  }
  [[nodiscard]] bool can_read(const Graph::Op& op, std::size_t slot) const {
    if (op.late) return false;
    if (takes_images(op, slot)) return graph_.devices[op.inputs[slot]] == &graph_.device_of(op);
    return is_step(graph_, op) && last_[op.outputs[0]];
  }

  const Graph& graph_;
  std::vector<bool> kept_;
  std::vector<bool> last_;
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
  std::vector<std::pair<Graph::Cell, Graph::Cell>> views;  // each with what it is of
  const auto view_of = [&](Graph::Cell cell) {
    const auto found = std::find_if(
        views.begin(), views.end(), [&](const auto& view) { return view.second == cell; });
    return found == views.end() ? cell : found->first;
  };
  for (Graph::Op& op : graph.ops) {
    for (std::size_t i = 0; i < op.inputs.size(); ++i)
      if (last[op.inputs[i]] && takes_images(op, i)) op.inputs[i] = view_of(op.inputs[i]);
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
    views.emplace_back(view.outputs[0], made);
    ops.push_back(std::move(op));
    ops.push_back(std::move(view));
  }
  graph.ops = std::move(ops);
  remove_dead_code(graph);
}

}  // namespace troupe
