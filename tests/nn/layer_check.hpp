#pragma once

#include "golden.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/nn/any_module.hpp>
#include <troupe/tensor/ops/mul.hpp>

#include <string>

namespace troupe::nn::test {

/// Runs a layer on PyTorch's weights and input, forward and backward, and compares outputs,
/// gradients and buffers.
///
/// @param batches    above 1: as make_golden.py, on 2x, 3x, … before, and in eval mode afterwards
/// @param tolerance  float32 of both libraries: a few roundings for each element that a sum runs
///                   over
inline void check_layer(
    const std::string& name, const AnyModule& layer, int batches = 1, double tolerance = 2e-6) {
  static const Golden golden("layers.txt");
  CAPTURE(name);

  StateDict state;
  for (const auto& [key, value] : golden.below(name + ".state."))
    state.emplace_back(key, value.tensor());
  layer.load_state_dict(state);

  Tensor x = golden[name + ".x"].tensor();
  for (int i = 1; i < batches; ++i) (void)layer(x * static_cast<float>(i + 1));
  const bool has_dx = golden.find(name + ".dx") != nullptr;
  if (has_dx) x = requires_grad(x);
  const Tensor y = layer(x);
  check_near(y, golden[name + ".y"], tolerance);
  if (y.requires_grad()) backward(y, golden[name + ".dy"].tensor());
  if (has_dx) check_near(grad_of(x), golden[name + ".dx"], tolerance);

  const auto gradients = golden.below(name + ".grad.");
  CHECK(gradients.size() == layer.named_parameters().size());
  for (const auto& [key, gradient] : gradients) {
    CAPTURE(key);
    check_near(layer.parameter(key).grad(), gradient, tolerance);
  }
  const auto buffers = golden.below(name + ".after.");
  CHECK(buffers.size() == layer.named_buffers().size());
  for (const auto& [key, buffer] : buffers) {
    CAPTURE(key);
    check_near(layer.parameter(key).tensor(), buffer, tolerance);
  }
  if (batches > 1) {
    layer.eval();
    check_near(layer(x), golden[name + ".y_eval"], tolerance);
  }
}

}  // namespace troupe::nn::test
