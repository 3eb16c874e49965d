#pragma once

#include "console.hpp"

namespace troupe::cli {

/// `troupe doctor`: what this machine can, which data are there, and how to get what is missing.
int doctor(Console& console);

}  // namespace troupe::cli
