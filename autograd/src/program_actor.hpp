#pragma once

#include "arenas.hpp"
#include "parameter_actor.hpp"
#include "recorded_step.hpp"
#include "tables.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe {

/// One run that was asked for: what the tables are filled with, and who waits for the outputs. Made
/// by the caller, used again and again.
struct StepRequest {
  std::vector<Tensor> inputs;
  std::vector<std::vector<double>> scalars;
  std::vector<Ref<ActorCell>> outputs;
  RandomState random;
  std::int64_t step = -1;
  StepRequest* next = nullptr;
};

/// Asks a program for one step.
struct RunStep {
  static constexpr MessageId id{210};
  static constexpr std::string_view name = "run_step";
  std::unique_ptr<StepRequest> request;
  template <class V>
  void fields(V& visit) {
    visit.local("request");
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
    RunStep>;
static_assert(AutogradMessages::size == 11);

/// The free requests of a program; shared by caller and actor.
class RequestPool {
 public:
  ~RequestPool();
  [[nodiscard]] std::unique_ptr<StepRequest> take();
  void give_back(StepRequest* request) noexcept;

 private:
  std::mutex mutex_;
  StepRequest* free_ = nullptr;
};

/// Drives a captured graph through its tables, one step at a time, in the order asked for.
///
/// Receives  `RunStep`; `Input` for cells that come from outside: the step's inputs, and the values
/// and
///           states that parameters lend it; `Completed` with an op's number.
/// Sends     `GiveBack` to parameters, whose `Lend` the caller sent; `Input` to those who wait for
///           outputs.
/// Failing   a step in which an op fails writes nothing: parameters get back what they lent, and
///           every output is the error. The next step runs as if nothing had been.
/// Writing   updates and what reads their results come last. Where none of them can fail they write
///           in place; else what was lent is kept until the step has ended.
/// Recorded  on a device that keeps launches (`Device::record`), after a first step that has left
///           nothing to find out: a step waits for all that comes from outside, and is then run as
///           a whole.
/// NaNs      while they are trapped, the ops run as they were captured, one after another in the
///           order of the calls, so that the first to fail is the first in that order.
class ProgramActor final : public Actor<RunStep, Input, Completed> {
 public:
  static constexpr std::string_view name = "program";

  ProgramActor(
      Device& device,
      std::shared_ptr<const Tables> compiled,
      std::shared_ptr<const Tables> plain,
      std::shared_ptr<RequestPool> pool,
      bool may_record);
  ~ProgramActor();

 private:
  friend ActorAccess;

  void on(RunStep&& run);
  void on(Input&& input);
  void on(Completed&& completed);

  void begin(StepRequest& request);
  void arrive(Tables::Cell cell, Value value);
  void made(Tables::Cell cell);
  void upload_scalars();
  void take_memory();
  void give_memory_back() noexcept;
  [[nodiscard]] bool run_recorded();
  void run_ready_ops();
  void launch(std::uint32_t op);
  void finish_op(std::uint32_t op);
  void check_nan(std::uint32_t op);
  void fail(std::uint32_t op);
  [[nodiscard]] bool may_launch_next() const noexcept;
  [[nodiscard]] bool may_write_in_place() const;
  void end_if_done();
  void end();

  Device* device_;
  std::shared_ptr<const Tables> compiled_;
  std::shared_ptr<const Tables> plain_;  // as captured: its ops are looked at one by one
  const Tables* tables_;                 // of the step
  std::shared_ptr<RequestPool> pool_;
  StepRequest* current_ = nullptr;
  StepRequest* waiting_first_ = nullptr;
  StepRequest* waiting_last_ = nullptr;

  // The step context: cells, countdowns, what is ready, what is under way.
  std::vector<Value> cells_;
  std::vector<std::uint32_t> uses_;
  std::vector<std::uint32_t> awaited_;
  std::vector<std::uint32_t> ready_;       // a heap: the earliest call first
  std::vector<std::uint32_t> ready_late_;  // held back until all others are done
  std::vector<Value> lent_;                // for each held cell: what came from the parameter
  std::vector<Value> spare_;  // for each cell: a small output of the last step, to use again
  std::shared_ptr<Arenas> arenas_;
  Ref<Buffer> arena_;                 // of the graph's plan; null until a step needs it
  std::vector<Value> planned_;        // for each cell: its place there, if it has one
  std::vector<Value> launch_inputs_;  // of the op that is being launched
  std::vector<Value> launch_outputs_;
  std::uint32_t ops_left_ = 0;  // not late
  std::uint32_t late_left_ = 0;
  std::uint32_t outside_left_ = 0;  // inputs and lent values still to come
  std::uint32_t under_way_ = 0;
  std::uint32_t next_op_ = 0;  // while NaNs are trapped
  bool trapping_ = false;
  bool writing_in_place_ = false;
  bool as_recorded_ = false;  // the step waits for what comes from outside
  bool may_record_;
  bool worth_recording_ = false;  // nothing that the last step launched is on trial
  std::uint64_t on_trial_before_ = 0;
  std::uint32_t misfits_ = 0;  // recordings in a row that did not fit the step after them
  std::unique_ptr<RecordedStep> recorded_;
  Value failure_;
  Tables::Cell failed_input_ = 0;
  bool failed_outside_ = false;  // `failure_` came with `failed_input_`
};

}  // namespace troupe
