#include "optimizer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/sgd.hpp>

using namespace troupe;
using optim::SGD;
using optim::test::check_optimizer;

namespace {

auto with(optim::SGDOptions options) {
  return [options](const std::vector<Parameter>& parameters) { return SGD(parameters, options); };
}

}  // namespace

TEST_CASE("SGD steps as PyTorch's does", "[nn]") {
  test::Engine engine;
  check_optimizer("sgd", with({.lr = 0.1}));
  check_optimizer("sgd_decay", with({.lr = 0.1, .weight_decay = 0.05}));
  check_optimizer("sgd_momentum", with({.lr = 0.1, .momentum = 0.9}));
  check_optimizer("sgd_dampening", with({.lr = 0.1, .momentum = 0.8, .dampening = 0.3}));
  check_optimizer(
      "sgd_nesterov", with({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}));
  check_optimizer(
      "sgd_maximize", with({.lr = 0.1, .momentum = 0.5, .weight_decay = 0.1, .maximize = true}));
}

TEST_CASE("SGD refuses settings out of range", "[nn]") {
  test::Engine engine;
  const std::vector<float> zeros(2);
  const std::vector<Parameter> parameters{Parameter(Tensor::copy_of<float>(zeros, {2}))};
  CHECK_THROWS_AS(SGD(parameters, {.lr = -0.1}), Error);
  CHECK_THROWS_AS(SGD(parameters, {.momentum = -1}), Error);
  CHECK_THROWS_AS(SGD(parameters, {.weight_decay = -1}), Error);
  CHECK_THROWS_AS(SGD(parameters, {.nesterov = true}), Error);
  CHECK_THROWS_AS(SGD(parameters, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}), Error);
}
