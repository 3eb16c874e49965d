#pragma once

#include "console.hpp"
#include "options.hpp"

#include <troupe/nn/trainer.hpp>

#include <memory>

namespace troupe::cli {

/// `troupe train`. Throws `Error`.
///
/// @param watcher  told of the fit as well, for tests
/// @returns        the process's exit code: 0, or `Interrupt::exit_code` after Ctrl-C.
int train(
    const TrainOptions& options, Console& console, std::shared_ptr<nn::Callback> watcher = nullptr);

}  // namespace troupe::cli
