#include "models.hpp"

#include "session.hpp"

#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/conv2d.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/gpt.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/pooling.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/sgd.hpp>

#include <algorithm>
#include <string>

namespace troupe::cli {

namespace {

constexpr std::int64_t mlp_width = 512;
constexpr std::int64_t cnn_width = 128;
constexpr std::int64_t bytes_vocabulary = 256;
constexpr std::int64_t mlp_ratio = 4;

std::int64_t classes_of(const ImageFacts& facts) {
  return static_cast<std::int64_t>(facts.class_names.size());
}

/// The facts of the kind that the model is for.
template <class Facts>
const Facts& of_kind(const RunConfig& config, const DataFacts& facts) {
  if (const auto* known = std::get_if<Facts>(&facts)) return *known;
  throw Error(
      ErrorCode::invalid_argument, "there is no " + config.model + " for " + described(facts))
      .hint(
          kind_of(facts) == DataKind::text ? "use --model gpt"
                                           : "use --model mlp or cnn, or --data text:FILE");
}

/// What is left of an image after two pools, in 64 channels.
std::int64_t cnn_features(const Shape& image) { return 64 * (image[1] / 4) * (image[2] / 4); }

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

std::int64_t parameter_count(const RunConfig& config, const DataFacts& facts) {
  const auto linear = [](std::int64_t in, std::int64_t out) { return (in + 1) * out; };
  const std::string& name = config.model;
  std::int64_t count = 0;
  if (name == "gpt") {
    (void)of_kind<TextFacts>(config, facts);
    const std::int64_t width = config.width;
    const std::int64_t norm = 2 * width;
    const std::int64_t block = 2 * norm + linear(width, 3 * width) + linear(width, width) +
                               linear(width, mlp_ratio * width) + linear(mlp_ratio * width, width);
    const std::int64_t head = config.tied ? 0 : width * bytes_vocabulary;
    count = (bytes_vocabulary + config.context) * width + config.layers * block + norm + head;
  } else if (name == "mlp") {
    const auto& images = of_kind<ImageFacts>(config, facts);
    count = linear(elements_in(images.image), mlp_width) + linear(mlp_width, mlp_width) +
            linear(mlp_width, classes_of(images));
  } else if (name == "cnn") {
    const auto& images = of_kind<ImageFacts>(config, facts);
    const Shape& image = images.image;
    if (image[1] < 4 || image[2] < 4)
      throw Error(
          ErrorCode::invalid_argument,
          "images of " + std::to_string(image[1]) + " x " + std::to_string(image[2]) +
              " are too small for the cnn, which halves them twice")
          .hint("--model mlp takes images of any size");
    count = linear(9 * image[0], 32) + linear(9 * 32, 64) + linear(cnn_features(image), cnn_width) +
            linear(cnn_width, classes_of(images));
  } else {
    throw Error(ErrorCode::invalid_argument, "no model is called '" + name + "'")
        .hint("use mlp, cnn or gpt");
  }
  if (count > parameters_max)
    throw Error(
        ErrorCode::invalid_argument,
        "the " + name + " for " + described(facts) + " has " + std::to_string(count) +
            " parameters, more than " + std::to_string(parameters_max))
        .hint(name == "gpt" ? "make --width or --layers smaller" : "make the images smaller");
  return count;
}

nn::AnyModule make_model(const RunConfig& config, const DataFacts& facts) {
  (void)parameter_count(config, facts);  // refuses what cannot be
  if (config.model == "gpt")
    return nn::GPT(
        {.vocab_size = bytes_vocabulary,
         .context_length = config.context,
         .num_layers = config.layers,
         .embed_dim = config.width,
         .num_heads = config.heads,
         .mlp_ratio = mlp_ratio,
         .dropout = config.dropout,
         .tied = config.tied});
  const auto& images = std::get<ImageFacts>(facts);
  const Shape& image = images.image;
  const std::int64_t classes = classes_of(images);
  if (config.model == "mlp")
    return nn::Sequential{
        nn::Flatten(),
        nn::Linear(elements_in(image), mlp_width),
        nn::ReLU(),
        nn::Linear(mlp_width, mlp_width),
        nn::ReLU(),
        nn::Linear(mlp_width, classes)};
  return nn::Sequential{
      nn::Conv2d(image[0], 32, 3, 1, 1),
      nn::ReLU(),
      nn::MaxPool2d(2),
      nn::Conv2d(32, 64, 3, 1, 1),
      nn::ReLU(),
      nn::MaxPool2d(2),
      nn::Flatten(),
      nn::Linear(cnn_features(image), cnn_width),
      nn::ReLU(),
      nn::Linear(cnn_width, classes)};
}

nn::Task make_task(const RunConfig& config, const DataFacts& facts, std::int64_t steps) {
  nn::AnyModule model = make_model(config, facts);
  optim::Optimizer optimizer = make_optimizer(config, model.parameters());
  nn::Task task{.model = model, .optimizer = optimizer};
  // All schedules are counted in steps: smooth curves, and one rule for when they are moved on.
  const std::int64_t total = config.epochs * steps;
  if (config.schedule == "step")
    task.schedule = optim::StepLR(optimizer, std::max<std::int64_t>(1, (total + 2) / 3));
  if (config.schedule == "cosine") task.schedule = optim::CosineAnnealingLR(optimizer, total);
  if (config.schedule == "warmup-cosine") {
    const std::int64_t warmup = std::max<std::int64_t>(1, total / 20);
    // A run of a single step is all warm-up: the cosine that never comes must have a length too.
    task.schedule = optim::WarmupCosineLR(optimizer, warmup, std::max(total, warmup + 1));
  }
  return task;
}

std::int64_t steps_of(const RunConfig& config, std::int64_t batches) {
  return (batches + config.accumulate - 1) / config.accumulate;
}

nn::TrainerOptions trainer_options(const RunConfig& config, std::int64_t batches) {
  return {
      .max_epochs = config.epochs,
      .gradient_clip_val = config.clip,
      .accumulate_grad_batches = std::min(config.accumulate, batches),
      .shards = {.of = config.shards},
      .precision = config.product_dtype(),
      .schedule_interval = nn::ScheduleInterval::step,
      .program = {.passes = chosen_passes()}};
}

}  // namespace troupe::cli
