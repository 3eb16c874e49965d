#pragma once

#include "arenas.hpp"
#include "profiler.hpp"
#include "recorded_step.hpp"
#include "tables.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

class StepContext;

/// What came of something kept from step to step, and of which version of its source.
struct KeptResult {
  std::uint64_t version = 0;  ///< 0: none
  Value value;
};

/// One run that was asked for: what the tables are filled with, and who waits for the outputs. Made
/// by the caller, used again and again.
struct StepRequest {
  std::vector<Tensor> inputs;
  std::vector<std::vector<double>> scalars;
  std::vector<Ref<ActorCell>> outputs;
  RandomState random;
  std::int64_t step = -1;
  bool measured = false;
  std::uint32_t index = 0;  ///< among the requests of the program
  std::uint32_t first_slot =
      0;  ///< cell c of this step comes as an `Input` for slot first_slot + c
  StepContext* context = nullptr;  ///< while it runs
  struct Early {
    Tables::Cell cell;
    Value value;
    std::uint64_t version;
  };
  std::vector<Early> early;  ///< what came before its turn
  StepRequest* next = nullptr;
};

/// The requests of a program; shared by caller and actor.
class RequestPool {
 public:
  /// Makes some at once, with room for what they will hold: how many steps are asked for ahead
  /// depends on how busy the machine is, and a steady run is to allocate nothing even then.
  ///
  /// @param cells  slots of a request
  RequestPool(const Graph& graph, std::size_t cells);
  /// One that is free. Throws `out_of_memory` where more steps were asked for ahead than slots can
  /// be told apart.
  [[nodiscard]] StepRequest* take();
  void give_back(StepRequest* request) noexcept;
  [[nodiscard]] StepRequest& at(std::uint32_t index) noexcept;
  [[nodiscard]] std::size_t cells() const noexcept { return cells_; }

 private:
  [[nodiscard]] StepRequest& add();

  const std::size_t cells_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<StepRequest>> all_;
  StepRequest* free_ = nullptr;
};

/// What all steps of a program share.
struct ProgramState {
  ProgramState(
      Device& device,
      std::shared_ptr<const Tables> compiled,
      std::shared_ptr<const Tables> plain,
      std::shared_ptr<RequestPool> pool,
      std::shared_ptr<Profiler> profiler,
      bool may_record);

  Device& device;
  std::shared_ptr<const Tables> compiled;
  std::shared_ptr<const Tables> plain;  ///< as captured: its ops are looked at one by one
  std::shared_ptr<RequestPool> pool;
  std::shared_ptr<Profiler> profiler;
  std::shared_ptr<Arenas> arenas;
  Ref<ActorCell> actor;  ///< while there are steps: it receives for them
  StepRequest* waiting_first = nullptr;
  StepRequest* waiting_last = nullptr;
  bool may_record = false;
  bool worth_recording = false;  ///< nothing that the last step launched is on trial
  std::uint32_t misfits = 0;     ///< recordings in a row that did not fit the step after them
  std::unique_ptr<RecordedStep> recorded;
  std::vector<KeptResult> kept;  ///< for each that the compiled graph keeps

  [[nodiscard]] bool steps_wait() const noexcept { return waiting_first != nullptr; }
};

/// One step on its way through the tables: cells, countdowns, what is ready, what is under way.
///
/// Failing   a step in which an op fails writes nothing: parameters get back what they lent, and
///           every output is the error.
/// Writing   updates and what reads their results come last. Where none of them can fail they write
///           in place; else what was lent is kept until the step has ended.
/// Recorded  on a device that keeps launches (`Device::record`), after a first step that has left
///           nothing to find out: a step waits for all that comes from outside, and is then run as
///           a whole.
/// NaNs      while they are trapped, the ops run as they were captured, one after another in the
///           order of the calls, so that the first to fail is the first in that order.
///
/// Measured  on request, with ops one at a time, the earliest call first, and nothing recorded.
/// Traced    each launch as a span, by the names and numbers of the nodes that it computes.
///
/// Threads   in the turns of the program's actor.
class StepContext {
 public:
  explicit StepContext(ProgramState& program);
  ~StepContext();
  StepContext(const StepContext&) = delete;
  StepContext& operator=(const StepContext&) = delete;

  /// Whether a step is on its way.
  [[nodiscard]] bool busy() const noexcept { return current_ != nullptr; }
  /// Whether it must run with no other step beside it.
  [[nodiscard]] bool alone() const noexcept { return trapping_ || measuring_; }
  void begin(StepRequest& request);
  /// What the step waited for from outside: an input, or what a parameter lends.
  ///
  /// @param version  a number that no other value of this program's parameters has, or 0
  void receive(Tables::Cell cell, Value value, std::uint64_t version);
  /// A launch has ended; with an error, if it failed.
  void complete(std::uint32_t op, const Error* failure);

 private:
  void take_in(Tables::Cell cell, Value value, std::uint64_t version);
  [[nodiscard]] std::string_view trace_name(std::uint32_t op);
  void arrive(Tables::Cell cell, Value value);
  void made(Tables::Cell cell);
  void upload_scalars();
  void take_memory();
  void give_memory_back() noexcept;
  [[nodiscard]] bool run_recorded();
  void run_ready_ops();
  void launch(std::uint32_t op);
  [[nodiscard]] Ticket run(const Tables::Op& op, std::span<Value> inputs, std::span<Value> outputs);
  [[nodiscard]] bool is_kept(const Tables::Op& op) const noexcept;
  void finish_op(std::uint32_t op);
  void check_nan(std::uint32_t op);
  void fail(std::uint32_t op);
  [[nodiscard]] bool may_launch_next() const noexcept;
  [[nodiscard]] bool may_write_in_place() const;
  void end_if_done();
  void end();

  ProgramState& program_;
  const Tables* tables_ = nullptr;  // of the step
  StepRequest* current_ = nullptr;
  std::vector<Value> cells_;
  std::vector<std::uint64_t> versions_;  // for each cell that comes from outside
  std::vector<std::uint32_t> uses_;
  std::vector<std::uint32_t> awaited_;
  std::vector<std::uint32_t> ready_;        // a heap: the earliest call first
  std::vector<std::uint32_t> ready_first_;  // likewise: others wait for what these begin
  std::vector<std::uint32_t> ready_late_;   // held back until all others are done
  std::vector<Value> lent_;                 // for each held cell: what came from the parameter
  std::vector<Value> spare_;    // for each cell: a small output of the last step, to use again
  Ref<Buffer> arena_;           // of the graph's plan; null until a step needs it
  std::vector<Value> planned_;  // for each cell: its place there, if it has one
  std::vector<Value> launch_inputs_;  // of the op that is being launched
  std::vector<Value> launch_outputs_;
  std::vector<std::string_view> trace_names_;  // of the compiled ops, once they were traced
  std::uint32_t ops_left_ = 0;                 // not late
  std::uint32_t late_left_ = 0;
  std::uint32_t outside_left_ = 0;  // inputs and lent values still to come
  std::uint32_t under_way_ = 0;
  std::uint32_t next_op_ = 0;  // while NaNs are trapped
  bool trapping_ = false;
  bool measuring_ = false;
  std::vector<OpSpan> spans_;  // of the ops, while they are measured
  bool writing_in_place_ = false;
  bool as_recorded_ = false;  // the step waits for what comes from outside
  std::uint64_t on_trial_before_ = 0;
  Value failure_;
  Tables::Cell failed_input_ = 0;
  bool failed_outside_ = false;  // `failure_` came with `failed_input_`
};

}  // namespace troupe
