#pragma once

#include <troupe/tensor/op.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe {

/// Elementwise ops, and casts, of one shape that run together: what they give each other is never
/// written to memory.
///
/// Numbers  the inputs are 0, 1, …; then come the steps' results, in order.
/// Bits     those of the ops launched one by one: each step rounds as the op does.
struct Segment {
  struct Step {
    OpRef op;
    std::uint16_t from[3] = {};  ///< the numbers of its inputs

    [[nodiscard]] bool operator==(const Step& other) const noexcept;
  };

  std::uint16_t inputs = 0;
  std::vector<Step> steps;
  /// Numbers of results; empty: the last step's, or none where a fold takes them all in.
  std::vector<std::uint16_t> outputs;

  [[nodiscard]] bool operator==(const Segment& other) const noexcept;
};

/// What a device has made of a fused op once, to launch it many times.
class Executable {
 public:
  virtual ~Executable() = default;
};

/// Ops that a program launches as one: a segment, alone or as the *epilogue* of a product, its
/// *head*, whose elements it goes on with before they leave the cache; or one whose result a *fold*
/// takes in, piece by piece as it is made. Made by the compiler of programs, never called by
/// people.
///
/// Inputs   those of the head, then those of the segment, less the head's result, which is the
///          segment's input 0.
/// Outputs  the head's result, if it has a place of its own; then the segment's; then the fold's.
/// Shape    all outputs but the fold's, and the head's result, have one shape; the segment's inputs
///          broadcast to it. Or the head's result, which then nothing else reads, has as many
///          elements in another shape: a reshape lay between.
struct Fused {
  static constexpr OpId id{990};
  static constexpr std::string_view name = "fused";

  OpRef head;                     ///< null: none
  std::uint16_t head_inputs = 0;  ///< how many of the inputs are the head's
  bool keeps_head = false;        ///< output 0 is the head's result
  bool reshapes_head = false;     ///< the head's result has a shape of its own,
  Shape head_shape;               ///< this one
  Segment segment;
  OpRef fold;                ///< null: none
  std::uint16_t folded = 0;  ///< the number, in the segment, of the result that it folds
  std::shared_ptr<const Executable> executable;  ///< of the device that it was compiled for

  /// The output that the segment's steps come to last.
  [[nodiscard]] std::size_t last_output() const noexcept;
  /// The output of the segment that the fold reads; none: it is not stored.
  [[nodiscard]] std::optional<std::size_t> folded_output() const noexcept;
  /// How many of the outputs are the segment's.
  [[nodiscard]] std::size_t segment_outputs() const noexcept;
  /// The shape of the segment's results, from all inputs. Not told by them behind a reshaped head.
  [[nodiscard]] Shape segment_shape(std::span<const Meta> inputs) const;
  [[nodiscard]] bool operator==(const Fused& other) const noexcept;
};

template <>
const OpInfo OpInfoOf<Fused>::info;

}  // namespace troupe
