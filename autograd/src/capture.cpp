#include "walk.hpp"

#include <troupe/autograd/capture.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/identity.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

namespace troupe {

Capture::Capture(Device& device) : device_(&device) {}
Capture::~Capture() = default;

Capture* Capture::current() noexcept {
  Scope* scope = Scope::current_or_null();
  return scope ? dynamic_cast<Capture*>(scope->builder()) : nullptr;
}

void Capture::add(
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
  Record* record = Record::make_captured(*device_, op, inputs, metas, requires_grad, where);
  order_.push_back(Ref<Record>::share(record));
  for (std::size_t k = 1; k < outputs.size(); ++k)
    outputs[k] = Tensor::share(record, static_cast<std::uint32_t>(k));
  outputs[0] = Tensor::adopt(record, 0);
}

Tensor Capture::make_leaf(const Meta& meta, Ref<ActorCell> sink, Where where) {
  return Tensor::adopt(
      Record::make_captured_leaf(*device_, make_op(Identity{}), meta, std::move(sink), where), 0);
}

Tensor Capture::input(const Meta& meta, Where where) {
  inputs_.push_back(make_leaf(meta, nullptr, where));
  return inputs_.back();
}

Tensor Capture::scalars(ScalarSource source, std::size_t count) {
  const Meta meta{DType::float64, {static_cast<std::int64_t>(count)}};
  scalars_.emplace_back(make_leaf(meta, nullptr, Where{}), std::move(source));
  return scalars_.back().first;
}

Capture::Used& Capture::used(const Parameter& parameter) {
  const auto [place, is_new] = index_of_.try_emplace(parameter.cell().get(), used_.size());
  if (is_new) {
    Used used;
    used.parameter = parameter;
    used.leaf = make_leaf(
        parameter.meta(), parameter.requires_grad() ? parameter.cell() : nullptr, Where{});
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
  const NoGrad no_grad;
  symbolic_backward(
      std::span(&root, 1),
      std::span(&start, 1),
      {},
      [](void* context, Record& leaf, const Tensor& sum) {
        auto& self = *static_cast<Capture*>(context);
        const auto found = self.index_of_.find(leaf.gradients_to().get());
        if (found == self.index_of_.end()) return;
        Tensor& total = self.used_[found->second].gradient;
        total = total ? total + sum : sum;
      },
      this,
      where);
}

Tensor Capture::grad(const Parameter& parameter) { return used(parameter).gradient; }
void Capture::zero_grad(const Parameter& parameter) { used(parameter).gradient = Tensor(); }

void Capture::set_grad(const Parameter& parameter, const Tensor& gradient) {
  used(parameter).gradient = gradient;
}

void Capture::set(const Parameter& parameter, const Tensor& value) {
  Used& used = this->used(parameter);
  used.current[0] = value;
  used.written = true;
}

void Capture::apply(
    const Parameter& parameter, const OpRef& rule, std::uint32_t states, const Tensor& scalars) {
  Used& used = this->used(parameter);
  if (!used.gradient) return;
  while (used.states.size() < states) {
    used.states.push_back(make_leaf(parameter.meta(), nullptr, Where{}));
    used.current.push_back(used.states.back());
  }
  std::vector<Tensor> inputs = used.current;
  inputs.push_back(used.gradient);
  inputs.push_back(scalars);
  const NoGrad no_grad;
  apply_donating(rule, inputs, used.current);
  used.written = true;
}

}  // namespace troupe
