#include "parameter_actor.hpp"

#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <type_traits>
#include <variant>

namespace troupe {

struct ParameterActor::Pass {
  Pass(System& system, std::uint64_t id) noexcept : sum(system) { expect.pass = id; }
  [[nodiscard]] bool complete() const noexcept { return announced && sum.count() == expect.count; }

  Expect expect;
  GradientSum sum;
  Pass* next = nullptr;
  bool announced = false;
};

struct ParameterActor::Task {
  using What = std::variant<
      Pass*,
      ReadValue,
      ReadGradient,
      ReadStates,
      ZeroGrad,
      SetGradient,
      SetValue,
      Apply,
      SetStates,
      Lend>;
  What what;
  Task* next = nullptr;

  /// Whether a read asked for later must see what this task does.
  [[nodiscard]] bool changes_value() const noexcept {
    return std::holds_alternative<Apply>(what) || std::holds_alternative<SetValue>(what) ||
           std::holds_alternative<Lend>(what);
  }
};

ParameterActor::~ParameterActor() {
  while (first_) {
    Task* task = std::exchange(first_, first_->next);
    task->~Task();
    system().deallocate(task, sizeof(Task));
  }
  while (passes_) {
    Pass* pass = std::exchange(passes_, passes_->next);
    pass->~Pass();
    system().deallocate(pass, sizeof(Pass));
  }
}

// --- the queue of tasks
// ---------------------------------------------------------------------------

template <class Message>
void ParameterActor::enqueue(Message&& message) {
  Task* task = new (system().allocate(sizeof(Task))) Task{std::forward<Message>(message)};
  if (task->changes_value()) ++changes_queued_;
  (last_ ? last_->next : first_) = task;
  last_ = task;
  advance();
}

void ParameterActor::advance() {
  while (first_ && carry_out(*first_)) {
    Task* done = first_;
    if (done->changes_value()) --changes_queued_;
    first_ = done->next;
    if (!first_) last_ = nullptr;
    done->~Task();
    system().deallocate(done, sizeof(Task));
  }
}

bool ParameterActor::carry_out(Task& task) {
  if (lent_) return false;
  return std::visit(
      [this](auto& what) {
        using What = std::remove_reference_t<decltype(what)>;
        if constexpr (std::is_same_v<What, Pass*>) {
          if (!what->complete()) return false;
          fold(*what);
        } else if constexpr (std::is_same_v<What, ReadValue>) {
          if (update_failure_)
            Address<Input>(what.to).send(Input{0, std::exchange(update_failure_, nullptr)});
          else
            answer(what.to, value_);
        } else if constexpr (std::is_same_v<What, ReadGradient>) {
          if (gradient_failure_)
            Address<Input>(what.to).send(Input{0, gradient_failure_});
          else
            answer(what.to, gradient_);
        } else if constexpr (std::is_same_v<What, ReadStates>) {
          answer(what.to, what.index < states_.size() ? states_[what.index] : Tensor());
        } else if constexpr (std::is_same_v<What, ZeroGrad>) {
          gradient_ = Tensor();
          gradient_failure_.reset();
        } else if constexpr (std::is_same_v<What, SetGradient>) {
          gradient_ = std::move(what.gradient);
          gradient_failure_.reset();
        } else if constexpr (std::is_same_v<What, SetValue>) {
          value_ = std::move(what.value);
        } else if constexpr (std::is_same_v<What, Apply>) {
          update(what);
        } else if constexpr (std::is_same_v<What, SetStates>) {
          states_ = std::move(what.states);
        } else {
          lend(what);
        }
        return true;
      },
      task.what);
}

// --- messages
// -------------------------------------------------------------------------------------

ParameterActor::Pass& ParameterActor::pass(std::uint64_t id) {
  for (Pass* pass = passes_; pass; pass = pass->next)
    if (pass->expect.pass == id) return *pass;
  Pass* made = new (system().allocate(sizeof(Pass))) Pass(system(), id);
  made->next = passes_;
  passes_ = made;
  return *made;
}

void ParameterActor::on(Expect&& expect) {
  Pass& pass = this->pass(expect.pass);
  pass.expect = std::move(expect);
  pass.announced = true;
  enqueue(&pass);
}

void ParameterActor::on(Gradient&& gradient) {
  Pass& pass = this->pass(gradient.pass);
  pass.sum.add(std::move(gradient));
  if (pass.complete()) advance();
}

void ParameterActor::on(AddHook&& hook) { hooks_.push_back(std::move(hook.hook)); }

void ParameterActor::on(ReadValue&& read) {
  // Passes do not change the value: a read waits only for changes.
  if (changes_queued_ == 0 && !lent_ && !update_failure_)
    answer(read.to, value_);
  else
    enqueue(std::move(read));
}

void ParameterActor::on(ReadGradient&& read) { enqueue(std::move(read)); }
void ParameterActor::on(ReadStates&& read) { enqueue(std::move(read)); }
void ParameterActor::on(ZeroGrad&& zero) { enqueue(std::move(zero)); }
void ParameterActor::on(SetGradient&& set) { enqueue(std::move(set)); }
void ParameterActor::on(SetValue&& set) { enqueue(std::move(set)); }
void ParameterActor::on(Apply&& apply) { enqueue(std::move(apply)); }
void ParameterActor::on(SetStates&& set) { enqueue(std::move(set)); }
void ParameterActor::on(Lend&& lend) { enqueue(std::move(lend)); }

void ParameterActor::on(GiveBack&& back) {
  lent_ = false;
  for (std::size_t place = 0; place <= states_.size(); ++place) {
    if (!back.values[place]) continue;
    Tensor& mine = place == 0 ? value_ : states_[place - 1];
    mine = Tensor::constant(std::move(back.values[place]));
  }
  advance();
}

// --- what tasks do
// --------------------------------------------------------------------------------

void ParameterActor::answer(const Ref<ActorCell>& to, const Tensor& tensor) {
  if (tensor)
    subscribe_input(tensor, to, 0);
  else
    Address<Input>(to).send(Input{0, ValueBody::meta_only(system(), meta_)});
}

void ParameterActor::fold(Pass& pass) {
  const ActorScope scope(*device_);
  if (const Value failure = pass.sum.failure()) {
    if (pass.expect.accumulate) gradient_failure_ = failure;
    for (const Expect::Delivery& wish : pass.expect.deliver)
      Address<Input>(wish.to).send(Input{0, failure});
  } else {
    Tensor sum = pass.sum.take(0);
    for (const auto& hook : hooks_) {
      if (!sum) break;
      Tensor replaced = (*hook)(sum);
      if (replaced) sum = std::move(replaced);
    }
    for (const Expect::Delivery& wish : pass.expect.deliver) {
      if (sum)
        subscribe_input(sum, wish.to, 0);
      else
        Address<Input>(wish.to).send(Input{0, nullptr});
    }
    if (sum && pass.expect.accumulate) gradient_ = gradient_ ? gradient_ + sum : sum;
  }
  Pass** link = &passes_;
  while (*link != &pass) link = &(*link)->next;
  *link = pass.next;
  pass.~Pass();
  system().deallocate(&pass, sizeof(Pass));
}

void ParameterActor::make_states(std::uint32_t count) {
  // A program that only reads the value asks for no states: those there are stay.
  if (states_.size() >= count) return;
  const std::vector<std::byte> zeros(meta_.bytes());
  while (states_.size() < count) states_.push_back(Tensor::constant(device_->upload(meta_, zeros)));
}

void ParameterActor::update(Apply& apply) {
  if (gradient_failure_) {
    // The step is lost; who reads the value next is told, and the value stays what it was.
    update_failure_ = gradient_failure_;
    return;
  }
  if (!gradient_) return;
  const ActorScope scope(*device_);
  make_states(apply.states);
  if (apply.states > states_max)
    throw Error(
        ErrorCode::unsupported,
        "an update rule with more than " + std::to_string(states_max) + " states")
        .op(apply.rule->info().name);
  std::array<Tensor, states_max + 3> inputs;
  std::array<Tensor, states_max + 1> outputs;
  std::size_t count = 0;
  inputs[count++] = std::move(value_);
  for (std::uint32_t i = 0; i < apply.states; ++i) inputs[count++] = std::move(states_[i]);
  inputs[count++] = gradient_;
  inputs[count++] = std::move(apply.scalars);
  apply_donating(
      std::move(apply.rule),
      std::span(inputs).first(count),
      std::span(outputs).first(apply.states + 1));
  value_ = std::move(outputs[0]);
  for (std::uint32_t i = 0; i < apply.states; ++i) states_[i] = std::move(outputs[i + 1]);
}

void ParameterActor::lend(const Lend& lend) {
  make_states(lend.states);
  lent_ = true;
  if (update_failure_)
    Address<Input>(lend.to).send(Input{lend.first_slot, std::exchange(update_failure_, nullptr)});
  else
    lend_one(value_, lend.to, lend.first_slot);
  for (std::uint32_t i = 0; i < lend.states; ++i)
    lend_one(states_[i], lend.to, lend.first_slot + 1 + i);
}

void ParameterActor::lend_one(Tensor& mine, const Ref<ActorCell>& to, std::uint32_t slot) {
  const bool there = mine.ready();
  subscribe_input(mine, to, slot);
  if (there && !mine.record()->ready_value(mine.output())->error()) mine = Tensor();
}

}  // namespace troupe
