#include "optional_parameter.hpp"

#include <troupe/nn/loss.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/ops/losses.hpp>
#include <troupe/tensor/ops/nll_loss.hpp>

namespace troupe::nn {

CrossEntropyLoss::CrossEntropyLoss(
    const Tensor& weight, std::int64_t ignore_index, Reduction reduction, double label_smoothing)
    : Module("CrossEntropyLoss"),
      weight_(register_buffer("weight", weight)),
      ignore_index_(ignore_index),
      reduction_(reduction),
      label_smoothing_(label_smoothing) {}
Tensor CrossEntropyLoss::forward(const Operand& input, const Operand& target) const {
  return cross_entropy(
      input, target, tensor_of(weight_), ignore_index_, reduction_, label_smoothing_);
}

NLLLoss::NLLLoss(const Tensor& weight, std::int64_t ignore_index, Reduction reduction)
    : Module("NLLLoss"),
      weight_(register_buffer("weight", weight)),
      ignore_index_(ignore_index),
      reduction_(reduction) {}
Tensor NLLLoss::forward(const Operand& input, const Operand& target) const {
  return nll_loss(input, target, tensor_of(weight_), ignore_index_, reduction_);
}

MSELoss::MSELoss(Reduction reduction) : Module("MSELoss"), reduction_(reduction) {}
Tensor MSELoss::forward(const Operand& input, const Operand& target) const {
  return mse_loss(input, target, reduction_);
}

L1Loss::L1Loss(Reduction reduction) : Module("L1Loss"), reduction_(reduction) {}
Tensor L1Loss::forward(const Operand& input, const Operand& target) const {
  return l1_loss(input, target, reduction_);
}

BCEWithLogitsLoss::BCEWithLogitsLoss(
    const Tensor& weight, Reduction reduction, const Tensor& pos_weight)
    : Module("BCEWithLogitsLoss"),
      weight_(register_buffer("weight", weight)),
      pos_weight_(register_buffer("pos_weight", pos_weight)),
      reduction_(reduction) {}
Tensor BCEWithLogitsLoss::forward(const Operand& input, const Operand& target) const {
  return binary_cross_entropy_with_logits(
      input, target, tensor_of(weight_), reduction_, tensor_of(pos_weight_));
}

}  // namespace troupe::nn
