#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/core/error.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/module.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/sum.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <string>
#include <vector>

using namespace troupe;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Layers registered where they are declared, and a parameter and a buffer of its own.
struct Block : nn::Module {
  Block() : Module("Block") {}
  nn::Linear fc = register_module("fc", nn::Linear(3, 2));
  nn::BatchNorm1d norm = register_module("norm", nn::BatchNorm1d(2));
  Parameter scale = register_parameter("scale", nn::init::ones({2}));
  Parameter offset = register_buffer("offset", nn::init::zeros({2}));
  Parameter cache = register_buffer("cache", nn::init::zeros({7}), false);

  Tensor forward(const Tensor& x) const { return norm(fc(x)) * scale.tensor(); }
};

std::vector<std::string> names_of(const std::vector<std::pair<std::string, Parameter>>& named) {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : named) names.push_back(name);
  return names;
}
std::vector<std::string> names_of(const nn::StateDict& state) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state) names.push_back(name);
  return names;
}
using Names = std::vector<std::string>;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("names and order are PyTorch's", "[nn]") {
  test::Engine engine;
  const Block block;
  CHECK(
      names_of(block.named_parameters()) ==
      Names{"scale", "fc.weight", "fc.bias", "norm.weight", "norm.bias"});
  CHECK(
      names_of(block.named_buffers()) ==
      Names{
          "offset", "cache", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"});
  CHECK(
      names_of(block.state_dict()) == Names{
                                          "scale",
                                          "offset",
                                          "fc.weight",
                                          "fc.bias",
                                          "norm.weight",
                                          "norm.bias",
                                          "norm.running_mean",
                                          "norm.running_var",
                                          "norm.num_batches_tracked"});
  CHECK(block.parameter_count() == 2 + 6 + 2 + 2 + 2);
  CHECK(block.parameter("fc.bias") == block.fc.bias());
  CHECK(block.named_modules().size() == 3);
  CHECK_THAT(
      message_of([&] { (void)block.parameter("fc.wieght"); }), ContainsSubstring("fc.weight"));
}

TEST_CASE("a module is a handle: copies share weights and mode", "[nn]") {
  test::Engine engine;
  const Block block;
  const Block copy = block;
  nn::init::constant_(copy.fc.weight(), 3);
  CHECK(block.fc.weight().tensor().to_vector<float>() == std::vector<float>(6, 3.0F));
  copy.eval();
  CHECK(!block.fc.training());
  CHECK(!block.norm.training());
  block.train();
  CHECK(copy.norm.training());
  CHECK(copy == block);
}

TEST_CASE("what cannot be registered is refused", "[nn]") {
  test::Engine engine;
  nn::Module module;
  module.register_parameter("a", nn::init::zeros({1}));
  CHECK_THROWS_AS(module.register_parameter("a", nn::init::zeros({1})), Error);
  CHECK_THROWS_AS(module.register_buffer("a", nn::init::zeros({1})), Error);
  CHECK_THROWS_AS(module.register_module("a", nn::ReLU()), Error);
  CHECK_THROWS_AS(module.register_parameter("", nn::init::zeros({1})), Error);
  CHECK_THROWS_AS(module.register_module("b.c", nn::ReLU()), Error);

  nn::Module inner;
  module.register_module("inner", inner);
  CHECK_THROWS_AS(module.register_module("self", module), Error);
  CHECK_THROWS_AS(inner.register_module("outer", module), Error);
}

TEST_CASE("a layer used twice is one layer", "[nn]") {
  test::Engine engine;
  nn::Module tied("Tied");
  const nn::Linear shared(2, 2);
  tied.register_module("encoder", shared);
  tied.register_module("decoder", shared);
  CHECK(names_of(tied.named_parameters()) == Names{"encoder.weight", "encoder.bias"});
  CHECK(
      names_of(tied.state_dict()) ==
      Names{"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"});
  CHECK(tied.parameter_count() == 6);
}

TEST_CASE("a state dict is what the weights were", "[nn]") {
  test::Engine engine;
  const nn::Linear layer(2, 1);
  nn::init::constant_(layer.weight(), 1);
  const nn::StateDict state = layer.state_dict();
  nn::init::constant_(layer.weight(), 2);
  CHECK(nn::find(state, "weight")->to_vector<float>() == std::vector<float>{1, 1});
  CHECK(!nn::find(state, "weight")->requires_grad());

  layer.load_state_dict(state);
  CHECK(layer.weight().tensor().to_vector<float>() == std::vector<float>{1, 1});
}

TEST_CASE("loading converts floats to the parameter's dtype", "[nn]") {
  test::Engine engine;
  const nn::Linear layer(2, 1);
  nn::StateDict state = layer.state_dict();
  state[0].second = cast(state[0].second, DType::float64);
  const std::vector<float> before = layer.weight().tensor().to_vector<float>();
  layer.load_state_dict(state);
  CHECK(layer.weight().dtype() == DType::float32);
  CHECK(layer.weight().tensor().to_vector<float>() == before);
}

TEST_CASE("loading lists all that does not fit, and then changes nothing", "[nn]") {
  test::Engine engine;
  const Block block;
  const std::vector<float> before = block.scale.tensor().to_vector<float>();
  nn::StateDict state = block.state_dict();
  state[0].second = nn::init::zeros({2});                // scale fits, and must not be set
  state[1].second = nn::init::zeros({2}, DType::int64);  // offset: wrong dtype
  state[2] = {"fc.wieght", state[2].second};             // one missing, one unexpected
  state[3].second = nn::init::zeros({5});                // fc.bias: wrong shape

  const std::string message = message_of([&] { block.load_state_dict(state); });
  CHECK_THAT(message, ContainsSubstring("offset (int64[2] for float32[2])"));
  CHECK_THAT(message, ContainsSubstring("fc.bias (float32[5] for float32[2])"));
  CHECK_THAT(message, ContainsSubstring("missing: fc.weight"));
  CHECK_THAT(message, ContainsSubstring("unexpected: fc.wieght"));
  CHECK(block.scale.tensor().to_vector<float>() == before);

  CHECK_THROWS_AS(block.load_state_dict(state, false), Error);
  state[1].second = nn::init::zeros({2});
  state[3].second = nn::init::zeros({2});
  const nn::IncompatibleKeys keys = block.load_state_dict(state, false);
  CHECK(keys.missing == Names{"fc.weight"});
  CHECK(keys.unexpected == Names{"fc.wieght"});
  CHECK(block.scale.tensor().to_vector<float>() == std::vector<float>{0, 0});
}

TEST_CASE("freezing and forgetting reach all parameters", "[nn]") {
  test::Engine engine;
  const Block block;
  const Tensor x = Tensor::copy_of<float>(test::numbers(12, 1), {4, 3});
  backward(sum(block.forward(x)));
  CHECK(block.fc.weight().grad().defined());
  block.zero_grad();
  CHECK(!block.fc.weight().grad().defined());
  block.requires_grad_(false);
  CHECK(!block.forward(x).requires_grad());
  block.requires_grad_();
  CHECK(block.forward(x).requires_grad());
}

TEST_CASE("apply visits children before the module that holds them", "[nn]") {
  test::Engine engine;
  const Block block;
  std::vector<std::string> types;
  block.apply([&](nn::Module& module) {
    types.push_back(module.type());
    if (module.type() == "Linear") nn::init::zeros_(module.parameter("weight"));
  });
  CHECK(types == Names{"Linear", "BatchNorm1d", "Block"});
  CHECK(block.fc.weight().tensor().to_vector<float>() == std::vector<float>(6));
}

TEST_CASE("to moves parameters and buffers, and every handle follows", "[nn]") {
  test::Engine engine;
  Device& second = cpu::attach(engine.system);
  const Block block;
  const Block copy = block;
  const std::vector<float> before = block.fc.weight().tensor().to_vector<float>();
  const Tensor x = Tensor::copy_of<float>(test::numbers(12, 1), {4, 3});
  backward(sum(block.forward(x)));
  const std::vector<float> gradient = block.fc.weight().grad().to_vector<float>();

  block.to(second);
  CHECK(&copy.fc.weight().device() == &second);
  CHECK(&copy.norm.running_mean().device() == &second);
  CHECK(copy.fc.weight().tensor().to_vector<float>() == before);
  CHECK(copy.fc.weight().grad().to_vector<float>() == gradient);
}

TEST_CASE("to_empty moves without reading, and hooks come along", "[nn]") {
  test::Engine engine;
  Device& second = cpu::attach(engine.system);
  const Block block;
  Parameter weight = block.fc.weight();
  int hooked = 0;
  weight.register_hook([&](const Tensor&) {
    ++hooked;
    return Tensor();
  });
  weight.set_grad(Tensor::copy_of<float>(test::numbers(6, 2), {2, 3}));
  weight.set_states({Tensor::copy_of<float>(test::numbers(6, 3), {2, 3})});

  block.to_empty(second);
  for (const Parameter& parameter : block.parameters()) CHECK(&parameter.device() == &second);
  for (const Parameter& buffer : block.buffers()) CHECK(&buffer.device() == &second);
  CHECK(weight.tensor().to_vector<float>() == std::vector<float>(6));
  CHECK(block.cache.tensor().to_vector<float>() == std::vector<float>(7));
  CHECK_FALSE(weight.grad());
  CHECK(weight.states().empty());
  const OnDevice there(second);
  backward(sum(weight.tensor()));
  CHECK(weight.grad().to_vector<float>() == std::vector<float>(6, 1.0f));
  CHECK(hooked == 1);

  System other(System::Options{.threads = 1});
  CHECK_THROWS_AS(block.to_empty(cpu::attach(other)), Error);
}

TEST_CASE("a module prints as PyTorch prints it", "[nn]") {
  test::Engine engine;
  CHECK(
      nn::to_string(Block()) ==
      "Block(\n"
      "  (fc): Linear(in_features=3, out_features=2, bias=True)\n"
      "  (norm): BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)\n"
      ")");
}
