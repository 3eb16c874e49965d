#include "parameter_actor.hpp"

#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/launch.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
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
  if (known_to_engine_) Engine::of(system()).forget(cell());
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
  if (lent_ || missing_ != 0) return false;
  return std::visit(
      [this](auto& what) {
        using What = std::remove_reference_t<decltype(what)>;
        if constexpr (std::is_same_v<What, Pass*>) {
          if (!what->complete()) return false;
          fold(*what);
        } else if constexpr (std::is_same_v<What, ReadValue>) {
          if (update_failure_) {
            told_failure_ = std::exchange(update_failure_, nullptr);
            Address<Input>(what.to).send(Input{0, told_failure_});
          } else {
            answer(what.to, value_);
          }
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
          return set(what);
        } else if constexpr (std::is_same_v<What, Apply>) {
          return update(what);
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

void ParameterActor::on(AddHook&& hook) {
  known_to_engine_ = true;
  hooks_.push_back(std::move(hook.hook));
}

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
    Tensor mine = Tensor::constant(std::move(back.values[place]));
    if (place == 0)
      set_value(std::move(mine));
    else
      states_[place - 1] = std::move(mine);
  }
  advance();
}

void ParameterActor::on(Input&&) {
  // The tensors that it is about have their data themselves.
  if (--missing_ == 0) advance();
}

void ParameterActor::on(Decide&& decide) {
  change_.failure = std::move(decide.failure);
  change_.decided = true;
  advance();
}

// --- what tasks do
// --------------------------------------------------------------------------------

void ParameterActor::answer(const Ref<ActorCell>& to, const Tensor& tensor) {
  if (tensor)
    subscribe_input(tensor, to, 0);
  else
    Address<Input>(to).send(Input{0, ValueBody::meta_only(SharedMeta::make(*device_, meta_))});
}

Value ParameterActor::failure_of_current_exception(
    std::string_view op, const Origin& origin, std::uint64_t order) {
  Error error = current_error();
  if (error.op().empty())
    error = Error(error.code(), error.message() + " (parameter: " + to_string(meta_) + ")")
                .op(op)
                .hint(error.hint())
                .at(error.file(), error.line());
  if (error.file().empty()) error.at(origin.where.file, origin.where.line);
  if (error.step() < 0) error.step(origin.step);
  return ValueBody::failed(system(), std::move(error), order);
}

Tensor ParameterActor::sum_of(Pass& pass) {
  Tensor sum = pass.sum.take(0);
  for (const auto& hook : hooks_) {
    if (!sum) break;
    Tensor replacement = (*hook)(sum);
    if (!replacement) continue;
    check_hook("parameter", meta_, replacement);
    sum = std::move(replacement);
  }
  return sum;
}

void ParameterActor::fold(Pass& pass) {
  const Expect& expect = pass.expect;
  Turn turn{
      {},
      expect.step,
      failure_order(expect.pass, expect.position),
      "parameter",
      traps_nan(system())};
  const ActorScope scope(*device_, turn);
  Value failure = pass.sum.failure();
  Tensor sum;
  Tensor total;
  if (!failure) {
    try {
      sum = sum_of(pass);
      if (sum && expect.accumulate) total = gradient_ ? add_gradients(gradient_, sum) : sum;
    } catch (...) {
      failure = failure_of_current_exception("parameter", {{}, expect.step}, turn.order);
    }
  }
  for (const Expect::Delivery& wish : expect.deliver()) {
    if (!failure && sum)
      subscribe_input(sum, wish.to, 0);
    else
      Address<Input>(wish.to).send(Input{0, failure});
  }
  if (total) gradient_ = std::move(total);
  // Of several passes that failed the first is told.
  if (failure && expect.accumulate && !gradient_failure_) gradient_failure_ = failure;
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

namespace {
Value failure_of(const Tensor& tensor) {
  Value value = tensor.record()->ready_value(tensor.output());
  return value->error() ? value : nullptr;
}
}  // namespace

bool ParameterActor::there(const Tensor& tensor) {
  if (tensor.ready()) return true;
  ++missing_;
  subscribe_input(tensor, Ref<ActorCell>::share(&cell()), 0);
  return false;
}

bool ParameterActor::set(SetValue& set) {
  if (!there(set.value)) return false;
  if (Value failure = failure_of(set.value))
    update_failure_ = std::move(failure);
  else
    set_value(std::move(set.value));
  return true;
}

void ParameterActor::set_value(Tensor value) noexcept {
  value_ = std::move(value);
  version_ = 0;
}

bool ParameterActor::update(Apply& apply) {
  if (!change_.prepared && !prepare(apply)) return false;
  if (apply.together && !change_.decided) {
    if (!std::exchange(change_.voted, true))
      Address<Vote>(apply.together)
          .send(Vote{apply.number, change_.failure, Ref<ActorCell>::share(&cell())});
    return false;
  }
  if (!change_.failure) write(apply);
  // The value stays, and who reads it next is told, unless the step was lost because it read what
  // somebody was told of already.
  if (change_.failure && change_.failure != told_failure_) update_failure_ = change_.failure;
  change_ = {};
  return true;
}

/// Does all of an update that can fail. @returns false while something is not there yet.
bool ParameterActor::prepare(Apply& apply) {
  Change& change = change_;
  if (gradient_failure_) change.failure = gradient_failure_;
  if (!gradient_ || change.failure) return change.prepared = true;
  if (!change.computed) {
    bool all = there(gradient_);
    all &= there(value_);
    all &= there(apply.scalars);
    for (const Tensor& state : states_) all &= there(state);
    if (!all) return false;
    for (const Tensor* input :
         std::initializer_list<const Tensor*>{&gradient_, &value_, &apply.scalars})
      if (!change.failure) change.failure = failure_of(*input);
    for (const Tensor& state : states_)
      if (!change.failure) change.failure = failure_of(state);
    if (change.failure) return change.prepared = true;
    try {
      compute(apply);
    } catch (...) {
      change.failure = failure_of_current_exception(
          apply.rule->info().name, apply.origin, update_failure_order(apply.number));
      return change.prepared = true;
    }
    change.computed = true;
  }
  bool all = true;
  for (const Tensor& result : change.results)
    if (result) all &= there(result);
  if (!all) return false;
  for (const Tensor& result : change.results)
    if (result && !change.failure) change.failure = failure_of(result);
  return change.prepared = true;
}

bool ParameterActor::may_write_in_place(const Apply& apply) {
  // A rule of the user's may throw halfway; a NaN must be found before it is written.
  const OpInfo& rule = apply.rule->info();
  if (rule.donates != 0 || rule.id >= first_user_op || !is_computable(meta_.dtype) ||
      apply.traps_nan)
    return false;
  const auto alone = [this](Tensor& mine) {
    Value value = mine.record()->ready_value(mine.output());
    mine = Tensor();
    const bool may = may_be_written(value, meta_);
    mine = Tensor::constant(std::move(value));
    return may;
  };
  bool all = alone(value_);
  for (std::uint32_t i = 0; i < apply.states; ++i) all &= alone(states_[i]);
  return all;
}

/// Computes what the update would give, unless that can be done without failing when it is written.
void ParameterActor::compute(Apply& apply) {
  make_states(apply.states);
  if (may_write_in_place(apply)) return;
  std::array<Tensor, states_max + 3> inputs;
  std::size_t count = 0;
  inputs[count++] = value_;
  for (std::uint32_t i = 0; i < apply.states; ++i) inputs[count++] = states_[i];
  inputs[count++] = gradient_;
  inputs[count++] = apply.scalars;
  Turn turn{{}, apply.origin.step, update_failure_order(apply.number), {}, apply.traps_nan};
  const ActorScope scope(*device_, turn);
  apply_donating(
      apply.rule,
      std::span(inputs).first(count),
      std::span(change_.results).first(apply.states + 1),
      apply.origin.where);
}

void ParameterActor::write(Apply& apply) {
  if (!gradient_) return;
  if (!change_.results[0]) {
    std::array<Tensor, states_max + 3> inputs;
    std::size_t count = 0;
    inputs[count++] = std::move(value_);
    for (std::uint32_t i = 0; i < apply.states; ++i) inputs[count++] = std::move(states_[i]);
    inputs[count++] = gradient_;
    inputs[count++] = std::move(apply.scalars);
    Turn turn{{}, apply.origin.step, update_failure_order(apply.number), {}, apply.traps_nan};
    const ActorScope scope(*device_, turn);
    try {
      apply_donating(
          apply.rule,
          std::span(inputs).first(count),
          std::span(change_.results).first(apply.states + 1),
          apply.origin.where);
    } catch (...) {
      change_.failure =
          failure_of_current_exception(apply.rule->info().name, apply.origin, turn.order);
      for (std::size_t place = 0; place <= apply.states; ++place)
        change_.results[place] = std::move(inputs[place]);
    }
  }
  set_value(std::move(change_.results[0]));
  for (std::uint32_t i = 0; i < apply.states; ++i) states_[i] = std::move(change_.results[i + 1]);
}

void ParameterActor::lend(const Lend& lend) {
  Value failure;
  if (update_failure_) failure = told_failure_ = std::exchange(update_failure_, nullptr);
  try {
    make_states(lend.states);
  } catch (...) {
    if (!failure) failure = failure_of_current_exception("parameter", {}, 0);
  }
  lent_ = !lend.only_read;
  if (failure)
    Address<Input>(lend.to).send(Input{lend.first_slot, failure});
  else if (lend.only_read)
    lend_to_read(lend);
  else
    lend_one(value_, lend.to, lend.first_slot);
  for (std::uint32_t i = 0; i < lend.states; ++i) {
    if (failure)
      Address<Input>(lend.to).send(Input{lend.first_slot + 1 + i, failure});
    else
      lend_one(states_[i], lend.to, lend.first_slot + 1 + i);
  }
}

void ParameterActor::lend_to_read(const Lend& lend) {
  if (!value_.ready()) return subscribe_input(value_, lend.to, lend.first_slot);
  if (version_ == 0) version_ = Engine::of(system()).next_version();
  Address<Lent>(lend.to).send(
      Lent{lend.first_slot, value_.record()->ready_value(value_.output()), version_});
}

void ParameterActor::lend_one(Tensor& mine, const Ref<ActorCell>& to, std::uint32_t slot) {
  const bool there = mine.ready();
  subscribe_input(mine, to, slot);
  if (there && !mine.record()->ready_value(mine.output())->error()) mine = Tensor();
}

// --- the step of several parameters
// ---------------------------------------------------------------

struct StepActor::Voter {
  Voter* next;
  Ref<ActorCell> cell;
};

StepActor::~StepActor() {
  while (voters_) {
    Voter* voter = std::exchange(voters_, voters_->next);
    voter->~Voter();
    system().deallocate(voter, sizeof(Voter));
  }
}

void StepActor::on(Vote&& vote) {
  voters_ = new (system().allocate(sizeof(Voter))) Voter{voters_, std::move(vote.from)};
  const auto place = [](const Value& failure, std::uint32_t number) {
    return std::pair(failure->failure_order(), number);
  };
  if (vote.failure &&
      (!failure_ || place(vote.failure, vote.number) < place(failure_, failed_number_))) {
    failure_ = std::move(vote.failure);
    failed_number_ = vote.number;
  }
  if (--missing_ != 0) return;
  for (const Voter* voter = voters_; voter; voter = voter->next)
    Address<Decide>(voter->cell).send(Decide{failure_});
}

}  // namespace troupe
