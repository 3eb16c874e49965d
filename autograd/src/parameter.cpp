#include "parameter_actor.hpp"

#include <troupe/autograd/capture.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace troupe {

struct Parameter::Shared {
  Meta meta;
  Device* device;
  Address<
      ReadValue,
      ReadGradient,
      ReadStates,
      ZeroGrad,
      SetGradient,
      SetValue,
      Apply,
      SetStates,
      AddHook>
      actor;
  bool requires_grad;
  Tensor current;  // the cached read; undefined after a change
  std::uint32_t reads = 0;
  std::vector<std::shared_ptr<const GradientHook>>
      hooks;  // the actor's, for one that takes its place

  void check_can_move(Device& to) const;
  /// A new actor takes the place of the one there is.
  void begin_on(Device& device, const Tensor& value);
};

namespace {

/// Edges of one read are numbered on from here, so that several reads in one pass keep their order.
std::uint32_t first_ordinal(std::uint32_t read) noexcept { return (read & 0xfff) << 20; }

/// Throws for a tensor that a parameter cannot take: undefined, or recorded by a capture but given
/// outside of one.
void check_live(const Tensor& given, std::string_view what, bool capturing) {
  if (!given)
    throw Error(
        ErrorCode::invalid_argument,
        "a parameter was given an undefined tensor as its " + std::string(what));
  if (given.record()->captured() && !capturing)
    throw Error(
        ErrorCode::in_capture,
        "a parameter was given a " + std::string(what) + " " + to_string(given.meta()) +
            " that a capture recorded, outside of it")
        .hint("let the captured function return it, and give the parameter what a run returns");
}

/// And for one of another dtype or shape, or on another device.
void check_fits(
    const Meta& have, const Device& device, const Tensor& given, std::string_view what) {
  check_live(given, what, Capture::current() != nullptr);
  if (&given.record()->device() != &device)
    throw Error(
        ErrorCode::device_mismatch,
        "a parameter on " + std::string(device.name()) + " was given a " + std::string(what) +
            " on " + std::string(given.record()->device().name()))
        .hint("to(tensor, device) copies it over");
  if (given.meta() != have)
    throw Error(
        ErrorCode::shape_mismatch,
        "a parameter " + to_string(have) + " was given a " + std::string(what) + " " +
            to_string(given.meta()));
}

/// A tensor that the actor will fill; undefined if it answers that there is nothing.
template <class Ask>
Tensor ask_for(Device& device, const Meta& meta, Ask&& ask) {
  Awaiting awaiting = make_awaiting(device, meta, nullptr, 0, Where{});
  ask(awaiting.cell);
  device.system().run_ready();
  const Value value = awaiting.tensor.value();
  return value->buffer() ? Tensor::constant(value) : Tensor();
}

}  // namespace

Parameter::Parameter(const Tensor& initial, bool requires_grad, Where where)
    : shared_(std::make_shared<Shared>()) {
  check_live(initial, "value", false);
  if (!is_floating(initial.dtype()) && requires_grad)
    throw Error(
        ErrorCode::dtype_mismatch,
        "a parameter of " + std::string(name_of(initial.dtype())) + " cannot have a gradient")
        .at(where.file, where.line)
        .hint("make it floating-point, or pass requires_grad = false");
  Device& device = initial.record()->device();
  shared_->meta = initial.meta();
  shared_->device = &device;
  shared_->requires_grad = requires_grad;
  shared_->actor = device.system().spawn<ParameterActor>(device, initial.detach());
}

const Meta& Parameter::meta() const noexcept { return shared_->meta; }
bool Parameter::requires_grad() const noexcept { return shared_->requires_grad; }
const Ref<ActorCell>& Parameter::cell() const noexcept { return shared_->actor.cell(); }
Device& Parameter::device() const noexcept { return *shared_->device; }
void Parameter::forget_read() const noexcept { shared_->current = Tensor(); }

void Parameter::set_requires_grad(bool requires_grad) {
  shared_->requires_grad = requires_grad;
  forget_read();
}

const Tensor& Parameter::tensor() const {
  if (Capture* capture = Capture::current()) return capture->read(*this);
  if (!shared_->current) {
    const Ref<ActorCell> sink = shared_->requires_grad ? cell() : nullptr;
    Awaiting awaiting = make_awaiting(
        *shared_->device, shared_->meta, sink, first_ordinal(shared_->reads++), Where{});
    shared_->actor.send(ReadValue{std::move(awaiting.cell)});
    shared_->current = std::move(awaiting.tensor);
    shared_->device->system().run_ready();
  }
  return shared_->current;
}

Tensor Parameter::grad() const {
  if (Capture* capture = Capture::current()) return capture->grad(*this);
  return ask_for(*shared_->device, shared_->meta, [&](const Ref<ActorCell>& to) {
    shared_->actor.send(ReadGradient{to});
  });
}

void Parameter::zero_grad() {
  if (Capture* capture = Capture::current()) return capture->zero_grad(*this);
  shared_->actor.send(ZeroGrad{});
  forget_read();  // so that an update that failed since is told to the next use
}

void Parameter::set_grad(const Tensor& gradient) {
  check_fits(shared_->meta, *shared_->device, gradient, "gradient");
  if (Capture* capture = Capture::current()) return capture->set_grad(*this, gradient);
  shared_->actor.send(SetGradient{gradient.detach()});
}

void Parameter::set(const Tensor& value) {
  check_fits(shared_->meta, *shared_->device, value, "value");
  if (Capture* capture = Capture::current()) return capture->set(*this, value);
  shared_->actor.send(SetValue{value.detach()});
  forget_read();
}

namespace {

void check_states(std::size_t count) {
  if (count > states_max)
    throw Error(
        ErrorCode::unsupported,
        std::to_string(count) + " states for a parameter, which keeps at most " +
            std::to_string(states_max));
}

/// Throws unless the rule takes value, states, gradient and scalars and gives value and states.
void check_rule(
    const Meta& meta, const OpInstance& rule, std::uint32_t states, const Meta& scalars) {
  check_states(states);
  std::array<Meta, states_max + 3> inputs;
  std::fill_n(inputs.begin(), states + 2, meta);
  inputs[states + 2] = scalars;
  Metas outputs;
  rule.info().infer(rule.attributes(), std::span(inputs).first(states + 3), outputs);
  bool fits = outputs.size() == states + 1;
  for (const Meta& output : outputs) fits &= output == meta;
  if (!fits)
    throw Error(
        ErrorCode::shape_mismatch,
        "an update rule for " + to_string(meta) + " and " + std::to_string(states) +
            " states does not give as many values of that dtype and shape");
}

}  // namespace

void Parameter::apply(const OpRef& rule, std::uint32_t states, const Tensor& scalars, Where where) {
  const ParameterUpdate update{*this, rule, states, scalars};
  apply_together(std::span(&update, 1), where);
}

void Parameter::apply_as_one(
    const OpRef& rule,
    std::uint32_t states,
    const Tensor& scalars,
    Where where,
    const Ref<ActorCell>& together,
    std::uint32_t number) {
  try {
    check_live(scalars, "update's scalars", Capture::current() != nullptr);
    check_rule(shared_->meta, *rule, states, scalars.meta());
  } catch (const Error& thrown) {
    Error error = thrown;
    if (error.op().empty()) error.op(rule->info().name);
    throw std::move(error).at(where.file, where.line);
  }
  if (Capture* capture = Capture::current())
    return capture->apply(*this, rule, states, scalars, where);
  forget_read();  // first: the actor may then update in place, when nobody else reads the old value
  const std::int64_t step = Engine::of(device().system()).step.load(std::memory_order_relaxed);
  shared_->actor.send(
      Apply{rule, states, number, scalars, {where, step}, traps_nan(device().system()), together});
}

void apply_together(std::span<const ParameterUpdate> updates, Where where) {
  Ref<ActorCell> together;
  if (updates.size() > 1 && !Capture::current())
    together = updates[0]
                   .parameter.device()
                   .system()
                   .spawn<StepActor>(static_cast<std::uint32_t>(updates.size()))
                   .cell();
  std::uint32_t number = 0;
  for (const ParameterUpdate& update : updates) {
    Parameter parameter = update.parameter;
    parameter.apply_as_one(update.rule, update.states, update.scalars, where, together, number++);
  }
  if (updates.empty()) return;
  System& system = updates[0].parameter.device().system();
  if (!traps_nan(system) || system.inside_actor() || Capture::current()) return;
  // Under the trap a call waits for its result. Each parameter tells what befell the step, so that
  // none is left to tell it again later.
  std::optional<Error> first;
  for (const ParameterUpdate& update : updates) {
    try {
      (void)update.parameter.tensor().value();
    } catch (const Error& error) {
      if (!first) first = error;
    }
    update.parameter.forget_read();
  }
  if (first) throw *std::move(first);
}

std::vector<Tensor> Parameter::states() const {
  std::vector<Tensor> states;
  for (std::uint32_t i = 0;; ++i) {
    Tensor state = ask_for(*shared_->device, shared_->meta, [&](const Ref<ActorCell>& to) {
      shared_->actor.send(ReadStates{i, to});
    });
    if (!state) return states;
    states.push_back(std::move(state));
  }
}

void Parameter::set_states(const std::vector<Tensor>& states) {
  check_states(states.size());
  for (const Tensor& state : states) {
    check_live(state, "state", false);
    check_fits(shared_->meta, *shared_->device, state, "state");
  }
  SetStates message;
  for (const Tensor& state : states) message.states.push_back(state.detach());
  shared_->actor.send(std::move(message));
}

void Parameter::register_hook(GradientHook hook) {
  shared_->hooks.push_back(std::make_shared<const GradientHook>(std::move(hook)));
  Engine::of(device().system()).add_hook(*cell(), 0, shared_->hooks.back());
  shared_->actor.send(AddHook{0, shared_->hooks.back()});
}

void Parameter::Shared::check_can_move(Device& to) const {
  if (&to.system() != &device->system())
    throw Error(ErrorCode::device_mismatch, "a parameter cannot move to another system's device");
  if (Capture::current())
    throw Error(ErrorCode::in_capture, "a parameter was moved in a function that is captured")
        .hint("move the model before it is captured");
}

void Parameter::Shared::begin_on(Device& on, const Tensor& value) {
  device = &on;
  actor = on.system().spawn<ParameterActor>(on, value);
  current = Tensor();
  for (const auto& hook : hooks) {
    Engine::of(on.system()).add_hook(*actor.cell(), 0, hook);
    actor.send(AddHook{0, hook});
  }
}

void Parameter::to(Device& device) {
  if (shared_->device == &device) return;
  shared_->check_can_move(device);
  const auto moved = [&device](const Tensor& tensor) {
    std::vector<std::byte> bytes(tensor.meta().bytes());
    tensor.download(tensor.dtype(), bytes);
    return Tensor::constant(device.upload(tensor.meta(), bytes));
  };
  const Tensor value = moved(tensor());
  const Tensor gradient = grad();
  std::vector<Tensor> states = this->states();
  for (Tensor& state : states) state = moved(state);

  shared_->begin_on(device, value);
  if (gradient) set_grad(moved(gradient));
  if (!states.empty()) set_states(states);
}

void Parameter::to_empty(Device& device) {
  shared_->check_can_move(device);
  const std::vector<std::byte> zeros(meta().bytes());
  shared_->begin_on(device, Tensor::constant(device.upload(meta(), zeros)));
}

Tensor requires_grad(const Tensor& tensor, Where where) {
  if (!is_floating(tensor.dtype()))
    throw Error(
        ErrorCode::dtype_mismatch,
        "a tensor of " + std::string(name_of(tensor.dtype())) + " cannot have a gradient")
        .at(where.file, where.line)
        .hint("cast(x, DType::float32) first");
  Device& device = tensor.record()->device();
  const Value value = tensor.value();
  const auto actor = device.system().spawn<ParameterActor>(device, Tensor::constant(value));
  return Tensor::adopt(Record::make_constant(value, actor.cell(), where), 0);
}

namespace {

/// Throws unless the tensor is one whose gradient comes in messages.
void check_differentiable(const Tensor& tensor, std::string_view what, Where where) {
  if (!tensor)
    throw Error(ErrorCode::invalid_argument, "an undefined tensor has no gradient")
        .at(where.file, where.line);
  if (tensor.record()->captured())
    throw Error(
        ErrorCode::in_capture,
        std::string(what) + " a tensor " + to_string(tensor.meta()) + " that a capture recorded")
        .at(where.file, where.line)
        .hint("run this part define-by-run");
  if (!tensor.requires_grad())
    throw Error(
        ErrorCode::not_differentiable,
        std::string(what) + " a tensor " + to_string(tensor.meta()) + " without a gradient")
        .at(where.file, where.line);
}

}  // namespace

Tensor grad_of(const Tensor& tensor, Where where) {
  check_differentiable(tensor, "a gradient was asked of", where);
  const Record& record = *tensor.record();
  Ref<ActorCell> keeper = record.gradients_to();
  if (!record.is_leaf()) {
    keeper = Engine::of(record.device().system()).gradient_keeper(*keeper, tensor.output());
    if (!keeper)
      throw Error(
          ErrorCode::invalid_argument,
          "only leaves keep a gradient, not " + to_string(tensor.meta()) + ", which an op made")
          .op(record.op()->info().name)
          .at(where.file, where.line)
          .hint("call retain_grad(tensor) before backward()");
  }
  return ask_for(record.device(), tensor.meta(), [&](const Ref<ActorCell>& to) {
    Address<ReadGradient>(keeper).send(ReadGradient{to});
  });
}

void retain_grad(const Tensor& tensor, Where where) {
  check_differentiable(tensor, "the gradient was to be kept of", where);
  const Record& record = *tensor.record();
  if (record.is_leaf()) return;
  Device& device = record.device();
  Engine& engine = Engine::of(device.system());
  const Ref<ActorCell>& cell = record.gradients_to();
  if (engine.gradient_keeper(*cell, tensor.output())) return;
  engine.keep_gradient(
      *cell, tensor.output(), device.system().spawn<ParameterActor>(device, tensor.meta()).cell());
  Address<AddHook>(cell).send(AddHook{tensor.output(), nullptr});
}

void register_hook(const Tensor& tensor, GradientHook hook, Where where) {
  check_differentiable(tensor, "a hook was put on", where);
  const Ref<ActorCell>& cell = tensor.record()->gradients_to();
  auto shared = std::make_shared<const GradientHook>(std::move(hook));
  Engine::of(tensor.record()->device().system()).add_hook(*cell, tensor.output(), shared);
  Address<AddHook>(cell).send(AddHook{tensor.output(), std::move(shared)});
}

}  // namespace troupe
