#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace troupe::cluster {

/// How long the processes of a view take for their own parts of a step, and which of them makes the
/// others wait.
///
/// A step takes as long in one process as in all others, for each waits for the slowest; so what
/// counts is the time in which a process computes. Those that carry as many shards are compared;
/// where one carries more or fewer than all others, it is called slow only if it would be both by
/// the shard and by the step.
///
/// Noise    what counts are medians over `window` steps, and that they stand out from how much
/// steps
///          differ: a pause, or a machine on which no two steps are alike, makes nobody slow.
/// Threads  one at a time.
class Pace {
 public:
  /// Steps that are looked at; a process is named after a few more.
  static constexpr std::size_t window = 12;
  /// From here on a process is slow, and until here it still is.
  static constexpr double slow_times = 1.15;
  static constexpr double recovered_times = 1.07;

  struct Slow {
    std::uint32_t rank = 0;
    double times = 1;  ///< as long as the others
  };

  Pace() = default;
  /// @param shards  that each rank carries
  explicit Pace(std::vector<std::uint32_t> shards);

  /// A rank's own time for a step of the view; steps come in order.
  /// @returns  a process that has become slow: once, until it has recovered
  std::optional<Slow> add(std::uint32_t rank, std::uint64_t step, std::int64_t own_ns);

  [[nodiscard]] std::uint32_t shards(std::uint32_t rank) const;
  /// Of the last steps, the median; 0 while none is known.
  [[nodiscard]] std::int64_t own_ns(std::uint32_t rank) const;
  /// As many times as long as the others take; 1 while too little is known.
  [[nodiscard]] double times(std::uint32_t rank) const;
  [[nodiscard]] bool slow(std::uint32_t rank) const;

 private:
  struct Rank {
    std::uint32_t shards = 1;
    std::deque<double> ns{};
    std::deque<double> logs{};   // of what it took, as a multiple of the others
    std::deque<double> moves{};  // between one and the next
    double times = 1;
    int steps_over = 0;
    bool slow = false;
  };
  /// Times of one step, as they come.
  struct Row {
    std::uint64_t step = 0;
    std::size_t known = 0;
    std::vector<double> ns;  // below 0: not there yet
  };

  [[nodiscard]] double expected_ns(std::size_t rank, const Row& row) const;
  std::optional<Slow> take(const Row& row);
  void judge(Rank& rank) const;

  std::vector<Rank> ranks_;
  std::deque<Row> rows_;
};

}  // namespace troupe::cluster
