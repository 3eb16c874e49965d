#pragma once

#include "console.hpp"
#include "data_facts.hpp"
#include "run_config.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/data/loader.hpp>

#include <cstdint>
#include <string>

namespace troupe::cli {

/// Opens a data set by what `--data` says; makes shapes10:DIR there first when the folder has none.
/// Throws as `data::open_image_dataset` and `data::open_text_dataset`.
///
/// @param context  bytes that a model of text:FILE sees at a time
[[nodiscard]] Dataset open_data(
    Disk& disk, const std::string& spec, std::int64_t context, Console& console);

/// How a run's loader goes through its data.
[[nodiscard]] data::LoaderOptions loader_options(const RunConfig& config, bool training);

}  // namespace troupe::cli
