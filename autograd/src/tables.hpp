#pragma once

#include <troupe/autograd/capture.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/value.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

/// A captured graph as dense tables: ops in the order of the calls, the values between them
/// numbered as cells, and for each cell the ops that wait for it. What messages say in a live
/// graph, countdowns over these tables say in a program.
class Tables {
 public:
  using Cell = std::uint32_t;

  struct Op {
    OpRef op;
    Where where;
    std::uint32_t first_input, input_count;  // in `operands`
    Cell first_output;
    std::uint8_t output_count;
    bool late;  // an update, or what reads what one made: runs when all other ops are done
    std::uint32_t random;     // number among the random ops
    std::string_view vjp_of;  // the op whose gradient it is part of, if any
  };
  struct Range {
    std::uint32_t first = 0, count = 0;
  };
  /// Where a parameter's value or state enters, and what it has become when the step ends.
  struct Held {
    Parameter parameter;
    Cell first_cell;  // value, then states: consecutive
    std::uint32_t states;
    std::vector<Cell> results;  // for value and states; the entering cell where nothing was written
    bool written;
  };

  Tables(Capture& capture, std::span<const Tensor> outputs);

  std::vector<Op> ops;
  std::vector<Cell> operands;            // the inputs of all ops, one after another
  std::vector<Range> consumers;          // for each cell: in `consuming`
  std::vector<std::uint32_t> consuming;  // op numbers
  std::vector<std::uint32_t> uses;       // for each cell: how often it is read in a step
  std::vector<std::uint32_t> awaited;    // for each op: distinct operands that come within a step
  std::vector<Meta> metas;               // for each cell
  std::vector<std::pair<Cell, Value>> constants;
  std::vector<Cell> inputs;
  std::vector<std::pair<Cell, ScalarSource>> scalars;
  std::vector<Held> held;
  std::vector<Cell> outputs;
  std::uint32_t random_ops = 0;
  std::uint32_t late_ops = 0;
  /// The late ops are Troupe's own updates alone, each of values from before it: written in place,
  /// none can fail.
  bool late_in_place = true;

  /// For people: where a cell that no op makes gets its value from.
  [[nodiscard]] std::string source_of(Cell cell) const;
  [[nodiscard]] std::string to_string() const;
};

}  // namespace troupe
