#pragma once

#include <troupe/core/actor.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/tensor.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace troupe {

class Device;

/// Asks for the value, as an `Input` for slot 0 of `to`.
struct ReadValue {
  static constexpr MessageId id{200};
  static constexpr std::string_view name = "read_value";
  Ref<ActorCell> to;
  template <class V>
  void fields(V&) {}
};
/// Asks for the summed gradient; answered by a value without data when there is none.
struct ReadGradient {
  static constexpr MessageId id{201};
  static constexpr std::string_view name = "read_gradient";
  Ref<ActorCell> to;
  template <class V>
  void fields(V&) {}
};
/// Asks for one state of the update rule; answered by a value without data past the last.
struct ReadStates {
  static constexpr MessageId id{202};
  static constexpr std::string_view name = "read_states";
  std::uint32_t index = 0;
  Ref<ActorCell> to;
  template <class V>
  void fields(V& visit) {
    visit.field("index", index);
  }
};
struct ZeroGrad {
  static constexpr MessageId id{203};
  static constexpr std::string_view name = "zero_grad";
  template <class V>
  void fields(V&) {}
};
struct SetGradient {
  static constexpr MessageId id{204};
  static constexpr std::string_view name = "set_gradient";
  Tensor gradient;
  template <class V>
  void fields(V&) {}
};
struct SetValue {
  static constexpr MessageId id{205};
  static constexpr std::string_view name = "set_value";
  Tensor value;
  template <class V>
  void fields(V&) {}
};
/// Has the value updated by a rule once the passes announced before are in; with `together`, only
/// if all that are asked for with the same one can be.
struct Apply {
  static constexpr MessageId id{206};
  static constexpr std::string_view name = "apply";
  OpRef rule;
  std::uint32_t states = 0;
  std::uint32_t number = 0;  // among those asked for together
  Tensor scalars;
  Origin origin;
  bool traps_nan = false;
  Ref<ActorCell> together;
  template <class V>
  void fields(V& visit) {
    visit.field("states", states);
    visit.field("number", number);
  }
};
/// What a parameter answers to an `Apply` that is one of several: it could be updated, or why not.
struct Vote {
  static constexpr MessageId id{31};
  static constexpr std::string_view name = "vote";
  std::uint32_t number = 0;
  Value failure;
  Ref<ActorCell> from;
  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
  }
};
/// All have voted: update, or leave the value as it is because of this failure.
struct Decide {
  static constexpr MessageId id{32};
  static constexpr std::string_view name = "decide";
  Value failure;
  template <class V>
  void fields(V&) {}
};
struct SetStates {
  static constexpr MessageId id{207};
  static constexpr std::string_view name = "set_states";
  std::vector<Tensor> states;
  template <class V>
  void fields(V&) {}
};
/// Lends value and states to a program for one step: each comes as an `Input` of `to`, from
/// `first_slot` on. The actor lets go of them, so that the step may end by writing in place; nobody
/// else is served until they come back. A value that is only read comes as `Lent`; it keeps that,
/// and serves on.
struct Lend {
  static constexpr MessageId id{208};
  static constexpr std::string_view name = "lend";
  Ref<ActorCell> to;
  std::uint32_t first_slot = 0;
  std::uint32_t states = 0;
  bool only_read = false;
  template <class V>
  void fields(V& visit) {
    visit.field("first_slot", first_slot);
    visit.field("states", states);
    visit.field("only_read", only_read);
  }
};
/// The value that a parameter lends to be read only.
struct Lent {
  static constexpr MessageId id{211};
  static constexpr std::string_view name = "lent";
  std::uint32_t slot = 0;
  Value value;
  std::uint64_t version = 0;  ///< as long as it is this one, the value is the same
  template <class V>
  void fields(V& visit) {
    visit.field("slot", slot);
    visit.field("version", version);
  }
};
/// A parameter's value and at most this many states.
inline constexpr std::size_t states_max = 3;
/// Gives back what was lent, or what it has become. Null where the program never got it: then the
/// actor still has its own.
struct GiveBack {
  static constexpr MessageId id{209};
  static constexpr std::string_view name = "give_back";
  std::array<Value, 1 + states_max> values;
  template <class V>
  void fields(V&) {}
};

/// One step of several parameters that are updated together: asks nobody to write before all can.
///
/// Receives  a `Vote` of each.
/// Sends     `Decide` to each, once all are in. Of several failures the first in order goes on.
class StepActor final : public Actor<Vote> {
 public:
  static constexpr std::string_view name = "step";

  explicit StepActor(std::uint32_t parameters) noexcept : missing_(parameters) {}
  ~StepActor();

 private:
  friend ActorAccess;
  struct Voter;

  void on(Vote&& vote);

  std::uint32_t missing_;
  std::uint32_t failed_number_ = 0;
  Value failure_;
  Voter* voters_ = nullptr;
};

/// The actor behind a `Parameter`; without a value, the one that sums what `retain_grad` keeps.
///
/// Receives  gradients of backward passes in any order; everything else in the callers' order.
///           `Decide` from the step that an `Apply` is part of; `Input` tells that something waited
///           for is there.
/// Order     kept by a queue of what is to be done: a pass at its head is waited for, so that an
/// `Apply`
///           sees exactly the gradients announced before it. A read goes past passes, not past
///           changes.
/// Sends     `Input`, or `Lent`, to those who read; a `Vote` for each `Apply` that is one of
/// several. Failing   what throws in a turn becomes the failure of the gradient or of the update,
/// and the
///           value stays. The next to read it is told of a lost update, once.
class ParameterActor final : public Actor<
                                 Expect,
                                 Gradient,
                                 AddHook,
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
                                 Input,
                                 Decide> {
 public:
  static constexpr std::string_view name = "parameter";

  ParameterActor(Device& device, Tensor value)
      : device_(&device), meta_(value.meta()), value_(std::move(value)) {}
  ParameterActor(Device& device, const Meta& meta) : device_(&device), meta_(meta) {}
  ~ParameterActor();

 private:
  friend ActorAccess;

  struct Pass;
  struct Task;

  void on(Expect&& expect);
  void on(Gradient&& gradient);
  void on(AddHook&& hook);
  void on(ReadValue&& read);
  void on(ReadGradient&& read);
  void on(ReadStates&& read);
  void on(ZeroGrad&& zero);
  void on(SetGradient&& set);
  void on(SetValue&& set);
  void on(Apply&& apply);
  void on(SetStates&& set);
  void on(Lend&& lend);
  void on(GiveBack&& back);
  void on(Input&& input);
  void on(Decide&& decide);

  Pass& pass(std::uint64_t id);
  void fold(Pass& pass);
  [[nodiscard]] Tensor sum_of(Pass& pass);
  template <class Message>
  void enqueue(Message&& message);
  void advance();
  /// Does one task; false if it must wait.
  bool carry_out(Task& task);
  [[nodiscard]] bool update(Apply& apply);
  [[nodiscard]] bool prepare(Apply& apply);
  void compute(Apply& apply);
  void write(Apply& apply);
  [[nodiscard]] bool may_write_in_place(const Apply& apply);
  [[nodiscard]] bool set(SetValue& set);
  void set_value(Tensor value) noexcept;
  /// Whether the tensor's data or its failure are there; sees to it that a turn comes when they
  /// are.
  [[nodiscard]] bool there(const Tensor& tensor);
  void make_states(std::uint32_t count);
  void lend(const Lend& lend);
  void lend_one(Tensor& mine, const Ref<ActorCell>& to, std::uint32_t slot);
  void lend_to_read(const Lend& lend);
  [[nodiscard]] Value failure_of_current_exception(
      std::string_view op, const Origin& origin, std::uint64_t order);
  void answer(const Ref<ActorCell>& to, const Tensor& tensor);

  Device* device_;
  Meta meta_;
  Tensor value_;
  std::uint64_t version_ = 0;  // of the value: a number of its own in the system, once asked for
  Tensor gradient_;
  std::vector<Tensor> states_;
  std::vector<std::shared_ptr<const GradientHook>> hooks_;
  bool known_to_engine_ = false;  // which is to forget the hooks
  Pass* passes_ = nullptr;
  Task* first_ = nullptr;
  Task* last_ = nullptr;
  Value gradient_failure_;  // instead of a gradient
  Value update_failure_;    // for the next reader: an update was lost
  Value told_failure_;      // the last that a reader was told of
  /// The update at the head of the queue.
  struct Change {
    std::array<Tensor, 1 + states_max> results;  // in memory of their own; none: written in place
    Value failure;
    bool computed = false;
    bool prepared = false;
    bool voted = false;
    bool decided = false;
  };
  Change change_;
  std::uint32_t missing_ = 0;         // tensors that the task at the head waits for
  std::uint32_t changes_queued_ = 0;  // tasks that a read must not go past
  bool lent_ = false;
};

}  // namespace troupe
