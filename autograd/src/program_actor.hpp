#pragma once

#include "parameter_actor.hpp"
#include "step_context.hpp"
#include "tables.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/tensor/node.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace troupe {

/// Asks a program for one step.
struct RunStep {
  static constexpr MessageId id{210};
  static constexpr std::string_view name = "run_step";
  std::uint32_t request = 0;  ///< number in the program's pool
  template <class V>
  void fields(V& visit) {
    visit.field("request", request);
  }
};

using AutogradMessages = MessageList<
    200,
    299,
    ReadValue,
    ReadGradient,
    ReadStates,
    ZeroGrad,
    SetGradient,
    SetValue,
    Apply,
    SetStates,
    Lend,
    GiveBack,
    RunStep,
    Lent>;
static_assert(AutogradMessages::size == 12);

/// Drives a captured graph through its tables, some steps at a time, begun in the order asked for.
///
/// Receives  `RunStep`; `Input` for cells that come from outside: the step's inputs, and the values
///           and states that parameters lend it; `Lent` for values that it only reads; `Completed`
///           with an op's number.
/// Sends     `GiveBack` to parameters, whose `Lend` the caller sent; `Input` to those who wait for
///           outputs.
class ProgramActor final : public Actor<RunStep, Input, Lent, Completed> {
 public:
  static constexpr std::string_view name = "program";

  ProgramActor(ProgramState state, std::uint32_t steps_in_flight);
  ~ProgramActor();

 private:
  friend ActorAccess;

  void on(RunStep&& run);
  void on(Input&& input);
  void on(Lent&& lent);
  void on(Completed&& completed);
  void take_in(std::uint32_t slot, Value value, std::uint64_t version);
  void begin_steps();

  ProgramState state_;
  std::vector<std::unique_ptr<StepContext>> contexts_;
  const std::uint32_t contexts_max_;
};

}  // namespace troupe
