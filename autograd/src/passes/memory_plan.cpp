#include "lifetimes.hpp"
#include "pass.hpp"

#include <algorithm>
#include <iterator>
#include <map>

namespace troupe {

namespace {

/// A stretch of memory as the plan grows: who was in it last, and which parts are free.
class Stretch {
 public:
  /// A place for so many bytes: the smallest free one that is large enough, else at the end.
  [[nodiscard]] std::uint64_t take(std::uint64_t bytes) {
    const auto best = by_size_.lower_bound(bytes);
    if (best != by_size_.end()) {
      const std::uint64_t offset = best->second;
      const std::uint64_t size = best->first;
      erase(offset, size);
      if (size > bytes) insert(offset + bytes, size - bytes);
      return offset;
    }
    // What is free at the end is a beginning.
    std::uint64_t offset = end_;
    if (!free_.empty()) {
      const auto last = std::prev(free_.end());
      if (last->first + last->second == end_) {
        offset = last->first;
        erase(last->first, last->second);
      }
    }
    end_ = offset + bytes;
    return offset;
  }
  void give_back(std::uint64_t offset, std::uint64_t bytes) {
    const auto after = free_.lower_bound(offset);
    if (after != free_.end() && after->first == offset + bytes) {
      const std::uint64_t more = after->second;
      erase(after->first, more);
      bytes += more;
    }
    const auto next = free_.lower_bound(offset);
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        const std::uint64_t begin = before->first;
        const std::uint64_t more = before->second;
        erase(begin, more);
        offset = begin;
        bytes += more;
      }
    }
    insert(offset, bytes);
  }
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }

  /// Puts a cell there, and tells which were there before.
  template <class Before>
  void occupy(std::uint64_t offset, std::uint64_t bytes, Graph::Cell cell, Before before) {
    const std::uint64_t end = offset + bytes;
    auto at = occupied_.lower_bound(offset);
    if (at != occupied_.begin()) {
      const auto left = std::prev(at);
      if (left->second.end > offset) {
        before(left->second.cell);
        if (left->second.end > end) occupied_.emplace(end, left->second);
        left->second.end = offset;
      }
    }
    while (at != occupied_.end() && at->first < end) {
      before(at->second.cell);
      const Occupied rest = at->second;
      at = occupied_.erase(at);
      if (rest.end > end) occupied_.emplace(end, rest);
    }
    occupied_[offset] = {end, cell};
  }

 private:
  struct Occupied {
    std::uint64_t end;
    Graph::Cell cell;
  };
  void insert(std::uint64_t offset, std::uint64_t bytes) {
    free_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }
  void erase(std::uint64_t offset, std::uint64_t bytes) {
    free_.erase(offset);
    auto [at, end] = by_size_.equal_range(bytes);
    at = std::find_if(at, end, [&](const auto& one) { return one.second == offset; });
    by_size_.erase(at);
  }

  std::map<std::uint64_t, std::uint64_t> free_;  // offset → bytes
  std::multimap<std::uint64_t, std::uint64_t> by_size_;
  std::map<std::uint64_t, Occupied> occupied_;  // by where it begins
  std::uint64_t end_ = 0;
};

}  // namespace

// Ops run when what they read is there, in no fixed order, and two may share memory only one after
// the other: an op that writes where another cell was waits for those that read that one.
void plan_memory(Graph& graph) {
  const Lifetimes lifetimes(graph);
  std::vector<std::vector<std::uint32_t>> readers(graph.metas.size());  // of cells and their views
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o)
    for (const Graph::Cell cell : graph.ops[o].inputs) {
      const Graph::Cell base = lifetimes.base_of(cell);
      if (readers[base].empty() || readers[base].back() != o) readers[base].push_back(o);
    }
  const std::vector<std::uint32_t> producers = producers_of(graph);
  graph.plan.offsets.assign(graph.metas.size(), MemoryPlan::none);
  Stretch stretch;
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
    Graph::Op& op = graph.ops[o];
    for (const Graph::Cell cell : op.outputs) {
      if (!lifetimes.is_planned(cell)) continue;
      const std::uint64_t bytes = Lifetimes::bytes_of(graph.metas[cell]);
      const std::uint64_t offset = stretch.take(bytes);
      graph.plan.offsets[cell] = offset;
      stretch.occupy(offset, bytes, cell, [&](Graph::Cell before) {
        if (readers[before].empty() && producers[before] != o) {
          op.after.push_back(before);
          return;
        }
        for (const std::uint32_t reader : readers[before])
          if (reader != o) op.after.push_back(graph.ops[reader].outputs[0]);
      });
    }
    std::sort(op.after.begin(), op.after.end());
    op.after.erase(std::unique(op.after.begin(), op.after.end()), op.after.end());
    for (const Graph::Cell cell : lifetimes.ending()[o])
      stretch.give_back(graph.plan.offsets[cell], Lifetimes::bytes_of(graph.metas[cell]));
  }
  graph.plan.bytes = stretch.end();
}

}  // namespace troupe
