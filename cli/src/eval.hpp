#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe eval`: one line of JSON with loss, accuracy and the number of samples. Throws `Error`.
int eval(const EvalOptions& options, Console& console);

}  // namespace troupe::cli
