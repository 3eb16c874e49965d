#pragma once

#include "run_config.hpp"

#include <troupe/nn/any_module.hpp>
#include <troupe/nn/optimizer.hpp>
#include <troupe/nn/schedule.hpp>
#include <troupe/nn/trainer.hpp>

#include <cstdint>
#include <string_view>

namespace troupe::cli {

/// A fresh model for images of a shape [channels, height, width]:
///
///   mlp   in-512-512-classes, with relu between
///   cnn   conv 3×3 to 32, relu, pool 2, conv 3×3 to 64, relu, pool 2, 128, relu, classes
///
/// Throws `invalid_argument` for another name, and for images too small for two pools.
[[nodiscard]] nn::AnyModule make_model(
    std::string_view name, const Shape& image, std::int64_t classes);

/// Model, optimizer and schedule as a config asks for them. Draws the weights from the scope's
/// random state.
///
/// @param steps  of one epoch
[[nodiscard]] nn::Task make_task(
    const RunConfig& config, const Shape& image, std::int64_t classes, std::int64_t steps);

}  // namespace troupe::cli
