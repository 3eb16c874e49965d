#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/tensor/ops/relu.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace troupe;

TEST_CASE("a sequence calls its modules in order and numbers them", "[nn]") {
  test::Engine engine;
  const nn::Linear first(4, 3);
  const nn::Linear second(3, 2);
  const nn::Sequential net{nn::Flatten(), first, nn::ReLU(), second};
  const Tensor x = Tensor::copy_of<float>(test::numbers(8, 1), {2, 2, 2});
  const Tensor rows = Tensor::copy_of<float>(test::numbers(8, 1), {2, 4});
  CHECK(net(x).to_vector<float>() == second(relu(first(rows))).to_vector<float>());
  CHECK(net.size() == 4);
  CHECK(net[1] == first);
  CHECK_THROWS_AS(net[4], Error);
  std::vector<std::string> names;
  for (const auto& [name, parameter] : net.named_parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"1.weight", "1.bias", "3.weight", "3.bias"});
}

TEST_CASE("sequences grow, nest and take names", "[nn]") {
  test::Engine engine;
  nn::Sequential net;
  const nn::Sequential shared = net;
  net.append("fc", nn::Linear(2, 2));
  net.append(nn::Sequential{nn::ReLU(), nn::Linear(2, 1)});
  CHECK(shared.size() == 2);
  CHECK(shared.parameter("fc.weight").shape() == Shape{2, 2});
  CHECK(shared.parameter("1.1.bias").shape() == Shape{1});
  CHECK_THROWS_AS(net.append("fc", nn::ReLU()), Error);
  const Tensor x = Tensor::copy_of<float>(test::numbers(4, 1), {2, 2});
  CHECK(net(x).shape() == Shape{2, 1});
  CHECK(nn::Sequential()(x).shape() == Shape{2, 2});
}

TEST_CASE("a sequence says which of its modules failed, and whose call it was", "[nn]") {
  test::Engine engine;
  const nn::Sequential net{nn::Linear(4, 3), nn::ReLU(), nn::Linear(5, 2)};
  const Tensor x = Tensor::copy_of<float>(test::numbers(8, 1), {2, 4});
  const std::uint32_t line = __LINE__ + 2;
  try {
    (void)net(x);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.op() == "linear in layer 2, Linear(in_features=5, out_features=2, bias=True)");
    CHECK(error.line() == line);
    CHECK(error.file().ends_with("sequential_test.cpp"));
  }
}

TEST_CASE("a list of modules registers each", "[nn]") {
  test::Engine engine;
  nn::ModuleList<nn::Linear> layers;
  for (int i = 0; i < 3; ++i) layers.append(nn::Linear(2, 2));
  nn::Module net;
  net.register_module("layers", layers);
  CHECK(net.parameter("layers.2.weight") == layers[2].weight());
  std::size_t seen = 0;
  for (const nn::Linear& layer : layers) seen += layer.parameters().size();
  CHECK(seen == 6);
}
