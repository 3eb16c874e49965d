#include "pass.hpp"

#include <troupe/tensor/device.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <functional>
#include <map>
#include <unordered_map>

namespace troupe {

namespace {

/// Constants up to this size are compared by what is in them: the numbers that people write into
/// formulas.
constexpr std::size_t compared_bytes_max = 64;

/// Constants of equal elements become one.
void merge_constants(const Graph& graph, Renaming& renaming) {
  std::map<std::vector<std::byte>, std::vector<Graph::Cell>> known;
  for (const auto& [cell, value] : graph.constants) {
    const Meta& meta = graph.metas[cell];
    if (meta.bytes() > compared_bytes_max || !graph.devices[cell]->reads_at_once()) continue;
    std::vector<std::byte> bytes(meta.bytes());
    value->device().download(value, bytes);
    std::vector<Graph::Cell>& alike = known[std::move(bytes)];
    const auto same = std::find_if(alike.begin(), alike.end(), [&](Graph::Cell other) {
      return graph.metas[other] == meta && graph.devices[other] == graph.devices[cell];
    });
    if (same == alike.end())
      alike.push_back(cell);
    else
      renaming.rename(cell, *same);
  }
}

/// FNV-1a by words, over what an op shows of its attributes too: a thousand slices of one tensor
/// must not have to be compared with each other.
class Hash final : public FieldVisitor {
 public:
  void mix(std::uint64_t x) noexcept { hash_ = (hash_ ^ x) * 0x100000001b3; }
  [[nodiscard]] std::uint64_t value() const noexcept { return hash_; }

  void field(std::string_view, bool& value) override { mix(value); }
  void field(std::string_view, std::int64_t& value) override {
    mix(static_cast<std::uint64_t>(value));
  }
  void field(std::string_view, std::uint64_t& value) override { mix(value); }
  void field(std::string_view, double& value) override { mix(std::bit_cast<std::uint64_t>(value)); }
  void field(std::string_view, std::string& value) override {
    mix(std::hash<std::string>()(value));
  }
  void field(std::string_view, Ref<ActorCell>&) override {}
  void field(std::string_view, Bytes&) override {}
  void list_length(std::string_view, std::uint64_t& length) override { mix(length); }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

std::uint64_t hash_of(const Graph::Op& op) {
  Hash hash;
  hash.mix(static_cast<std::uint64_t>(op.info().id));
  for (const Graph::Cell cell : op.inputs) hash.mix(cell);
  // The visitor only reads.
  op.info().visit(const_cast<void*>(op.op->attributes()), hash);
  return hash.value();
}

bool computes_the_same(const Graph& graph, const Graph::Op& a, const Graph::Op& b) {
  if (a.inputs != b.inputs || a.outputs.size() != b.outputs.size() ||
      &graph.device_of(a) != &graph.device_of(b))
    return false;
  for (std::size_t k = 0; k < a.outputs.size(); ++k)
    if (graph.metas[a.outputs[k]] != graph.metas[b.outputs[k]]) return false;
  return equal(*a.op, *b.op);
}

}  // namespace

void merge_common_subexpressions(Graph& graph) {
  Renaming renaming(graph);
  merge_constants(graph, renaming);
  std::unordered_multimap<std::uint64_t, std::uint32_t> known;
  std::vector<bool> merged(graph.ops.size());
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
    Graph::Op& op = graph.ops[o];
    renaming.apply_to(op);
    if (op.late || op.info().random) continue;
    const std::uint64_t hash = hash_of(op);
    const auto [begin, end] = known.equal_range(hash);
    const auto same = std::find_if(begin, end, [&](const auto& other) {
      return computes_the_same(graph, graph.ops[other.second], op);
    });
    if (same == end) {
      known.emplace(hash, o);
      continue;
    }
    for (std::size_t k = 0; k < op.outputs.size(); ++k)
      renaming.rename(op.outputs[k], graph.ops[same->second].outputs[k]);
    merged[o] = true;
  }
  renaming.apply_to_results(graph);
  erase_ops(graph, merged);
}

}  // namespace troupe
