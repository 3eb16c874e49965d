#include "layer_check.hpp"

#include <troupe/nn/activation.hpp>

using namespace troupe;
using nn::test::check_layer;

TEST_CASE("activations compute what PyTorch's do", "[nn]") {
  test::Engine engine;
  check_layer("relu", nn::ReLU());
  check_layer("leaky_relu", nn::LeakyReLU(0.2));
  check_layer("elu", nn::ELU(1.5));
  check_layer("gelu", nn::GELU());
  check_layer("gelu_tanh", nn::GELU(GeluForm::tanh));
  check_layer("silu", nn::SiLU());
  check_layer("sigmoid", nn::Sigmoid());
  check_layer("tanh", nn::Tanh());
  check_layer("softplus", nn::Softplus());
  check_layer("softmax", nn::Softmax(1));
  check_layer("log_softmax", nn::LogSoftmax(0));
}

TEST_CASE("activations say their settings", "[nn]") {
  test::Engine engine;
  CHECK(nn::to_string(nn::LeakyReLU()) == "LeakyReLU(negative_slope=0.01)");
  CHECK(nn::to_string(nn::Softmax(-1)) == "Softmax(dim=-1)");
  CHECK(nn::to_string(nn::ReLU()) == "ReLU()");
}
