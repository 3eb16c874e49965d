#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe predict`: pictures, and what the model takes them for. Throws `Error`.
int predict(const PredictOptions& options, Console& console);

}  // namespace troupe::cli
