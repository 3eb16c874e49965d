#pragma once

#include <troupe/nn/module.hpp>
#include <troupe/tensor/reduction.hpp>

#include <cstdint>

/// Losses as modules; the functions of the same names say what they compute, and what they take.
namespace troupe::nn {

/// Of logits [N, C] or [N, C, d1, ...] against classes or probabilities.
class CrossEntropyLoss : public Module {
 public:
  /// @param weight  of each class, [C]; a buffer, as in PyTorch
  explicit CrossEntropyLoss(
      const Tensor& weight = {},
      std::int64_t ignore_index = -100,
      Reduction reduction = Reduction::mean,
      double label_smoothing = 0);
  Tensor operator()(const Operand& input, const Operand& target) const {
    return forward(input, target);
  }
  [[nodiscard]] Tensor forward(const Operand& input, const Operand& target) const;

 private:
  Parameter weight_;
  std::int64_t ignore_index_;
  Reduction reduction_;
  double label_smoothing_;
};

/// Of log-probabilities against classes.
class NLLLoss : public Module {
 public:
  explicit NLLLoss(
      const Tensor& weight = {},
      std::int64_t ignore_index = -100,
      Reduction reduction = Reduction::mean);
  Tensor operator()(const Operand& input, const Operand& target) const {
    return forward(input, target);
  }
  [[nodiscard]] Tensor forward(const Operand& input, const Operand& target) const;

 private:
  Parameter weight_;
  std::int64_t ignore_index_;
  Reduction reduction_;
};

/// (input − target)²
class MSELoss : public Module {
 public:
  explicit MSELoss(Reduction reduction = Reduction::mean);
  Tensor operator()(const Operand& input, const Operand& target) const {
    return forward(input, target);
  }
  [[nodiscard]] Tensor forward(const Operand& input, const Operand& target) const;

 private:
  Reduction reduction_;
};

/// |input − target|
class L1Loss : public Module {
 public:
  explicit L1Loss(Reduction reduction = Reduction::mean);
  Tensor operator()(const Operand& input, const Operand& target) const {
    return forward(input, target);
  }
  [[nodiscard]] Tensor forward(const Operand& input, const Operand& target) const;

 private:
  Reduction reduction_;
};

/// Binary cross entropy of logits against probabilities.
class BCEWithLogitsLoss : public Module {
 public:
  /// @param weight      of each element, broadcast
  /// @param pos_weight  of the positive answers, broadcast
  explicit BCEWithLogitsLoss(
      const Tensor& weight = {},
      Reduction reduction = Reduction::mean,
      const Tensor& pos_weight = {});
  Tensor operator()(const Operand& input, const Operand& target) const {
    return forward(input, target);
  }
  [[nodiscard]] Tensor forward(const Operand& input, const Operand& target) const;

 private:
  Parameter weight_;
  Parameter pos_weight_;
  Reduction reduction_;
};

}  // namespace troupe::nn
