#include "models.hpp"

#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/conv2d.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/pooling.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/sgd.hpp>

#include <algorithm>
#include <string>

namespace troupe::cli {

namespace {

optim::Optimizer make_optimizer(const RunConfig& config, const std::vector<Parameter>& parameters) {
  const bool decays = config.weight_decay >= 0;
  if (config.optimizer == "sgd")
    return optim::SGD(
        parameters,
        {.lr = config.lr,
         .momentum = config.momentum,
         .weight_decay = decays ? config.weight_decay : 0});
  if (config.optimizer == "adam")
    return optim::Adam(
        parameters, {.lr = config.lr, .weight_decay = decays ? config.weight_decay : 0});
  optim::AdamWOptions options{.lr = config.lr};
  if (decays) options.weight_decay = config.weight_decay;
  return optim::AdamW(parameters, options);
}

}  // namespace

nn::AnyModule make_model(std::string_view name, const Shape& image, std::int64_t classes) {
  const std::int64_t channels = image[0];
  if (name == "mlp")
    return nn::Sequential{
        nn::Flatten(),
        nn::Linear(elements_in(image), 512),
        nn::ReLU(),
        nn::Linear(512, 512),
        nn::ReLU(),
        nn::Linear(512, classes)};
  if (name != "cnn")
    throw Error(ErrorCode::invalid_argument, "no model is called '" + std::string(name) + "'")
        .hint("use mlp or cnn");
  if (image[1] < 4 || image[2] < 4)
    throw Error(
        ErrorCode::invalid_argument,
        "images of " + std::to_string(image[1]) + " x " + std::to_string(image[2]) +
            " are too small for the cnn, which halves them twice")
        .hint("--model mlp takes images of any size");
  return nn::Sequential{
      nn::Conv2d(channels, 32, 3, 1, 1),
      nn::ReLU(),
      nn::MaxPool2d(2),
      nn::Conv2d(32, 64, 3, 1, 1),
      nn::ReLU(),
      nn::MaxPool2d(2),
      nn::Flatten(),
      nn::Linear(64 * (image[1] / 4) * (image[2] / 4), 128),
      nn::ReLU(),
      nn::Linear(128, classes)};
}

nn::Task make_task(
    const RunConfig& config, const Shape& image, std::int64_t classes, std::int64_t steps) {
  nn::AnyModule model = make_model(config.model, image, classes);
  optim::Optimizer optimizer = make_optimizer(config, model.parameters());
  nn::Task task{.model = model, .optimizer = optimizer};
  // All schedules are counted in steps: smooth curves, and one rule for when they are moved on.
  const std::int64_t total = config.epochs * steps;
  if (config.schedule == "step")
    task.schedule = optim::StepLR(optimizer, std::max<std::int64_t>(1, (total + 2) / 3));
  if (config.schedule == "cosine") task.schedule = optim::CosineAnnealingLR(optimizer, total);
  if (config.schedule == "warmup-cosine")
    task.schedule = optim::WarmupCosineLR(optimizer, std::max<std::int64_t>(1, total / 20), total);
  return task;
}

}  // namespace troupe::cli
