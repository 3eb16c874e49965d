#pragma once

#include <troupe/autograd/profile.hpp>

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace troupe {

/// When an op was launched and when it was complete, on the system's clock.
struct OpSpan {
  std::int64_t began_ns = 0;
  std::int64_t ended_ns = 0;
};

/// Sums up the measured steps of a program; shared by caller and actor.
///
/// Threads  any.
class Profiler {
 public:
  /// A step, op by op.
  void add(std::span<const OpSpan> ops, std::int64_t ended_ns);
  /// Of the steps so far.
  [[nodiscard]] ProgramProfile profile(const Graph& graph) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::int64_t> total_ns_;  // of each op
  std::vector<OpSpan> last_;
  std::int64_t last_began_ns_ = 0;
  std::int64_t steps_ns_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace troupe
