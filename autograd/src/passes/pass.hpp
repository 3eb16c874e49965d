#pragma once

#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/passes.hpp>
#include <troupe/tensor/fused.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <unordered_map>
#include <vector>

namespace troupe {

void remove_dead_code(Graph& graph);
void simplify_views(Graph& graph);
void fold_constants(Graph& graph);
void merge_common_subexpressions(Graph& graph);
void join_with_pooling(Graph& graph);
/// What lies between a cast from bfloat16 and one back, and computes nothing, stays bfloat16.
void narrow_between_casts(Graph& graph);
void keep_channels_last(Graph& graph);
void fuse_updates(Graph& graph);
void fuse_elementwise(Graph& graph);
void add_epilogues(Graph& graph);
void fuse_reductions(Graph& graph);
void pack_weights(Graph& graph);
/// Throws `out_of_memory`, naming the largest holders, where no plan fits.
void recompute_within(Graph& graph, std::uint64_t budget);
void plan_memory(Graph& graph);

// --- what passes share ---------------------------------------------------------------------------

inline constexpr std::uint32_t no_op = std::numeric_limits<std::uint32_t>::max();

/// For each cell the op that makes it, or `no_op`.
[[nodiscard]] std::vector<std::uint32_t> producers_of(const Graph& graph);
/// For each cell how often ops read it.
[[nodiscard]] std::vector<std::uint32_t> reader_counts(const Graph& graph);
/// For each cell whether the program hands it out, or gives it back to a parameter.
[[nodiscard]] std::vector<bool> kept_cells(const Graph& graph);

/// Cells that are to be read as others.
class Renaming {
 public:
  explicit Renaming(const Graph& graph);
  void rename(Graph::Cell from, Graph::Cell to) noexcept { to_[from] = to_[to]; }
  [[nodiscard]] Graph::Cell of(Graph::Cell cell) const noexcept { return to_[cell]; }
  /// An op's inputs; to be called in the order of the ops.
  void apply_to(Graph::Op& op) const noexcept;
  /// What the program hands out and gives back.
  void apply_to_results(Graph& graph) const noexcept;

 private:
  std::vector<Graph::Cell> to_;
};

/// Takes out the ops that are marked.
void erase_ops(Graph& graph, const std::vector<bool>& marked);

[[nodiscard]] std::vector<Meta> metas_of(const Graph& graph, std::span<const Graph::Cell> cells);
/// Whether an op reads nothing, as one that draws random numbers: it may run before all others.
[[nodiscard]] bool waits_for_nothing(const Graph::Op& op) noexcept;
/// Whether an op might be a fold: one tensor in, one out. Which are, the device knows.
[[nodiscard]] bool may_fold(const Graph::Op& op);
/// Whether an op can be a step of a segment on its device.
[[nodiscard]] bool is_step(const Graph& graph, const Graph::Op& op);
/// A segment's op as that segment; an elementwise op as the segment of one step that it is, which
/// reads each cell once.
[[nodiscard]] Segment segment_of(const Graph::Op& op);
/// Elementwise ops, in order, as a segment that stores nothing yet.
struct Chain {
  Chain(const Graph& graph, std::span<const std::uint32_t> ops);

  Segment segment;
  std::vector<Graph::Cell> inputs;
  std::unordered_map<Graph::Cell, std::uint16_t> number;  ///< of inputs and results, in the segment
};
/// Makes the op, whose inputs and outputs are there, one that launches `attributes`, compiled for
/// its device.
void complete_fused(const Graph& graph, Fused attributes, Graph::Op& op);

/// What passes share that join ops into larger ones.
class OpJoiner {
 protected:
  explicit OpJoiner(Graph& graph);

  /// Whether the device of `cell` takes an op of so many operands over elements as it has.
  [[nodiscard]] bool takes(std::size_t operands, Graph::Cell cell) const;
  /// What another op waits for, and its name, go with `op`.
  static void take_along(Graph::Op& op, const Graph::Op& other);
  /// Takes out the ops that went into others.
  void finish();

  Graph& graph_;
  std::vector<std::uint32_t> producers_;
  std::vector<bool> kept_;
  std::vector<std::uint32_t> readers_;
  std::vector<bool> gone_;  ///< by op
};

/// Puts the ops in an order in which each comes after what it reads, near the order in which they
/// stand: of those that may come next, the one that stands first.
void sort_ops(Graph& graph);

}  // namespace troupe
