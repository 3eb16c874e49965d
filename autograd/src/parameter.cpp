#include "parameter_actor.hpp"

#include <troupe/autograd/capture.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

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
};

namespace {

/// Edges of one read are numbered on from here, so that several reads in one pass keep their order.
std::uint32_t first_ordinal(std::uint32_t read) noexcept { return (read & 0xfff) << 20; }

void check_fits(const Meta& have, const Tensor& given, std::string_view what) {
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
  check_fits(shared_->meta, gradient, "gradient");
  if (Capture* capture = Capture::current()) return capture->set_grad(*this, gradient);
  shared_->actor.send(SetGradient{gradient.detach()});
}

void Parameter::set(const Tensor& value) {
  check_fits(shared_->meta, value, "value");
  if (Capture* capture = Capture::current()) return capture->set(*this, value);
  shared_->actor.send(SetValue{value.detach()});
  forget_read();
}

void Parameter::apply(const OpRef& rule, std::uint32_t states, const Tensor& scalars) {
  if (Capture* capture = Capture::current()) return capture->apply(*this, rule, states, scalars);
  forget_read();  // first: the actor may then update in place, when nobody else reads the old value
  shared_->actor.send(Apply{rule, states, scalars});
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
  SetStates message;
  for (const Tensor& state : states) message.states.push_back(state.detach());
  shared_->actor.send(std::move(message));
}

void Parameter::register_hook(GradientHook hook) {
  shared_->hooks.push_back(std::make_shared<const GradientHook>(std::move(hook)));
  shared_->actor.send(AddHook{0, shared_->hooks.back()});
}

void Parameter::to(Device& device) {
  if (shared_->device == &device) return;
  if (&device.system() != &shared_->device->system())
    throw Error(ErrorCode::device_mismatch, "a parameter cannot move to another system's device");
  if (Capture::current())
    throw Error(ErrorCode::in_capture, "a parameter was moved in a function that is captured")
        .hint("move the model before it is captured");
  const auto moved = [&device](const Tensor& tensor) {
    std::vector<std::byte> bytes(tensor.meta().bytes());
    tensor.download(tensor.dtype(), bytes);
    return Tensor::constant(device.upload(tensor.meta(), bytes));
  };
  const Tensor value = moved(tensor());
  const Tensor gradient = grad();
  std::vector<Tensor> states = this->states();
  for (Tensor& state : states) state = moved(state);

  shared_->device = &device;
  shared_->actor = device.system().spawn<ParameterActor>(device, value);
  forget_read();
  for (const auto& hook : shared_->hooks) shared_->actor.send(AddHook{0, hook});
  if (gradient) set_grad(moved(gradient));
  if (!states.empty()) set_states(states);
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

Tensor grad_of(const Tensor& leaf, Where where) {
  const Record& record = *leaf.record();
  if (!record.is_leaf())
    throw Error(ErrorCode::invalid_argument, "only leaves keep a gradient")
        .at(where.file, where.line)
        .hint("register_hook(tensor, …) or grad(output, tensor) give the gradient of others");
  return ask_for(record.device(), leaf.meta(), [&](const Ref<ActorCell>& to) {
    Address<ReadGradient>(record.gradients_to()).send(ReadGradient{to});
  });
}

void register_hook(const Tensor& tensor, GradientHook hook, Where where) {
  if (tensor.record()->captured())
    throw Error(ErrorCode::in_capture, "a hook was put on a tensor that a capture recorded")
        .at(where.file, where.line)
        .hint("run this part define-by-run");
  if (!tensor.requires_grad())
    throw Error(ErrorCode::not_differentiable, "a hook was put on a tensor without a gradient")
        .at(where.file, where.line);
  Address<AddHook>(tensor.record()->gradients_to())
      .send(AddHook{tensor.output(), std::make_shared<const GradientHook>(std::move(hook))});
}

}  // namespace troupe
