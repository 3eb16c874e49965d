#include "optimizer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/adam.hpp>

using namespace troupe;
using optim::Adam;
using optim::AdamW;
using optim::test::check_optimizer;

namespace {

auto adam(optim::AdamOptions options) {
  return [options](const std::vector<Parameter>& parameters) { return Adam(parameters, options); };
}
auto adamw(optim::AdamWOptions options) {
  return [options](const std::vector<Parameter>& parameters) { return AdamW(parameters, options); };
}

}  // namespace

TEST_CASE("Adam steps as PyTorch's does", "[nn]") {
  test::Engine engine;
  check_optimizer("adam", adam({}));
  check_optimizer(
      "adam_decay", adam({.lr = 0.02, .betas = {0.8, 0.95}, .eps = 1e-6, .weight_decay = 0.1}));
  check_optimizer("adam_amsgrad", adam({.lr = 0.05, .betas = {0.5, 0.6}, .amsgrad = true}));
  check_optimizer("adam_maximize", adam({.lr = 0.01, .weight_decay = 0.1, .maximize = true}));
}

TEST_CASE("AdamW steps as PyTorch's does", "[nn]") {
  test::Engine engine;
  check_optimizer("adamw", adamw({}));
  check_optimizer("adamw_decay", adamw({.lr = 0.03, .betas = {0.7, 0.9}, .weight_decay = 0.2}));
  check_optimizer("adamw_amsgrad", adamw({.lr = 0.05, .betas = {0.5, 0.6}, .amsgrad = true}));
}

TEST_CASE("Adam refuses settings out of range", "[nn]") {
  test::Engine engine;
  const std::vector<float> zeros(2);
  const std::vector<Parameter> parameters{Parameter(Tensor::copy_of<float>(zeros, {2}))};
  CHECK_THROWS_AS(Adam(parameters, {.lr = -1}), Error);
  CHECK_THROWS_AS(Adam(parameters, {.betas = {1, 0.9}}), Error);
  CHECK_THROWS_AS(Adam(parameters, {.betas = {0.9, -0.1}}), Error);
  CHECK_THROWS_AS(Adam(parameters, {.eps = -1}), Error);
  CHECK_THROWS_AS(AdamW(parameters, {.weight_decay = -1}), Error);
}
