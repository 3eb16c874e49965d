#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/data/dataset.hpp>

#include <string>

namespace troupe::data {

/// Reads one file of CIFAR-10's binary version: records of one label byte and 3 × 32 × 32 pixels,
/// all red ones first, then green, then blue.
///
/// Errors   `file_truncated` when the length is no multiple of a record; `file_corrupt` for a label
///          above 9, at its offset, or for an empty file.
[[nodiscard]] Result<ImageSet> read_cifar10_file(Disk& disk, const std::string& path);

/// Reads a folder in CIFAR-10's binary layout: data_batch_1.bin to data_batch_5.bin, test_batch.bin
/// and, where there is one, batches.meta.txt with the names of the ten classes.
///
/// A folder from `write_shapes10` has this layout too.
[[nodiscard]] Result<ImageDataset> read_cifar10(Disk& disk, const std::string& folder);

}  // namespace troupe::data
