#pragma once

#include "console.hpp"

namespace troupe::cli {

/// `troupe devices`: name and description of each. Throws `Error`.
int devices(Console& console);

/// `troupe doctor`: what this machine can, which data are there, and how to get what is missing.
int doctor(Console& console);

}  // namespace troupe::cli
