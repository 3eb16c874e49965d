#pragma once

#include <troupe/nn/optimizer.hpp>

#include <vector>

namespace troupe::optim {

struct SGDOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
  bool maximize = false;
};

/// Stochastic gradient descent; `SgdUpdate` has the formula. States: momentum_buffer.
///
///     optim::SGD optimizer(net.parameters(), {.lr = 0.1, .momentum = 0.9});
class SGD : public Optimizer {
 public:
  explicit SGD(const std::vector<Parameter>& parameters, const SGDOptions& options = {});
  using Optimizer::add_param_group;
  void add_param_group(const std::vector<Parameter>& parameters, const SGDOptions& options);
};

}  // namespace troupe::optim
