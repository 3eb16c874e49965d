#include "walk.hpp"

#include <troupe/autograd/capture.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/identity.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

namespace troupe {

Capture::Capture(Device& device) : device_(&device), random_(Scope::current().random()) {}
Capture::~Capture() = default;

Capture* Capture::current() noexcept {
  Scope* scope = Scope::current_or_null();
  return scope ? dynamic_cast<Capture*>(scope->builder()) : nullptr;
}

void Capture::add(
    Device& device,
    const OpRef& op,
    std::span<const Tensor* const> inputs,
    std::span<const Meta> metas,
    bool requires_grad,
    Where where,
    std::span<Tensor> outputs) {
  for (const Tensor* input : inputs)
    if (!input->record()->captured() && input->requires_grad())
      throw Error(
          ErrorCode::unsupported,
          "a live tensor " + to_string(input->meta()) +
              " that requires a gradient was used inside a capture, which cannot reach back to it")
          .op(op->info().name)
          .at(where.file, where.line)
          .hint("pass it as an input, make it a Parameter, or detach() it");
  Record* record = Record::make_captured(device, op, inputs, metas, requires_grad, where);
  order_.push_back(Ref<Record>::share(record));
  Scope& scope = Scope::current();
  if (op->info().random) calls_.push_back(scope.random().call() - random_.call());
  const Turn* turn = scope.turn();
  vjps_of_.push_back(turn ? turn->vjp_of : std::string_view());
  for (std::size_t k = 1; k < outputs.size(); ++k)
    outputs[k] = Tensor::share(record, static_cast<std::uint32_t>(k));
  outputs[0] = Tensor::adopt(record, 0);
}

Tensor Capture::make_leaf(Device& device, const Meta& meta, Ref<ActorCell> sink, Where where) {
  return Tensor::adopt(
      Record::make_captured_leaf(device, make_op(Identity{}), meta, std::move(sink), where), 0);
}

Tensor Capture::input(const Meta& meta, Where where) {
  inputs_.push_back(make_leaf(*device_, meta, nullptr, where));
  return inputs_.back();
}

Tensor Capture::scalars(ScalarSource source, std::size_t count) {
  const Meta meta{DType::float64, {static_cast<std::int64_t>(count)}};
  scalars_.emplace_back(make_leaf(*device_, meta, nullptr, Where{}), std::move(source));
  return scalars_.back().first;
}

Capture::Used& Capture::used(const Parameter& parameter) {
  const auto [place, is_new] = index_of_.try_emplace(parameter.cell().get(), used_.size());
  if (is_new) {
    Used used;
    used.parameter = parameter;
    used.leaf = make_leaf(
        parameter.device(),
        parameter.meta(),
        parameter.requires_grad() ? parameter.cell() : nullptr,
        Where{});
    used.current.push_back(used.leaf);
    used_.push_back(std::move(used));
  }
  return used_[place->second];
}

const Tensor& Capture::read(const Parameter& parameter) {
  Used& used = this->used(parameter);
  if (used.written && parameter.requires_grad() && Scope::current().grad_enabled())
    throw Error(
        ErrorCode::unsupported,
        "a parameter " + to_string(parameter.meta()) + " is read again after its update")
        .hint("one capture is one update: end the captured function at the optimizer's step");
  return used.current[0];
}

void Capture::backward(const Tensor& root, const Tensor& gradient, Where where) {
  const Tensor start = root_gradient(root, gradient, where);
  if (!root.record()->captured())
    throw Error(
        ErrorCode::unsupported,
        "a backward pass inside a capture was started at a live tensor " + to_string(root.meta()) +
            ", which no run would compute again")
        .at(where.file, where.line)
        .hint("go backward outside of the capture, or compute the tensor in it");
  const NoGrad no_grad;
  symbolic_backward(
      std::span(&root, 1),
      std::span(&start, 1),
      {},
      [](void* context, Record& leaf, const Tensor& sum) {
        auto& self = *static_cast<Capture*>(context);
        const auto found = self.index_of_.find(leaf.gradients_to().get());
        if (found == self.index_of_.end()) return;
        Used& used = self.used_[found->second];
        used.gradient = used.gradient ? used.gradient + sum : sum;
        used.gradient_summed = used.gradient_left = true;
      },
      this,
      where);
}

Tensor Capture::grad(const Parameter& parameter) {
  Used& used = this->used(parameter);
  used.gradient_left = false;
  return used.gradient;
}

void Capture::zero_grad(const Parameter& parameter) {
  Used& used = this->used(parameter);
  used.gradient = Tensor();
  used.gradient_cleared = true;
  used.gradient_left = false;
}

void Capture::set_grad(const Parameter& parameter, const Tensor& gradient) {
  Used& used = this->used(parameter);
  used.gradient = gradient;
  used.gradient_cleared = used.gradient_left = true;
}

void Capture::check_gradients(Where where) const {
  for (const Used& used : used_) {
    const std::string parameter = "a parameter " + to_string(used.parameter.meta());
    if (used.gradient_left)
      throw Error(
          ErrorCode::unsupported,
          "the captured function leaves a gradient for " + parameter + ", where runs keep none")
          .at(where.file, where.line)
          .hint("step the optimizer in it, or return parameter.grad(), or use grad()");
    if (used.gradient_summed && !used.gradient_cleared)
      throw Error(
          ErrorCode::unsupported,
          "the captured function adds to the gradient of " + parameter +
              " that an earlier run left, where runs keep none")
          .at(where.file, where.line)
          .hint("call zero_grad() in it");
  }
}

void Capture::set(const Parameter& parameter, const Tensor& value) {
  Used& used = this->used(parameter);
  used.current[0] = value;
  used.written = true;
}

void Capture::apply(
    const Parameter& parameter,
    const OpRef& rule,
    std::uint32_t states,
    const Tensor& scalars,
    Where where) {
  Used& used = this->used(parameter);
  if (!used.gradient) return;
  used.gradient_left = false;
  while (used.states.size() < states) {
    used.states.push_back(make_leaf(parameter.device(), parameter.meta(), nullptr, Where{}));
    used.current.push_back(used.states.back());
  }
  std::vector<Tensor> inputs = used.current;
  inputs.push_back(used.gradient);
  const NoGrad no_grad;
  inputs.push_back(to(scalars, parameter.device(), where));
  apply_donating(rule, inputs, used.current, where);
  used.written = true;
}

}  // namespace troupe
