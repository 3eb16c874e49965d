#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe generate`: a prompt, and what a language model has come after it, each character as soon
/// as it is whole. Throws `Error`.
int generate(const GenerateOptions& options, Console& console);

}  // namespace troupe::cli
