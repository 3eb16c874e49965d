#pragma once

#include <troupe/tensor/fused.hpp>

#include <cstddef>
#include <span>

namespace troupe {

/// An update whose gradient a segment makes, its *prologue*: tile by tile, just before the rule
/// takes it, so that what touches a gradient last needs no pass over memory of its own. Made by the
/// compiler of programs, never called by people, where `Device::can_fold` says yes.
///
/// Inputs   what the rule writes over, as many as there are outputs; those of the prologue; the
///          rule's numbers.
/// Outputs  those of the rule.
/// Shape    the prologue's result, which is nowhere as a whole, has the weight's; its inputs
///          broadcast to that.
/// Bits     those of the ops one after another.
struct FusedUpdate {
  static constexpr OpId id{996};
  static constexpr std::string_view name = "fused_update";

  /// Its `fold` is the rule, which takes the last step's result; nothing is stored.
  Fused prologue;

  /// Those of an op's inputs that are the prologue's.
  template <class T>
  [[nodiscard]] static std::span<T> of_prologue(std::span<T> inputs, std::size_t outputs) noexcept {
    return inputs.subspan(outputs, inputs.size() - outputs - 1);
  }
  [[nodiscard]] bool operator==(const FusedUpdate& other) const noexcept {
    return prologue == other.prologue;
  }
};

template <>
const OpInfo OpInfoOf<FusedUpdate>::info;

}  // namespace troupe
