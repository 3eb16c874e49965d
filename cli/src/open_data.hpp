#pragma once

#include "console.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/data/dataset.hpp>

#include <string>

namespace troupe::cli {

/// Opens a data set by what `--data` says; makes shapes10:DIR there first when the folder has none.
/// Throws as `data::open_image_dataset`.
[[nodiscard]] data::ImageDataset open_data(Disk& disk, const std::string& spec, Console& console);

}  // namespace troupe::cli
