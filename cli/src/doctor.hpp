#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe doctor`: what this machine can, which data are there, and how to get what is missing;
/// with `--limits`, how fast it can at best.
int doctor(const DoctorOptions& options, Console& console);

}  // namespace troupe::cli
