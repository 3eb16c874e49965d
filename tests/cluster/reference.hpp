#pragma once

#include <troupe/cluster/collectives.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::testing {

/// `elements` values of a dtype that depend on seed and shard; sums of floats depend on their
/// order.
[[nodiscard]] Bytes some_values(
    DType dtype, std::size_t elements, std::uint64_t seed, std::uint32_t shard);

/// The sum over shards [low, high), or their maximum or minimum, one element after another and by
/// recursion: the rule, without any of the code that is tested.
[[nodiscard]] std::vector<std::byte> serial_tree(
    DType dtype,
    cluster::Reduction reduction,
    const std::vector<Bytes>& shards,
    std::uint32_t low,
    std::uint32_t high);

/// What a rank puts into a reduction: its whole subtrees, each by the serial tree.
[[nodiscard]] std::vector<Bytes> subtrees_of(
    std::uint32_t rank,
    std::uint32_t ranks,
    DType dtype,
    cluster::Reduction reduction,
    const std::vector<Bytes>& shards);

[[nodiscard]] bool equal(std::span<const std::byte> a, std::span<const std::byte> b);

}  // namespace troupe::testing
