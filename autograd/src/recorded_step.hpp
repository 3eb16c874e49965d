#pragma once

#include "tables.hpp"

#include <troupe/tensor/device.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace troupe {

/// A program's step as its device has recorded it: every launch of the tables, on memory of the
/// step's own. The inputs of a step are copied into it, and its outputs out of it; parameters are
/// read and written where they lie.
class RecordedStep {
 public:
  /// Records the tables with the values that parameters lent for this step; nothing is run yet.
  /// Null for a step that cannot be recorded: of a device that does not, or of ops that leave it.
  /// Throws what a launch throws.
  ///
  /// @param cells  the lent values, at their cells
  [[nodiscard]] static std::unique_ptr<RecordedStep> record(
      Device& device, const Tables& tables, std::span<const Value> cells);

  /// Whether the lent values lie where they lay when it was recorded, and may be written over: so
  /// many hold each.
  [[nodiscard]] bool fits(std::span<const Value> cells, std::uint32_t holders) const noexcept;

  /// Takes in a step: the inputs in `cells`, and the scalars. What it throws has changed nothing.
  void begin(std::span<const Value> cells, std::span<const std::vector<double>> scalars);
  /// Runs it, writing what was lent in place; returns the outputs, in memory of their own. Null,
  /// and nothing has changed, where the device has needed the recording's memory elsewhere.
  [[nodiscard]] std::vector<Value>* run(
      std::span<const Value> cells, std::uint64_t random_seed, std::uint64_t random_call);

 private:
  RecordedStep(Device& device, const Tables& tables) : device_(device), tables_(tables) {}
  void copy(const Value& from, const Value& to) const;

  Device& device_;
  const Tables& tables_;
  std::unique_ptr<Recording> recording_;
  OpRef copy_;
  std::vector<double> numbers_;        // the scalars of a step, one after another
  std::vector<Value> slots_;           // for each input, where it is copied to
  std::vector<Value> outputs_;         // of the recording's memory, or of parameters
  std::vector<Tables::Cell> lent_;     // cells that parameters fill
  std::vector<std::uint64_t> places_;  // where their values lay
  std::vector<Tables::Cell> written_;  // those of them that the step writes
  std::vector<Value> results_;         // of one step
};

}  // namespace troupe
