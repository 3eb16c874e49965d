#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe peer`: takes part in the training of leaders, one after another, until Ctrl-C. Returns
/// the exit code.
int peer(const PeerOptions& options, Console& console);
/// Of a process that a launcher started as one of several, and not as the first.
[[nodiscard]] PeerOptions peer_options(const TrainOptions& options);

}  // namespace troupe::cli
