#pragma once

#include "data_facts.hpp"
#include "run_config.hpp"

#include <troupe/nn/any_module.hpp>
#include <troupe/nn/optimizer.hpp>
#include <troupe/nn/schedule.hpp>
#include <troupe/nn/trainer.hpp>

#include <cstdint>

namespace troupe::cli {

/// A fresh model as a config asks for it, of the size that the data need:
///
///   mlp   in-512-512-classes, with relu between
///   cnn   conv 3×3 to 32, relu, pool 2, conv 3×3 to 64, relu, pool 2, 128, relu, classes
///   gpt   `nn::GPT` over bytes, with the config's sizes
///
/// Throws `invalid_argument` for another name, for data of the other kind, for images too small for
/// two pools, and for a model of more than `parameters_max` parameters; before it takes any memory.
[[nodiscard]] nn::AnyModule make_model(const RunConfig& config, const DataFacts& facts);
/// The numbers that `make_model` would learn. Throws as it does. The image may have up to 2⁴⁰
/// pixels.
[[nodiscard]] std::int64_t parameter_count(const RunConfig& config, const DataFacts& facts);
/// 4 GiB of them, and as much again for each state of the optimizer.
inline constexpr std::int64_t parameters_max = std::int64_t{1} << 30;

/// Steps of an epoch of so many batches.
[[nodiscard]] std::int64_t steps_of(const RunConfig& config, std::int64_t batches);
/// How a config has its model trained.
///
/// @param batches  of one epoch: a step takes what an epoch has left
[[nodiscard]] nn::TrainerOptions trainer_options(const RunConfig& config, std::int64_t batches);

/// Model, optimizer and schedule as a config asks for them. Draws the weights from the scope's
/// random state.
///
/// @param steps  of one epoch
[[nodiscard]] nn::Task make_task(
    const RunConfig& config, const DataFacts& facts, std::int64_t steps);

}  // namespace troupe::cli
