#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/packed.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace troupe {

namespace {

/// For each cell what it is a view of, if that lasts from step to step: a constant, or the value of
/// a parameter that the program only reads.
std::vector<std::optional<Graph::Cell>> lasting_sources(const Graph& graph) {
  std::vector<std::optional<Graph::Cell>> sources(graph.metas.size());
  for (const auto& [cell, value] : graph.constants) sources[cell] = cell;
  for (const Graph::Held& held : graph.held)
    if (held.only_read()) sources[held.first_cell] = held.first_cell;
  for (const Graph::Op& op : graph.ops)
    if (op.info().family == OpFamily::view) sources[op.outputs[0]] = sources[op.inputs[0]];
  return sources;
}

/// Products that read the same weights in the same layout.
struct Sharing {
  Pack pack;
  std::size_t bytes;
  std::vector<std::uint32_t> ops;
};

}  // namespace

// A launch packs its weights by itself. What is won by packing them before is that it is done once
// for several, or for several steps; where neither is so, the graph stays as it is.
void pack_weights(Graph& graph) {
  std::vector<std::vector<Sharing>> by_weights(graph.metas.size());
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
    const Graph::Op& op = graph.ops[o];
    const ProductIn in = product_in(*op.op, op.inputs.size());
    if (op.late || !in.product || in.operands < 2) continue;
    const std::vector<Meta> operands = metas_of(graph, std::span(op.inputs).first(in.operands));
    Metas results;
    in.product->info().infer(in.product->attributes(), operands, results);
    const std::size_t bytes = graph.device_of(op).packed_bytes(*in.product, operands, results[0]);
    if (bytes == 0) continue;
    Pack pack{OpRef::share(const_cast<OpInstance*>(in.product)), operands, results[0]};
    std::vector<Sharing>& known = by_weights[op.inputs[1]];
    const auto same = std::find_if(
        known.begin(), known.end(), [&](const Sharing& one) { return one.pack == pack; });
    if (same != known.end())
      same->ops.push_back(o);
    else
      known.push_back({std::move(pack), bytes, {o}});
  }

  const std::vector<std::optional<Graph::Cell>> sources = lasting_sources(graph);
  std::vector<std::pair<std::uint32_t, Graph::Op>> packs;  // each with the op that it goes before
  for (Graph::Cell weights = 0; weights < by_weights.size(); ++weights)
    for (const Sharing& sharing : by_weights[weights]) {
      if (!sources[weights] && sharing.ops.size() < 2) continue;
      const auto bytes = static_cast<std::int64_t>(sharing.bytes);
      const Graph::Cell packed = graph.add_cell({DType::uint8, {bytes}}, *graph.devices[weights]);
      Graph::Op pack;
      pack.op = make_op(sharing.pack);
      pack.inputs = {weights};
      pack.outputs = {packed};
      pack.nodes = {graph.ops[sharing.ops.front()].nodes.front()};
      pack.nodes.front().op = Pack::name;
      packs.emplace_back(sharing.ops.front(), std::move(pack));
      if (sources[weights]) graph.kept.push_back({packed, *sources[weights]});
      for (const std::uint32_t o : sharing.ops) {
        Graph::Op& op = graph.ops[o];
        op.op = make_op(Packed{op.op});
        op.inputs.push_back(packed);
      }
    }
  std::sort(
      packs.begin(), packs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });

  std::vector<Graph::Op> ops;
  ops.reserve(graph.ops.size() + packs.size());
  auto next = packs.begin();
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
    for (; next != packs.end() && next->first == o; ++next) ops.push_back(std::move(next->second));
    ops.push_back(std::move(graph.ops[o]));
  }
  graph.ops = std::move(ops);
}

}  // namespace troupe
