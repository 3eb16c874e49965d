#pragma once

#include <troupe/autograd/capture.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/value.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

class Device;

/// Results up to this size have no place in a step's plan: a program keeps them from step to step.
inline constexpr std::size_t small_bytes_max = 4096;

/// Where in one stretch of memory a step keeps what it computes.
struct MemoryPlan {
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  /// For each cell, in bytes; `none`: memory of its own. Empty where there is no plan.
  std::vector<std::uint64_t> offsets;
  std::uint64_t bytes = 0;  ///< of all
  /// Whose memory it is, the one that the program was captured on. What is on others takes memory
  /// there as it comes.
  const Device* device = nullptr;
};

/// A captured step as data: ops, and the values between them, numbered as *cells*. What the
/// compiler's passes change, and people look at.
///
/// Order  `ops` stand so that each comes after all that it reads; as captured, in the order of the
///        calls.
/// Cells  keep their numbers through all passes; a pass may add some, and leave some unused.
struct Graph {
  using Cell = std::uint32_t;

  /// What one op was captured as: its identity in errors, traces and pictures, whatever it becomes
  /// part of.
  struct Node {
    std::uint32_t number = 0;  ///< among all that were captured, in the order of the calls
    std::string_view op;
    std::string_view vjp_of;  ///< the op whose gradient it is part of, if any
    Where where;
  };
  struct Op {
    OpRef op;
    std::vector<Cell> inputs;
    std::vector<Cell> outputs;
    std::vector<Cell>
        after;  ///< cells that must be made before it may run, though it reads them not
    std::vector<Node> nodes;   ///< what it computes: one; several, in order, once ops were fused
    std::uint64_t random = 0;  ///< `RandomState::call`, counted from that of the run
    bool late =
        false;  ///< an update, or what reads what one made: runs when all other ops are done

    [[nodiscard]] const OpInfo& info() const noexcept { return op->info(); }
  };
  /// Where a parameter's value or state enters, and what it has become when the step ends.
  struct Held {
    Parameter parameter;
    Cell first_cell;  ///< value, then states: consecutive
    std::uint32_t states;
    std::vector<Cell> results;  ///< for value and states; the entering cell where none was written
    bool written;

    /// Then the parameter may lend its value to several steps at once, and need not get it back.
    [[nodiscard]] bool only_read() const noexcept { return !written && states == 0; }
  };

  /// A result that depends on nothing but a parameter's value, or a constant: made anew only once
  /// that has changed.
  struct Kept {
    Cell cell;
    Cell source;  ///< where the parameter's value enters; the constant
  };

  /// What a capture recorded, and the tensors that the captured function returned.
  Graph(Capture& capture, std::span<const Tensor> outputs);

  std::vector<Op> ops;
  std::vector<Meta> metas;       ///< for each cell
  std::vector<Device*> devices;  ///< for each cell, where it is
  std::vector<std::pair<Cell, Value>> constants;
  std::vector<Cell> inputs;
  std::vector<std::pair<Cell, ScalarSource>> scalars;
  std::vector<Held> held;
  std::vector<Kept> kept;
  std::vector<Cell> outputs;
  std::uint64_t random_calls = 0;  ///< by which a run advances the count of calls
  /// The late ops are Troupe's own updates alone, each of values from before it: written in place,
  /// none can fail.
  bool late_in_place = true;
  MemoryPlan plan;

  [[nodiscard]] Cell add_cell(const Meta& meta, Device& device);
  /// The one that runs an op: of a transfer the one that receives.
  [[nodiscard]] Device& device_of(const Op& op) const noexcept { return *devices[op.outputs[0]]; }
  /// Each device on which something is computed, once.
  [[nodiscard]] std::vector<Device*> used_devices() const;
  /// Where a cell that no op makes gets its value from.
  [[nodiscard]] std::string source_of(Cell cell) const;
  /// One line an op: number, name, inputs, dtype and shape; for a fused op its nodes as well.
  [[nodiscard]] std::string to_string() const;
};

/// What a person calls an op: its name; "linear + relu" for a fused one.
[[nodiscard]] std::string name_of(const Graph::Op& op);

}  // namespace troupe
