#pragma once

#include "run_folder.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/nn/any_module.hpp>

#include <string>

namespace troupe::cli {

/// The model of a run as its folder holds it, in eval mode on the scope's device.
struct SavedModel {
  RunConfig config;
  DataFacts facts;
  nn::AnyModule model;
};

/// Throws `file_not_found` when the folder is no run, `file_mismatch` when the weights are not
/// those of the run's model, and what is wrong with the files.
[[nodiscard]] SavedModel load_model(Disk& disk, const std::string& folder);

}  // namespace troupe::cli
