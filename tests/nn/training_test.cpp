#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/clip_grad.hpp>
#include <troupe/nn/conv2d.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/loss.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/pooling.hpp>
#include <troupe/nn/schedule.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

using namespace troupe;

namespace {

Tensor images(std::uint64_t seed, std::int64_t count) {
  return test::drawn({count, 1, 8, 8}, seed);
}

Tensor labels(std::uint64_t seed, std::int64_t count) {
  std::vector<std::int64_t> classes;
  for (const float x : test::numbers(static_cast<std::size_t>(count), seed))
    classes.push_back(x < -0.3F ? 0 : x < 0.3F ? 1 : 2);
  return Tensor::copy_of<std::int64_t>(classes, {count});
}

nn::Sequential make_mlp() {
  return nn::Sequential{nn::Flatten(), nn::Linear(64, 32), nn::ReLU(), nn::Linear(32, 3)};
}

nn::Sequential make_cnn() {
  return nn::Sequential{
      nn::Conv2d(1, 4, 3),
      nn::BatchNorm2d(4),
      nn::ReLU(),
      nn::MaxPool2d(2),
      nn::Flatten(),
      nn::Dropout(0.3),
      nn::Linear(36, 3)};
}

/// All bits that training left: losses, weights, running statistics, optimizer states, rates,
/// counts.
struct Outcome {
  std::vector<float> losses;
  std::vector<float> weights;
  std::vector<float> states;
  std::int64_t steps = 0;
  double lr = 0;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

enum class Door { define_by_run, program };

/// Trains for some steps through one of the two doors.
Outcome train(
    Door door,
    unsigned threads,
    const std::function<nn::Sequential()>& make_model,
    const std::function<optim::Optimizer(const std::vector<Parameter>&)>& make_optimizer,
    int steps) {
  test::Engine engine(threads);
  engine.scope.seed(17);
  const nn::Sequential model = make_model();
  optim::Optimizer optimizer = make_optimizer(model.parameters());
  optim::WarmupCosineLR schedule(optimizer, 3, steps);
  const nn::CrossEntropyLoss loss_of;

  const GraphFunction step = [&](std::span<const Tensor> batch) {
    optimizer.zero_grad();
    const Tensor loss = loss_of(model(batch[0]), batch[1]);
    backward(loss);
    nn::clip_grad_norm_(model.parameters(), 0.5);
    optimizer.step();
    return std::vector<Tensor>{loss};
  };
  CompiledFunction compiled(step);

  Outcome outcome;
  for (int t = 0; t < steps; ++t) {
    const auto seed = static_cast<std::uint64_t>(t);
    const Tensor batch[] = {images(seed, 6), labels(seed, 6)};
    const std::vector<Tensor> out = door == Door::program ? compiled(batch) : step(batch);
    outcome.losses.push_back(out[0].item<float>());
    schedule.step();
  }
  for (const auto& [name, tensor] : model.state_dict())
    if (tensor.dtype() == DType::float32)
      for (const float x : tensor.to_vector<float>()) outcome.weights.push_back(x);
  for (const auto& [name, tensor] : optimizer.state_dict().tensors)
    for (const float x : tensor.to_vector<float>()) outcome.states.push_back(x);
  outcome.steps = optimizer.steps();
  outcome.lr = optimizer.lr();
  return outcome;
}

optim::Optimizer adam(const std::vector<Parameter>& parameters) {
  return optim::Adam(parameters, {.lr = 0.01, .weight_decay = 0.01});
}
optim::Optimizer sgd(const std::vector<Parameter>& parameters) {
  return optim::SGD(parameters, {.lr = 0.1, .momentum = 0.9, .nesterov = true});
}

}  // namespace

TEST_CASE("a small network learns exclusive or", "[nn]") {
  test::Engine engine(2);
  engine.scope.seed(3);
  const std::vector<float> inputs{0, 0, 0, 1, 1, 0, 1, 1};
  const std::vector<float> answers{0, 1, 1, 0};
  const Tensor x = Tensor::copy_of<float>(inputs, {4, 2});
  const Tensor y = Tensor::copy_of<float>(answers, {4, 1});
  const nn::Sequential net{nn::Linear(2, 8), nn::Tanh(), nn::Linear(8, 1)};
  optim::Adam optimizer(net.parameters(), {.lr = 0.05});
  const nn::BCEWithLogitsLoss loss_of;
  double loss = 0;
  for (int t = 0; t < 300; ++t) {
    optimizer.zero_grad();
    const Tensor out = loss_of(net(x), y);
    backward(out);
    optimizer.step();
    loss = out.item();
  }
  CHECK(loss < 0.02);
  const std::vector<float> logits = net(x).to_vector<float>();
  CHECK(logits[0] < 0);
  CHECK(logits[1] > 0);
  CHECK(logits[2] > 0);
  CHECK(logits[3] < 0);
}

TEST_CASE("a line is found through its points", "[nn]") {
  test::Engine engine;
  const nn::Linear line(1, 1);
  optim::SGD optimizer(line.parameters(), {.lr = 0.2, .momentum = 0.5});
  const std::vector<float> at = test::numbers(32, 1);
  std::vector<float> points;
  for (const float x : at) points.push_back(3 * x - 0.5F);
  const Tensor x = Tensor::copy_of<float>(at, {32, 1});
  const Tensor y = Tensor::copy_of<float>(points, {32, 1});
  for (int t = 0; t < 200; ++t) {
    optimizer.zero_grad();
    backward(nn::MSELoss()(line(x), y));
    optimizer.step();
  }
  CHECK(std::abs(line.weight().tensor().item() - 3) < 1e-4);
  CHECK(std::abs(line.bias().tensor().item() + 0.5) < 1e-4);
}

TEST_CASE("gradients of microbatches add up to those of the batch", "[nn]") {
  test::Engine engine;
  engine.scope.seed(5);
  const nn::Sequential net = make_mlp();
  const nn::CrossEntropyLoss loss_of;
  const Tensor x = images(1, 12);
  const Tensor y = labels(1, 12);
  backward(loss_of(net(x), y));
  std::vector<std::vector<float>> whole;
  for (const Parameter& parameter : net.parameters())
    whole.push_back(parameter.grad().to_vector<float>());

  net.zero_grad();
  constexpr std::int64_t parts = 4;
  for (std::int64_t i = 0; i < parts; ++i) {
    const auto part = [&](const Tensor& all) { return slice(all, 0, 3 * i, 3 * i + 3); };
    backward(loss_of(net(part(x)), part(y)) / parts);
  }
  const std::vector<Parameter> parameters = net.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<float> summed = parameters[i].grad().to_vector<float>();
    for (std::size_t j = 0; j < summed.size(); ++j) CHECK(std::abs(summed[j] - whole[i][j]) < 1e-7);
  }
}

// Goal: a captured step gives the bits of the same calls made one by one, optimizer, schedule,
// clipping, dropout and running statistics included.
TEST_CASE("both doors and any number of threads train the same bits", "[nn]") {
  const auto check = [](const auto& make_model, const auto& make_optimizer) {
    const Outcome expected = train(Door::define_by_run, 1, make_model, make_optimizer, 20);
    CHECK(expected.steps == 20);
    CHECK(expected.losses.front() != expected.losses.back());
    for (const unsigned threads : {1U, 2U, 4U})
      for (const Door door : {Door::define_by_run, Door::program}) {
        CAPTURE(threads, door == Door::program);
        const Outcome outcome = train(door, threads, make_model, make_optimizer, 20);
        CHECK(outcome.losses == expected.losses);
        CHECK(outcome.weights == expected.weights);
        CHECK(outcome.states == expected.states);
        CHECK(outcome.steps == expected.steps);
        CHECK(outcome.lr == expected.lr);
      }
  };
  SECTION("a perceptron by Adam") { check(make_mlp, adam); }
  SECTION("a perceptron by SGD") { check(make_mlp, sgd); }
  SECTION("a convolutional network with batch norm and dropout by Adam") { check(make_cnn, adam); }
}
