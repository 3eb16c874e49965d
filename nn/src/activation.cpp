#include "text.hpp"

#include <troupe/nn/activation.hpp>
#include <troupe/tensor/ops/elu.hpp>
#include <troupe/tensor/ops/leaky_relu.hpp>
#include <troupe/tensor/ops/log_softmax.hpp>
#include <troupe/tensor/ops/relu.hpp>
#include <troupe/tensor/ops/sigmoid.hpp>
#include <troupe/tensor/ops/silu.hpp>
#include <troupe/tensor/ops/softmax.hpp>
#include <troupe/tensor/ops/softplus.hpp>
#include <troupe/tensor/ops/tanh.hpp>

namespace troupe::nn {

LeakyReLU::LeakyReLU(double negative_slope)
    : Layer("LeakyReLU", "negative_slope=" + text_of(negative_slope)),
      negative_slope_(negative_slope) {}
ELU::ELU(double alpha) : Layer("ELU", "alpha=" + text_of(alpha)), alpha_(alpha) {}
GELU::GELU(GeluForm approximate)
    : Layer("GELU", approximate == GeluForm::none ? "approximate='none'" : "approximate='tanh'"),
      approximate_(approximate) {}
Softmax::Softmax(std::int64_t dim) : Layer("Softmax", "dim=" + text_of(dim)), dim_(dim) {}
LogSoftmax::LogSoftmax(std::int64_t dim) : Layer("LogSoftmax", "dim=" + text_of(dim)), dim_(dim) {}

Tensor ReLU::forward(const Operand& input) const { return relu(input); }
Tensor LeakyReLU::forward(const Operand& input) const { return leaky_relu(input, negative_slope_); }
Tensor ELU::forward(const Operand& input) const { return elu(input, alpha_); }
Tensor GELU::forward(const Operand& input) const { return gelu(input, approximate_); }
Tensor SiLU::forward(const Operand& input) const { return silu(input); }
Tensor Sigmoid::forward(const Operand& input) const { return sigmoid(input); }
Tensor Tanh::forward(const Operand& input) const { return tanh(input); }
Tensor Softplus::forward(const Operand& input) const { return softplus(input); }
Tensor Softmax::forward(const Operand& input) const { return softmax(input, dim_); }
Tensor LogSoftmax::forward(const Operand& input) const { return log_softmax(input, dim_); }

}  // namespace troupe::nn
