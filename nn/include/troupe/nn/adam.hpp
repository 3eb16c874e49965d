#pragma once

#include <troupe/nn/optimizer.hpp>

#include <array>
#include <vector>

namespace troupe::optim {

struct AdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;
  bool maximize = false;
};

/// Adam; `AdamUpdate` has the formula. States: exp_avg, exp_avg_sq, and max_exp_avg_sq with
/// amsgrad.
///
///     optim::Adam optimizer(net.parameters(), {.lr = 1e-3});
class Adam : public Optimizer {
 public:
  explicit Adam(const std::vector<Parameter>& parameters, const AdamOptions& options = {});
  using Optimizer::add_param_group;
  void add_param_group(const std::vector<Parameter>& parameters, const AdamOptions& options);
};

struct AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
  bool maximize = false;
};

/// Adam whose weight decay acts on the weights, not through the gradient.
class AdamW : public Optimizer {
 public:
  explicit AdamW(const std::vector<Parameter>& parameters, const AdamWOptions& options = {});
  using Optimizer::add_param_group;
  void add_param_group(const std::vector<Parameter>& parameters, const AdamWOptions& options);
};

}  // namespace troupe::optim
