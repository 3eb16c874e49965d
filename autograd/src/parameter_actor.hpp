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
/// Has the value updated by a rule once the passes announced before are in.
struct Apply {
  static constexpr MessageId id{206};
  static constexpr std::string_view name = "apply";
  OpRef rule;
  std::uint32_t states = 0;
  Tensor scalars;
  template <class V>
  void fields(V& visit) {
    visit.field("states", states);
  }
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
/// else is served until they come back.
struct Lend {
  static constexpr MessageId id{208};
  static constexpr std::string_view name = "lend";
  Ref<ActorCell> to;
  std::uint32_t first_slot = 0;
  std::uint32_t states = 0;
  template <class V>
  void fields(V& visit) {
    visit.field("first_slot", first_slot);
    visit.field("states", states);
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

/// The actor behind a `Parameter`.
///
/// Receives  gradients of backward passes in any order; everything else in the callers' order.
/// Order     kept by a queue of what is to be done: a pass at its head is waited for, so that an
/// `Apply`
///           sees exactly the gradients announced before it. A read goes past passes, not past
///           changes.
/// Sends     `Input` to those who read.
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
                                 GiveBack> {
 public:
  static constexpr std::string_view name = "parameter";

  ParameterActor(Device& device, Tensor value)
      : device_(&device), meta_(value.meta()), value_(std::move(value)) {}
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

  Pass& pass(std::uint64_t id);
  void fold(Pass& pass);
  template <class Message>
  void enqueue(Message&& message);
  void advance();
  /// Does one task; false if it must wait.
  bool carry_out(Task& task);
  void update(Apply& apply);
  void make_states(std::uint32_t count);
  void lend(const Lend& lend);
  void lend_one(Tensor& mine, const Ref<ActorCell>& to, std::uint32_t slot);
  void answer(const Ref<ActorCell>& to, const Tensor& tensor);

  Device* device_;
  Meta meta_;
  Tensor value_;
  Tensor gradient_;
  std::vector<Tensor> states_;
  std::vector<std::shared_ptr<const GradientHook>> hooks_;
  Pass* passes_ = nullptr;
  Task* first_ = nullptr;
  Task* last_ = nullptr;
  Value gradient_failure_;            // instead of a gradient
  Value update_failure_;              // for the next reader: an update was lost
  std::uint32_t changes_queued_ = 0;  // tasks that a read must not go past
  bool lent_ = false;
};

}  // namespace troupe
