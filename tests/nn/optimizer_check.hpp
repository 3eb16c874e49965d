#pragma once

#include "golden.hpp"
#include "support/engine.hpp"

#include <troupe/nn/optimizer.hpp>

#include <string>
#include <vector>

namespace troupe::optim::test {

/// Row t of a matrix, as a vector of its own.
inline nn::test::GoldenTensor row(const nn::test::GoldenTensor& matrix, std::int64_t t) {
  const std::int64_t size = matrix.shape[1];
  const auto begin = matrix.numbers.begin() + t * size;
  return {matrix.dtype, {size}, {begin, begin + size}};
}

/// Takes PyTorch's steps with its gradients, in float64, and compares the weights after each.
template <class Make>
void check_optimizer(const std::string& name, const Make& make) {
  static const nn::test::Golden golden("optimizers.txt");
  CAPTURE(name);
  Parameter weight(golden["start"].tensor());
  Optimizer optimizer = make(std::vector<Parameter>{weight});
  const nn::test::GoldenTensor& gradients = golden["gradients"];
  for (std::int64_t t = 0; t < gradients.shape[0]; ++t) {
    CAPTURE(t);
    weight.set_grad(row(gradients, t).tensor());
    optimizer.step();
    // In double: only the order of a few operations differs.
    nn::test::check_near(weight.tensor(), row(golden[name], t), 1e-13);
  }
  CHECK(optimizer.steps() == gradients.shape[0]);
}

}  // namespace troupe::optim::test
