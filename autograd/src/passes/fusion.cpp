#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/fused.hpp>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace troupe {

namespace {

/// Which ops may share a segment, found in one walk.
///
/// An op's *stage* counts what lies before it that no segment can hold: along an edge between two
/// elementwise ops, or casts, it stays, along any other it grows; but what waits for nothing lies
/// on no path. Ops of one shape and one stage that edges connect are a group. A path that leaves a
/// group and comes back crosses no edge on which the stage grows, and then none on which the shape
/// does, for it never shrinks again: so no group waits for itself. Edges between devices are
/// transfers, which no segment can hold: so each group is of one device.
class Groups {
 public:
  explicit Groups(const Graph& graph)
      : graph_(graph), producers_(producers_of(graph)), parent_(graph.ops.size()) {
    std::vector<std::uint32_t> stage(graph.ops.size(), 0);
    fusible_.resize(graph.ops.size());
    for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
      parent_[o] = o;
      const Graph::Op& op = graph.ops[o];
      fusible_[o] = is_step(graph, op);
      const auto see = [&](Graph::Cell cell, bool reads) {
        const std::uint32_t before = producers_[cell];
        if (before == no_op || waits_for_nothing(graph.ops[before])) return;
        stage[o] =
            std::max(stage[o], stage[before] + (reads && fusible_[before] && fusible_[o] ? 0 : 1));
      };
      for (const Graph::Cell cell : op.inputs) see(cell, true);
      for (const Graph::Cell cell : op.after) see(cell, false);
      if (!fusible_[o]) continue;
      for (const Graph::Cell cell : op.inputs) {
        const std::uint32_t before = producers_[cell];
        if (before != no_op && alike(before, o) && stage[before] == stage[o]) join(before, o);
      }
    }
  }

  /// The groups of more than one op, each in order.
  [[nodiscard]] std::vector<std::vector<std::uint32_t>> all() {
    std::map<std::uint32_t, std::vector<std::uint32_t>> members;
    for (std::uint32_t o = 0; o < parent_.size(); ++o)
      if (fusible_[o]) members[root(o)].push_back(o);
    std::vector<std::vector<std::uint32_t>> groups;
    for (auto& [first, ops] : members)
      if (ops.size() > 1) groups.push_back(std::move(ops));
    return groups;
  }

 private:
  [[nodiscard]] bool alike(std::uint32_t a, std::uint32_t b) const noexcept {
    return fusible_[a] && fusible_[b] &&
           graph_.metas[graph_.ops[a].outputs[0]].shape ==
               graph_.metas[graph_.ops[b].outputs[0]].shape;
  }
  [[nodiscard]] std::uint32_t root(std::uint32_t o) noexcept {
    while (parent_[o] != o) o = parent_[o] = parent_[parent_[o]];
    return o;
  }
  void join(std::uint32_t a, std::uint32_t b) noexcept {
    a = root(a);
    b = root(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

  const Graph& graph_;
  std::vector<std::uint32_t> producers_;
  std::vector<bool> fusible_;
  std::vector<std::uint32_t> parent_;
};

/// Cuts a group into segments that the device takes: pieces of its order, so that none waits for a
/// later one.
class Cutter {
 public:
  Cutter(
      const Graph& graph, const std::vector<std::uint32_t>& readers, const std::vector<bool>& kept)
      : graph_(graph), kept_(kept), readers_(readers) {}

  /// The group's pieces as [first, end) in its order.
  [[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>> cut(
      const std::vector<std::uint32_t>& group) {
    const Graph::Op& any = graph_.ops[group[0]];
    const FusionLimits limits =
        graph_.device_of(any).fusion_limits(graph_.metas[any.outputs[0]].elements());
    std::unordered_map<Graph::Cell, std::uint32_t> inside;  // readers within the group
    for (const std::uint32_t o : group)
      for (const Graph::Cell cell : graph_.ops[o].inputs) ++inside[cell];
    std::vector<std::pair<std::size_t, std::size_t>> pieces;
    std::size_t first = 0;
    while (first < group.size()) {
      const std::size_t end = piece(group, first, limits, inside);
      pieces.emplace_back(first, end);
      first = end;
    }
    return pieces;
  }

 private:
  /// Where a piece that begins at `first` may end at best.
  [[nodiscard]] std::size_t piece(
      const std::vector<std::uint32_t>& group,
      std::size_t first,
      const FusionLimits& limits,
      const std::unordered_map<Graph::Cell, std::uint32_t>& inside) const {
    struct Made {
      std::uint32_t readers_left;  // in the whole graph
      std::uint32_t inside_left;   // in the group
    };
    std::unordered_map<Graph::Cell, Made> made;
    std::unordered_set<Graph::Cell> given;
    std::size_t inputs = 0;
    std::size_t open = 0;     // results that somebody outside, or later, reads
    std::size_t waiting = 0;  // those of them that only later ops of the group read
    std::size_t best = first + 1;
    for (std::size_t i = first; i < group.size() && i - first < limits.steps_max; ++i) {
      const Graph::Op& op = graph_.ops[group[i]];
      for (const Graph::Cell cell : op.inputs) {
        const auto found = made.find(cell);
        if (found == made.end()) {
          inputs += given.insert(cell).second ? 1 : 0;
          continue;
        }
        Made& one = found->second;
        --one.readers_left;
        const bool last_inside = --one.inside_left == 0;
        const bool outside = one.readers_left > 0 || kept_[cell];
        if (!last_inside) continue;
        if (!outside) --open;
        if (!escapes(cell, inside)) --waiting;
      }
      const Graph::Cell result = op.outputs[0];
      const auto found = inside.find(result);
      const std::uint32_t readers_inside = found == inside.end() ? 0 : found->second;
      made[result] = {readers_[result], readers_inside};
      const bool out = escapes(result, inside);
      if (readers_inside > 0 || out) ++open;
      if (readers_inside > 0 && !out) ++waiting;
      // Beyond these, no end further on can fit either.
      if (inputs + (open - waiting) > limits.operands_max || waiting > limits.values_max) break;
      if (inputs + open <= limits.operands_max) best = i + 1;
    }
    return best;
  }
  /// Whether something outside of the group reads the cell.
  [[nodiscard]] bool escapes(
      Graph::Cell cell, const std::unordered_map<Graph::Cell, std::uint32_t>& inside) const {
    const auto found = inside.find(cell);
    return kept_[cell] || readers_[cell] > (found == inside.end() ? 0 : found->second);
  }

  const Graph& graph_;
  const std::vector<bool>& kept_;
  const std::vector<std::uint32_t>& readers_;
};

/// One op of a piece of a group.
Graph::Op fused(
    const Graph& graph,
    std::span<const std::uint32_t> piece,
    const std::vector<std::uint32_t>& readers,
    const std::vector<bool>& kept) {
  Graph::Op op;
  Fused attributes;
  Chain chain(graph, piece);
  op.inputs = std::move(chain.inputs);
  attributes.segment = std::move(chain.segment);
  std::unordered_map<Graph::Cell, std::uint32_t> inside;
  for (const std::uint32_t o : piece)
    for (const Graph::Cell cell : graph.ops[o].inputs) ++inside[cell];
  for (const std::uint32_t o : piece) {
    const Graph::Op& member = graph.ops[o];
    const Graph::Cell result = member.outputs[0];
    if (kept[result] || readers[result] > inside[result]) {
      attributes.segment.outputs.push_back(chain.number[result]);
      op.outputs.push_back(result);
    }
    op.after.insert(op.after.end(), member.after.begin(), member.after.end());
    op.nodes.insert(op.nodes.end(), member.nodes.begin(), member.nodes.end());
  }
  complete_fused(graph, std::move(attributes), op);
  return op;
}

}  // namespace

void fuse_elementwise(Graph& graph) {
  Groups groups(graph);
  const std::vector<bool> kept = kept_cells(graph);
  const std::vector<std::uint32_t> readers = reader_counts(graph);
  Cutter cutter(graph, readers, kept);
  std::vector<bool> gone(graph.ops.size());
  std::vector<std::pair<std::uint32_t, Graph::Op>> made;  // each in the place of its last member
  for (const std::vector<std::uint32_t>& group : groups.all())
    for (const auto& [first, end] : cutter.cut(group)) {
      if (end - first < 2) continue;
      const std::span<const std::uint32_t> piece(group.data() + first, end - first);
      made.emplace_back(piece.back(), fused(graph, piece, readers, kept));
      for (const std::uint32_t o : piece) gone[o] = true;
    }
  for (auto& [place, op] : made) {
    graph.ops[place] = std::move(op);
    gone[place] = false;
  }
  erase_ops(graph, gone);
  sort_ops(graph);
}

}  // namespace troupe
