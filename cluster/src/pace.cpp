#include "pace.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace troupe::cluster {

namespace {

/// Steps of which some rank's time has yet to come; a rank that is ahead by more has left the view.
constexpr std::size_t rows_max = 8;
/// In a row, before anybody is named.
constexpr int steps_over_min = 3;
/// How far a median stands out, in its own standard errors.
constexpr double errors_min = 4;
/// Steps by which it is known how much one differs from the next.
constexpr std::size_t moves_max = 64;

/// The lower one of two in the middle counts for half.
double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double median(const std::deque<double>& values) {
  return median(std::vector<double>(values.begin(), values.end()));
}

/// Of a median of `count` values, from how far each value lies from the one before: a change of
/// pace is in one of those alone. 1.48 makes a standard deviation of normal values' median
/// deviation, 1.25 a median's error of a mean's.
double standard_error(const std::deque<double>& steps, std::size_t count) {
  const double deviation = 1.4826 * median(steps) / std::sqrt(2.0);
  // Few of them say little of how far it goes.
  const double doubt = 1 + 8 / static_cast<double>(steps.size());
  return doubt * 1.2533 * deviation / std::sqrt(static_cast<double>(count));
}

void push(std::deque<double>& values, double value, std::size_t count_max) {
  values.push_back(value);
  if (values.size() > count_max) values.pop_front();
}

}  // namespace

Pace::Pace(std::vector<std::uint32_t> shards) {
  for (const std::uint32_t count : shards) ranks_.push_back({.shards = count});
}

std::optional<Pace::Slow> Pace::add(std::uint32_t rank, std::uint64_t step, std::int64_t own_ns) {
  if (rank >= ranks_.size() || ranks_.size() < 2) return {};
  auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.step == step; });
  if (row == rows_.end()) {
    if (rows_.size() == rows_max) rows_.pop_front();
    rows_.push_back({step, 0, std::vector<double>(ranks_.size(), -1)});
    row = std::prev(rows_.end());
  }
  if (row->ns[rank] < 0) ++row->known;
  row->ns[rank] = static_cast<double>(std::max<std::int64_t>(own_ns, 0));
  if (row->known < ranks_.size()) return {};
  const Row whole = std::move(*row);
  rows_.erase(row);
  return take(whole);
}

/// What a rank should take for a step, from what the others took.
double Pace::expected_ns(std::size_t rank, const Row& row) const {
  std::vector<double> alike;
  std::vector<double> others;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    if (i == rank) continue;
    if (ranks_[i].shards == ranks_[rank].shards) alike.push_back(row.ns[i]);
    // Nobody knows which part of a step's time goes with its shards.
    const double per_shard = row.ns[i] * ranks_[rank].shards / std::max(1U, ranks_[i].shards);
    others.push_back(std::max(row.ns[i], per_shard));
  }
  return median(alike.empty() ? std::move(others) : std::move(alike));
}

std::optional<Pace::Slow> Pace::take(const Row& row) {
  std::optional<Slow> found;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    Rank& rank = ranks_[i];
    const double expected = expected_ns(i, row);
    const double log = expected > 0 && row.ns[i] > 0 ? std::log(row.ns[i] / expected) : 0;
    if (!rank.logs.empty()) push(rank.moves, std::abs(log - rank.logs.back()), moves_max);
    push(rank.ns, row.ns[i], window);
    push(rank.logs, log, window);
    judge(rank);
    if (rank.slow || rank.steps_over < steps_over_min || found) continue;
    rank.slow = true;
    found = Slow{static_cast<std::uint32_t>(i), rank.times};
  }
  return found;
}

void Pace::judge(Rank& rank) const {
  if (rank.logs.size() < window) return;
  const double middle = median(rank.logs);
  rank.times = std::exp(middle);
  const bool over =
      rank.times > slow_times && middle > errors_min * standard_error(rank.moves, window);
  rank.steps_over = over ? rank.steps_over + 1 : 0;
  if (rank.times < recovered_times) rank.slow = false;
}

std::uint32_t Pace::shards(std::uint32_t rank) const {
  return rank < ranks_.size() ? ranks_[rank].shards : 0;
}

std::int64_t Pace::own_ns(std::uint32_t rank) const {
  if (rank >= ranks_.size() || ranks_[rank].ns.empty()) return 0;
  return static_cast<std::int64_t>(median(ranks_[rank].ns));
}

double Pace::times(std::uint32_t rank) const {
  return rank < ranks_.size() ? ranks_[rank].times : 1;
}

bool Pace::slow(std::uint32_t rank) const { return rank < ranks_.size() && ranks_[rank].slow; }

}  // namespace troupe::cluster
