#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe eval`: one line of JSON with loss, accuracy and the number of samples; of a text, with
/// loss, bits per byte and the number of bytes. Throws `Error`.
int eval(const EvalOptions& options, Console& console);

}  // namespace troupe::cli
