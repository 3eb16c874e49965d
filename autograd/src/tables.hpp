#pragma once

#include <troupe/autograd/graph.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

/// A graph as dense tables: ops in order, and for each cell the ops that wait for it. What messages
/// say in a live graph, countdowns over these tables say in a program.
class Tables {
 public:
  using Cell = Graph::Cell;
  using Held = Graph::Held;

  static constexpr std::uint32_t not_kept = ~std::uint32_t{0};
  struct Op {
    OpRef op;
    Device* device;                            // that runs it
    std::uint32_t first_input, input_count;    // in `operands`
    std::uint32_t first_output, output_count;  // in `results` and `result_metas`
    std::uint64_t random;                      // as `Graph::Op::random`
    std::uint32_t kept = not_kept;             // number of its output among those that are kept
    bool late;
    bool first = false;  // to be launched before others that are ready
    Graph::Node node;    // the first of those that it computes
  };
  struct Range {
    std::uint32_t first = 0, count = 0;
  };

  explicit Tables(Graph graph);

  [[nodiscard]] std::span<const Cell> inputs_of(const Op& op) const noexcept {
    return {operands.data() + op.first_input, op.input_count};
  }
  [[nodiscard]] std::span<const Cell> outputs_of(const Op& op) const noexcept {
    return {results.data() + op.first_output, op.output_count};
  }
  [[nodiscard]] std::span<const Meta> metas_of(const Op& op) const noexcept {
    return {result_metas.data() + op.first_output, op.output_count};
  }

  const Graph graph;  // where metas, constants, inputs, outputs and the like are looked up
  std::vector<Op> ops;
  std::vector<Cell> operands;            // the inputs of all ops, one after another
  std::vector<Cell> results;             // the outputs of all ops, likewise
  std::vector<Meta> result_metas;        // of those
  std::vector<Range> consumers;          // for each cell: in `consuming`
  std::vector<std::uint32_t> consuming;  // op numbers
  std::vector<std::uint32_t> uses;       // for each cell: how often it is read in a step
  std::vector<std::uint32_t> awaited;    // for each op: distinct cells that come within a step
  std::vector<bool> lent;                // for each cell: a parameter fills it
  std::vector<bool>
      last_result;  // for all `held` and their results: none after it is the same cell
  std::uint32_t late_ops = 0;
  std::uint32_t inputs_max = 0;    // of an op
  std::uint32_t outputs_most = 0;  // of an op
};

}  // namespace troupe
