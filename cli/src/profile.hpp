#pragma once

#include <troupe/autograd/profile.hpp>
#include <troupe/cpu/limits.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

/// What an op came to, or several together, beside what the machine could do.
struct ProfileRow {
  std::string name;          ///< "linear + relu", "matmul (backward)"
  std::int64_t calls = 0;    ///< in a step
  double seconds = 0;        ///< in a step
  double share = 0;          ///< of the time in ops
  double least_seconds = 0;  ///< at the limit: of computing or of memory, whichever is longer
  double rate = 0;           ///< operations or bytes in a second
  bool computing = false;    ///< which of the two: what would take longer at its limit

  /// How near it came to the limit. Above 1 where an op's values lay nearer than all of them fit.
  [[nodiscard]] double of_limit() const noexcept {
    return seconds > 0 ? least_seconds / seconds : 0;
  }
};

/// A row for each op, in the program's order.
[[nodiscard]] std::vector<ProfileRow> rows_by_op(
    const ProgramProfile& profile, const cpu::Limits& limits);
/// A row for all ops of a name together, the longest first.
[[nodiscard]] std::vector<ProfileRow> rows_by_name(
    const ProgramProfile& profile, const cpu::Limits& limits);

/// "94.1 GFLOP/s", "12.3 GB/s", or "" for what neither computes nor moves anything.
[[nodiscard]] std::string rate_text(const ProfileRow& row);
/// "float32 150.1 GFLOP/s; L2 210.0, L3 98.1, RAM 35.0 GB/s"
[[nodiscard]] std::string limits_text(const cpu::Limits& limits);

/// Rows by name as a table for a terminal, with a line on the whole step before and the limits
/// after.
[[nodiscard]] std::string profile_text(const ProgramProfile& profile, const cpu::Limits& limits);

}  // namespace troupe::cli
