#include "pass.hpp"

#include <troupe/core/error.hpp>
#include <troupe/tensor/device.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <queue>
#include <unordered_set>
#include <utility>

namespace troupe {

namespace {

struct Known {
  std::string_view name;
  void (*run)(Graph& graph, std::uint64_t memory_bytes);
};

const Known& known(Pass pass) noexcept {
  // In the order of `Pass`.
  static constexpr std::array<Known, all_passes.size()> passes{{
      {"dead-code", [](Graph& graph, std::uint64_t) { remove_dead_code(graph); }},
      {"views", [](Graph& graph, std::uint64_t) { simplify_views(graph); }},
      {"constant-folding", [](Graph& graph, std::uint64_t) { fold_constants(graph); }},
      {"common-subexpressions",
       [](Graph& graph, std::uint64_t) { merge_common_subexpressions(graph); }},
      {"pooling", [](Graph& graph, std::uint64_t) { join_with_pooling(graph); }},
      {"layout", [](Graph& graph, std::uint64_t) { keep_channels_last(graph); }},
      {"updates", [](Graph& graph, std::uint64_t) { fuse_updates(graph); }},
      {"fusion", [](Graph& graph, std::uint64_t) { fuse_elementwise(graph); }},
      {"epilogues", [](Graph& graph, std::uint64_t) { add_epilogues(graph); }},
      {"reductions", [](Graph& graph, std::uint64_t) { fuse_reductions(graph); }},
      {"packing", [](Graph& graph, std::uint64_t) { pack_weights(graph); }},
      {"recomputation",
       [](Graph& graph, std::uint64_t memory_bytes) {
         if (memory_bytes > 0) recompute_within(graph, memory_bytes);
       }},
      {"memory-plan",
       [](Graph& graph, std::uint64_t) {
         // A device that records steps plans their memory while it does.
         if (graph.plan.device->reads_at_once()) plan_memory(graph);
       }},
  }};
  return passes[static_cast<std::size_t>(pass)];
}

}  // namespace

std::string_view name_of(Pass pass) noexcept { return known(pass).name; }

Pass pass_named(std::string_view name) {
  std::string known;
  for (const Pass pass : all_passes) {
    if (name_of(pass) == name) return pass;
    known += (known.empty() ? "" : ", ") + std::string(name_of(pass));
  }
  throw Error(ErrorCode::invalid_argument, "no pass is called '" + std::string(name) + "'")
      .hint("there are: " + known);
}

Passes Passes::parse(std::string_view text) {
  Passes passes = none();
  bool first = true;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    if (first && word == "all")
      passes = all();
    else if (!(first && word == "none"))
      passes = word.starts_with('-') ? passes.without(pass_named(word.substr(1)))
                                     : passes.with(pass_named(word));
    if (comma == std::string_view::npos) return passes;
    text.remove_prefix(comma + 1);
    first = false;
  }
}

std::string Passes::to_string() const {
  if (*this == all()) return "all";
  std::string text;
  for (const Pass pass : all_passes)
    if (contains(pass)) text += (text.empty() ? "" : ",") + std::string(name_of(pass));
  return text.empty() ? "none" : text;
}

void run_passes(Graph& graph, Passes passes, std::uint64_t memory_bytes) {
  for (const Pass pass : all_passes)
    if (passes.contains(pass)) known(pass).run(graph, memory_bytes);
}

std::vector<std::uint32_t> producers_of(const Graph& graph) {
  std::vector<std::uint32_t> producers(graph.metas.size(), no_op);
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o)
    for (const Graph::Cell cell : graph.ops[o].outputs) producers[cell] = o;
  return producers;
}

std::vector<std::uint32_t> reader_counts(const Graph& graph) {
  std::vector<std::uint32_t> readers(graph.metas.size(), 0);
  for (const Graph::Op& op : graph.ops)
    for (const Graph::Cell cell : op.inputs) ++readers[cell];
  return readers;
}

std::vector<bool> kept_cells(const Graph& graph) {
  std::vector<bool> kept(graph.metas.size());
  for (const Graph::Cell cell : graph.outputs) kept[cell] = true;
  for (const Graph::Held& held : graph.held)
    for (const Graph::Cell cell : held.results) kept[cell] = true;
  return kept;
}

Renaming::Renaming(const Graph& graph) : to_(graph.metas.size()) {
  for (Graph::Cell cell = 0; cell < to_.size(); ++cell) to_[cell] = cell;
}

void Renaming::apply_to(Graph::Op& op) const noexcept {
  for (Graph::Cell& cell : op.inputs) cell = to_[cell];
  for (Graph::Cell& cell : op.after) cell = to_[cell];
}

void Renaming::apply_to_results(Graph& graph) const noexcept {
  for (Graph::Cell& cell : graph.outputs) cell = to_[cell];
  for (Graph::Held& held : graph.held)
    for (Graph::Cell& cell : held.results) cell = to_[cell];
}

void erase_ops(Graph& graph, const std::vector<bool>& marked) {
  std::size_t kept = 0;
  for (std::size_t o = 0; o < graph.ops.size(); ++o) {
    if (marked[o]) continue;
    if (kept != o) graph.ops[kept] = std::move(graph.ops[o]);
    ++kept;
  }
  graph.ops.resize(kept);
}

void complete_fused(const Graph& graph, Fused attributes, Graph::Op& op) {
  attributes.executable = graph.device_of(op).compile(
      attributes, metas_of(graph, op.inputs), metas_of(graph, op.outputs));
  op.op = make_op(attributes);
}

bool waits_for_nothing(const Graph::Op& op) noexcept {
  return op.inputs.empty() && op.after.empty();
}

bool may_fold(const Graph::Op& op) {
  return op.info().family == OpFamily::structured && !op.info().random && !op.late &&
         op.inputs.size() == 1 && op.outputs.size() == 1;
}

bool is_step(const Graph& graph, const Graph::Op& op) {
  return op.info().arity > 0 && !op.late && graph.metas[op.outputs[0]].elements() > 0 &&
         graph.device_of(op).can_fuse(*op.op, graph.metas[op.inputs.back()].dtype);
}

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

Chain::Chain(const Graph& graph, std::span<const std::uint32_t> ops) {
  std::unordered_set<Graph::Cell> made;
  for (const std::uint32_t o : ops) made.insert(graph.ops[o].outputs[0]);
  for (const std::uint32_t o : ops)
    for (const Graph::Cell cell : graph.ops[o].inputs)
      if (!made.contains(cell) &&
          number.emplace(cell, static_cast<std::uint16_t>(inputs.size())).second)
        inputs.push_back(cell);
  segment.inputs = static_cast<std::uint16_t>(inputs.size());
  for (const std::uint32_t o : ops) {
    const Graph::Op& op = graph.ops[o];
    Segment::Step step;
    step.op = op.op;
    for (std::size_t i = 0; i < op.inputs.size(); ++i) step.from[i] = number[op.inputs[i]];
    number[op.outputs[0]] = static_cast<std::uint16_t>(segment.inputs + segment.steps.size());
    segment.steps.push_back(std::move(step));
  }
}

std::vector<Meta> metas_of(const Graph& graph, std::span<const Graph::Cell> cells) {
  std::vector<Meta> metas;
  for (const Graph::Cell cell : cells) metas.push_back(graph.metas[cell]);
  return metas;
}

OpJoiner::OpJoiner(Graph& graph)
    : graph_(graph),
      producers_(producers_of(graph)),
      kept_(kept_cells(graph)),
      readers_(reader_counts(graph)),
      gone_(graph.ops.size()) {}

bool OpJoiner::takes(std::size_t operands, Graph::Cell cell) const {
  return operands <=
         graph_.devices[cell]->fusion_limits(graph_.metas[cell].elements()).operands_max;
}

void OpJoiner::take_along(Graph::Op& op, const Graph::Op& other) {
  op.after.insert(op.after.end(), other.after.begin(), other.after.end());
  op.nodes.insert(op.nodes.end(), other.nodes.begin(), other.nodes.end());
}

void OpJoiner::finish() {
  erase_ops(graph_, gone_);
  sort_ops(graph_);
}

void sort_ops(Graph& graph) {
  const std::size_t count = graph.ops.size();
  const std::vector<std::uint32_t> producers = producers_of(graph);
  std::vector<std::uint32_t> awaited(count, 0);
  std::vector<std::vector<std::uint32_t>> readers(count);
  for (std::uint32_t o = 0; o < count; ++o) {
    const auto wait_for = [&](Graph::Cell cell) {
      if (producers[cell] == no_op) return;
      readers[producers[cell]].push_back(o);
      ++awaited[o];
    };
    for (const Graph::Cell cell : graph.ops[o].inputs) wait_for(cell);
    for (const Graph::Cell cell : graph.ops[o].after) wait_for(cell);
  }
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (std::uint32_t o = 0; o < count; ++o)
    if (awaited[o] == 0) ready.push(o);
  std::vector<Graph::Op> sorted;
  sorted.reserve(count);
  while (!ready.empty()) {
    const std::uint32_t o = ready.top();
    ready.pop();
    sorted.push_back(std::move(graph.ops[o]));
    for (const std::uint32_t reader : readers[o])
      if (--awaited[reader] == 0) ready.push(reader);
  }
  if (sorted.size() != count)
    throw Error(ErrorCode::internal, "a pass made ops that wait for each other");
  graph.ops = std::move(sorted);
}

}  // namespace troupe
