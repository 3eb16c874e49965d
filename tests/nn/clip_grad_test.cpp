#include "golden.hpp"
#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/clip_grad.hpp>

#include <limits>

using namespace troupe;

namespace {

const nn::test::Golden& golden() {
  static const nn::test::Golden golden("clipping.txt");
  return golden;
}

std::vector<Parameter> with_gradients() {
  std::vector<Parameter> parameters;
  for (const char* name : {"gradient.0", "gradient.1"}) {
    const Tensor gradient = golden()[name].tensor();
    parameters.push_back(Parameter(gradient));
    parameters.back().set_grad(gradient);
  }
  return parameters;
}

void check_gradients(const std::string& name, const std::vector<Parameter>& parameters) {
  CAPTURE(name);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    nn::test::check_near(parameters[i].grad(), golden()[name + "." + std::to_string(i)], 1e-6);
}

void check_norm(const std::string& name, double max_norm, double norm_type) {
  const std::vector<Parameter> parameters = with_gradients();
  const Tensor norm = nn::clip_grad_norm_(parameters, max_norm, norm_type);
  nn::test::check_near(norm, golden()[name + ".norm"], 1e-6);
  check_gradients(name, parameters);
}

}  // namespace

TEST_CASE("gradients are clipped as PyTorch does", "[nn]") {
  test::Engine engine;
  check_norm("norm", 1.5, 2);
  check_norm("norm_large", 100, 2);
  check_norm("norm_1", 2, 1);
  check_norm("norm_inf", 0.5, std::numeric_limits<double>::infinity());

  const std::vector<Parameter> parameters = with_gradients();
  nn::clip_grad_value_(parameters, 0.75);
  check_gradients("value", parameters);
}

TEST_CASE("clipping passes over parameters without gradient", "[nn]") {
  test::Engine engine;
  const std::vector<float> ones(2, 1.0F);
  const std::vector<Parameter> parameters{Parameter(Tensor::copy_of<float>(ones, {2}))};
  CHECK(nn::clip_grad_norm_(parameters, 1).item() == 0);
  CHECK(!parameters[0].grad());
  CHECK_THROWS_AS(nn::clip_grad_norm_(parameters, 1, 0), Error);
}
