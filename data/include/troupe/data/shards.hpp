#pragma once

#include <cstdint>

namespace troupe::data {

/// The rows of a batch that one logical shard computes with.
struct ShardRows {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  /// Of these. None in a batch of too few rows for all shards: such a shard computes with a row of
  /// another's, for the shapes of what it gives, and counts for nothing.
  std::int64_t counted = 0;

  /// The shard's part in a mean over the batch.
  [[nodiscard]] double weight(std::int64_t batch_rows) const noexcept {
    return static_cast<double>(counted) / static_cast<double>(batch_rows);
  }
};

/// Cuts batches into *logical shards*, contiguous parts of their rows, and says which of them are
/// carried here. Results depend on how many there are, never on who carries them.
///
/// Cut   shard s of L has the rows ⌊s·N/L⌋ … ⌊(s+1)·N/L⌋ − 1 of a batch of N.
struct Shards {
  std::int64_t of = 1;     ///< shards that each batch is cut into
  std::int64_t first = 0;  ///< the first that is carried here
  std::int64_t count = 0;  ///< carried here; 0: all from `first` on

  [[nodiscard]] std::int64_t end() const noexcept { return count > 0 ? first + count : of; }
  [[nodiscard]] bool all() const noexcept { return first == 0 && end() == of; }

  /// A shard's rows in a batch of so many.
  [[nodiscard]] ShardRows rows_of(std::int64_t shard, std::int64_t batch_rows) const noexcept;
  /// Those of all that are carried here, of which as many count as count in a shard.
  [[nodiscard]] ShardRows rows_here(std::int64_t batch_rows) const noexcept;
  /// More rows are carried here in no batch of at most so many, which is no less than there are
  /// shards.
  [[nodiscard]] std::int64_t rows_here_max(std::int64_t batch_rows) const noexcept;

  /// Throws `invalid_argument` unless there are from 1 to 65,536 shards, of which those carried
  /// here are some.
  void check() const;
  /// Throws `invalid_argument` for a batch of fewer rows than shards. An epoch's last batch may
  /// have fewer all the same.
  void check_batch(std::int64_t batch_rows) const;

  bool operator==(const Shards&) const = default;
};

}  // namespace troupe::data
