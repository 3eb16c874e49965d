#pragma once

#include <troupe/nn/module.hpp>
#include <troupe/tensor/ops/gelu.hpp>

#include <cstdint>

/// Functions of one element, and the two that make a distribution of an axis, as modules. Names and
/// defaults as in torch.nn; the ops of the same names say what they compute.
namespace troupe::nn {

class ReLU : public Layer<ReLU> {
 public:
  ReLU() : Layer("ReLU") {}
  [[nodiscard]] Tensor forward(const Operand& input) const;
};

class LeakyReLU : public Layer<LeakyReLU> {
 public:
  explicit LeakyReLU(double negative_slope = 0.01);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  double negative_slope_;
};

class ELU : public Layer<ELU> {
 public:
  explicit ELU(double alpha = 1);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  double alpha_;
};

class GELU : public Layer<GELU> {
 public:
  explicit GELU(GeluForm approximate = GeluForm::none);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  GeluForm approximate_;
};

class SiLU : public Layer<SiLU> {
 public:
  SiLU() : Layer("SiLU") {}
  [[nodiscard]] Tensor forward(const Operand& input) const;
};

class Sigmoid : public Layer<Sigmoid> {
 public:
  Sigmoid() : Layer("Sigmoid") {}
  [[nodiscard]] Tensor forward(const Operand& input) const;
};

class Tanh : public Layer<Tanh> {
 public:
  Tanh() : Layer("Tanh") {}
  [[nodiscard]] Tensor forward(const Operand& input) const;
};

class Softplus : public Layer<Softplus> {
 public:
  Softplus() : Layer("Softplus") {}
  [[nodiscard]] Tensor forward(const Operand& input) const;
};

class Softmax : public Layer<Softmax> {
 public:
  explicit Softmax(std::int64_t dim);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  std::int64_t dim_;
};

class LogSoftmax : public Layer<LogSoftmax> {
 public:
  explicit LogSoftmax(std::int64_t dim);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  std::int64_t dim_;
};

}  // namespace troupe::nn
