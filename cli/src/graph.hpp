#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe graph`: a model's step as the compiler of programs sees it, in words or as a picture.
/// Throws what is wrong with the config or the folder.
int graph(const GraphOptions& options, Console& console);

}  // namespace troupe::cli
