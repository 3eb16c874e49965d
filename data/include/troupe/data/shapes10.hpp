#pragma once

#include <troupe/core/disk.hpp>

#include <cstdint>
#include <string>

namespace troupe::data {

/// Writes Shapes-10, a made data set in CIFAR-10's binary layout, for machines that do not have
/// CIFAR-10: ten classes of shape (disc, ring, square, frame, triangle, cross, star, half-disc,
/// bar, crescent), each of any colour, place, size and rotation, before a background of two colours
/// with noise and stray marks. `read_cifar10` reads the folder.
///
/// Order    image i of a split depends on the seed and on i alone: a longer set begins with the
///          shorter one. The bytes are the same on every machine.
/// @param train_count  at least 5, spread over data_batch_1.bin … data_batch_5.bin
/// @param test_count   at least 1
/// Errors   `invalid_argument` for smaller counts; what the disk returns.
[[nodiscard]] Result<void> write_shapes10(
    Disk& disk,
    const std::string& folder,
    std::uint64_t seed,
    std::int64_t train_count = 50'000,
    std::int64_t test_count = 10'000);

}  // namespace troupe::data
