#include "lifetimes.hpp"
#include "pass.hpp"

#include <troupe/core/error.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <unordered_map>
#include <utility>

namespace troupe {

namespace {

std::string readable(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1024 * 1024));
  return text;
}

/// A graph that keeps less at its peak. The ops before it are cut into stretches; of the cells that
/// wait there for an op behind it, those stay that a later stretch reads. The others are let go of,
/// and computed again, from what stayed, where the first op behind the peak reads them: one stretch
/// after another, as the way back comes to it.
class Again {
 public:
  Again(const Graph& graph, const Lifetimes& lifetimes)
      : graph_(graph), lifetimes_(lifetimes), peak_(lifetimes.peak().op) {
    const std::vector<std::uint32_t> producers = producers_of(graph);
    for (const Graph::Cell cell : lifetimes.alive_at(peak_)) {
      const std::uint32_t producer = producers[cell];
      if (producer < peak_ && lifetimes.last_use(cell) > peak_ &&
          may_be_repeated(graph.ops[producer]))
        waiting_.push_back(cell);
    }
    producers_ = producers;
    last_before_.assign(graph.metas.size(), 0);
    for (std::uint32_t o = 0; o <= peak_; ++o)
      for (const Graph::Cell cell : graph.ops[o].inputs) last_before_[lifetimes.base_of(cell)] = o;
  }

  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

  /// With stretches that make so many of the cells that wait.
  [[nodiscard]] Graph in_stretches_of(std::size_t count) {
    Graph result = graph_;
    result.ops.clear();
    std::vector<bool> let_go(graph_.metas.size());
    std::vector<std::uint32_t> last_of(peak_, peak_);  // for each op, the last of its stretch
    std::uint32_t first = 0;
    for (std::size_t begin = 0; begin < waiting_.size();) {
      const std::uint32_t last = producers_[waiting_[std::min(begin + count, waiting_.size()) - 1]];
      // All that one op makes is made in one stretch.
      for (; begin < waiting_.size() && producers_[waiting_[begin]] <= last; ++begin)
        let_go[waiting_[begin]] = last_before_[waiting_[begin]] <= last;
      for (; first <= last; ++first) last_of[first] = last;
    }
    // What has ended by the peak is not kept for the sake of what is made from it either, unless a
    // later stretch would then have to make this one again for it.
    for (std::uint32_t o = 0; o < peak_; ++o) {
      const Graph::Op& op = graph_.ops[o];
      const bool from_kept =
          std::none_of(op.inputs.begin(), op.inputs.end(), [&](Graph::Cell input) {
            return let_go[lifetimes_.base_of(input)];
          });
      for (const Graph::Cell cell : op.outputs)
        if (lifetimes_.is_planned(cell) && lifetimes_.last_use(cell) <= peak_)
          let_go[cell] = may_be_repeated(op) && (from_kept || last_before_[cell] <= last_of[o]);
    }
    std::unordered_map<Graph::Cell, Graph::Cell> again;
    for (std::uint32_t o = 0; o < graph_.ops.size(); ++o) {
      Graph::Op op = graph_.ops[o];
      if (o > peak_)
        for (Graph::Cell& cell : op.inputs) cell = computed_again(cell, let_go, again, result);
      result.ops.push_back(std::move(op));
    }
    return result;
  }

 private:
  [[nodiscard]] static bool may_be_repeated(const Graph::Op& op) noexcept {
    // A random call keeps its number, so it draws the same again.
    return !op.late && op.info().family != OpFamily::transfer &&
           op.info().family != OpFamily::exchange && op.info().id < first_user_op;
  }

  /// The cell to read instead, behind the peak; ops that make it are added. What was let go of, and
  /// views of it, are made from what was kept: no deeper than there are cells let go of in a row.
  [[nodiscard]] Graph::Cell computed_again(
      Graph::Cell cell,
      const std::vector<bool>& let_go,
      std::unordered_map<Graph::Cell, Graph::Cell>& again,
      Graph& result) const {
    std::vector<Graph::Cell> stack{cell};
    while (!stack.empty()) {
      const Graph::Cell top = stack.back();
      const std::uint32_t producer = producers_[top];
      if (again.contains(top) || producer == no_op || producer > peak_ ||
          !let_go[lifetimes_.base_of(top)]) {
        stack.pop_back();
        continue;
      }
      const Graph::Op& op = graph_.ops[producer];
      const std::size_t before = stack.size();
      for (const Graph::Cell input : op.inputs)
        if (let_go[lifetimes_.base_of(input)] && !again.contains(input)) stack.push_back(input);
      if (stack.size() > before) continue;
      stack.pop_back();
      Graph::Op copy = op;
      for (Graph::Cell& input : copy.inputs)
        if (const auto found = again.find(input); found != again.end()) input = found->second;
      for (Graph::Cell& output : copy.outputs) {
        const Graph::Cell made = result.add_cell(graph_.metas[output], *graph_.devices[output]);
        again.emplace(output, made);
        output = made;
      }
      result.ops.push_back(std::move(copy));
    }
    const auto found = again.find(cell);
    return found == again.end() ? cell : found->second;
  }

  const Graph& graph_;
  const Lifetimes& lifetimes_;
  std::uint32_t peak_;
  std::vector<std::uint32_t> producers_;
  std::vector<Graph::Cell> waiting_;        // in the order in which they are made
  std::vector<std::uint32_t> last_before_;  // for each cell, the last op up to the peak to read it
};

/// With the gaps that a plan leaves.
std::uint64_t bytes_needed(Graph graph) {
  plan_memory(graph);
  return graph.plan.bytes;
}

[[noreturn]] void throw_too_small(const Graph& graph, std::uint64_t budget) {
  const Lifetimes lifetimes(graph);
  const Lifetimes::Peak peak = lifetimes.peak();
  std::vector<Graph::Cell> holders = lifetimes.alive_at(peak.op);
  std::sort(holders.begin(), holders.end(), [&](Graph::Cell a, Graph::Cell b) {
    return graph.metas[a].bytes() > graph.metas[b].bytes();
  });
  const std::vector<std::uint32_t> producers = producers_of(graph);
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(holders.size(), 5); ++i)
    text += (i ? ", " : "") + name_of(graph.ops[producers[holders[i]]]) + " " +
            to_string(graph.metas[holders[i]]) + " (" + readable(graph.metas[holders[i]].bytes()) +
            ")";
  const Graph::Node& node = graph.ops[peak.op].nodes.front();
  throw Error(
      ErrorCode::out_of_memory,
      "a step needs " + readable(bytes_needed(graph)) + " at least, more than the " +
          readable(budget) + " it may take; the most while this op runs, held by " + text)
      .op(node.op)
      .at(node.where.file, node.where.line)
      .hint("raise ProgramOptions::memory_bytes, or make the batch smaller");
}

}  // namespace

void recompute_within(Graph& graph, std::uint64_t budget) {
  // Each round cuts the peak there is, and there may be another one behind it.
  constexpr int rounds_max = 8;
  for (int round = 0; round < rounds_max; ++round) {
    std::uint64_t best_bytes = bytes_needed(graph);
    if (best_bytes <= budget) return;
    const Lifetimes lifetimes(graph);
    Again again(graph, lifetimes);
    std::optional<Graph> best;
    // Short stretches keep much, long ones make much alive again at once.
    for (std::size_t count = 2; count <= 2 * again.waiting(); count += count / 2) {
      Graph candidate = again.in_stretches_of(count);
      const std::uint64_t bytes = bytes_needed(candidate);
      if (bytes >= best_bytes) continue;
      best = std::move(candidate);
      best_bytes = bytes;
      if (bytes <= budget) break;
    }
    if (!best) break;
    graph = *std::move(best);
    remove_dead_code(graph);
  }
  if (bytes_needed(graph) > budget) throw_too_small(graph, budget);
}

}  // namespace troupe
