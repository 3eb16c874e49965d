#include <troupe/core/error.hpp>
#include <troupe/data/shards.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <string>

namespace troupe::data {

ShardRows Shards::rows_of(std::int64_t shard, std::int64_t batch_rows) const noexcept {
  const std::int64_t begin = shard * batch_rows / of;
  const std::int64_t end = (shard + 1) * batch_rows / of;
  return {begin, std::max(end, begin + 1), end - begin};
}

ShardRows Shards::rows_here(std::int64_t batch_rows) const noexcept {
  const ShardRows head = rows_of(first, batch_rows);
  const ShardRows last = rows_of(end() - 1, batch_rows);
  return {head.begin, last.end, last.begin + last.counted - head.begin};
}

std::int64_t Shards::rows_here_max(std::int64_t batch_rows) const noexcept {
  return ((end() - first) * batch_rows + of - 1) / of;
}

void Shards::check() const {
  if (of < 1 || of > RandomState::shards_max)
    throw Error(
        ErrorCode::invalid_argument,
        "a batch cannot be cut into " + std::to_string(of) + " shards, but into 1 to " +
            std::to_string(RandomState::shards_max))
        .hint("1: the whole batch at once");
  if (first < 0 || count < 0 || first >= of || count > of - first)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(count) + " shards from number " + std::to_string(first) +
            " on cannot be carried of " + std::to_string(of))
        .hint("they are numbered from 0; a count of 0 stands for all that are left");
}

void Shards::check_batch(std::int64_t batch_rows) const {
  if (batch_rows >= of) return;
  throw Error(
      ErrorCode::invalid_argument,
      "a batch of " + std::to_string(batch_rows) + " samples cannot be cut into " +
          std::to_string(of) + " shards")
      .hint("use larger batches, or fewer shards");
}

}  // namespace troupe::data
