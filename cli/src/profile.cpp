#include "profile.hpp"

#include "picture_text.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace troupe::cli {

namespace {

double peak_of(const cpu::Limits& limits, DType dtype) {
  if (dtype == DType::bfloat16 && limits.bfloat16) return limits.bfloat16->all_threads;
  // A register holds half as many.
  return limits.float32.all_threads / (dtype == DType::float64 ? 2 : 1);
}

/// Adds up ops; `finished` makes rates of the sums.
struct Sum {
  ProfileRow row;
  Cost cost;
  double computing_seconds = 0;  // at the limit
  double moving_seconds = 0;

  void add(const ProgramProfile::Op& op, const cpu::Limits& limits) {
    const double computing = op.cost.flops / peak_of(limits, op.dtype);
    const double moving = op.cost.bytes / limits.bytes_per_second(op.cost.bytes);
    ++row.calls;
    row.seconds += op.seconds;
    row.least_seconds += std::max(computing, moving);
    cost.flops += op.cost.flops;
    cost.bytes += op.cost.bytes;
    computing_seconds += computing;
    moving_seconds += moving;
  }
  ProfileRow finished(double all_seconds) {
    row.share = all_seconds > 0 ? row.seconds / all_seconds : 0;
    row.computing = computing_seconds > moving_seconds;
    if (row.seconds > 0) row.rate = (row.computing ? cost.flops : cost.bytes) / row.seconds;
    return std::move(row);
  }
};

std::string name_of(const ProgramProfile::Op& op) {
  const bool told = op.vjp_of.empty() || op.name.find("backward") != std::string::npos;
  return told ? op.name : op.name + " (backward)";
}

template <class... Values>
std::string formatted(const char* format, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

}  // namespace

std::vector<ProfileRow> rows_by_op(const ProgramProfile& profile, const cpu::Limits& limits) {
  std::vector<ProfileRow> rows;
  for (const ProgramProfile::Op& op : profile.ops) {
    Sum sum;
    sum.row.name = name_of(op);
    sum.add(op, limits);
    rows.push_back(sum.finished(profile.seconds_in_ops()));
  }
  return rows;
}

std::vector<ProfileRow> rows_by_name(const ProgramProfile& profile, const cpu::Limits& limits) {
  std::vector<Sum> sums;
  for (const ProgramProfile::Op& op : profile.ops) {
    const std::string name = name_of(op);
    auto sum = std::find_if(
        sums.begin(), sums.end(), [&](const Sum& one) { return one.row.name == name; });
    if (sum == sums.end()) {
      sum = sums.emplace(sums.end());
      sum->row.name = name;
    }
    sum->add(op, limits);
  }
  std::vector<ProfileRow> rows;
  for (Sum& sum : sums) rows.push_back(sum.finished(profile.seconds_in_ops()));
  std::stable_sort(rows.begin(), rows.end(), [](const ProfileRow& a, const ProfileRow& b) {
    return a.seconds > b.seconds;
  });
  return rows;
}

std::string rate_text(const ProfileRow& row) {
  if (row.rate == 0) return "";
  return formatted("%.1f %s", row.rate / 1e9, row.computing ? "GFLOP/s" : "GB/s");
}

std::string limits_text(const cpu::Limits& limits) {
  std::string text = formatted("float32 %.1f", limits.float32.all_threads / 1e9);
  if (limits.bfloat16) text += formatted(", bfloat16 %.1f", limits.bfloat16->all_threads / 1e9);
  text += " GFLOP/s;";
  for (const cpu::MemoryLimit& memory : limits.memory)
    text += formatted(
        " %s %.1f%s",
        std::string(memory.place).c_str(),
        std::max(memory.read.all_threads, memory.triad.all_threads) / 1e9,
        &memory == &limits.memory.back() ? " GB/s" : ",");
  return text;
}

std::string profile_text(const ProgramProfile& profile, const cpu::Limits& limits) {
  const double in_ops = profile.seconds_in_ops();
  std::string text = formatted(
      "a step's time by op: %.3f ms in %zu ops, %.3f ms in all; %lld %s measured\n",
      1e3 * in_ops,
      profile.ops.size(),
      1e3 * profile.seconds,
      static_cast<long long>(profile.steps),
      profile.steps == 1 ? "step" : "steps");
  text += formatted("%-45s%6s%10s%9s%16s%10s\n", "op", "calls", "ms", "share", "rate", "of limit");
  for (const ProfileRow& row : rows_by_name(profile, limits)) {
    std::string name = shortened(row.name);
    // "…" is three bytes and one letter.
    const std::size_t letters = name.size() - (name == row.name ? 0 : 2);
    name.append(45 - letters, ' ');
    text += name + formatted(
                       "%6lld%10.3f%7.1f %%",
                       static_cast<long long>(row.calls),
                       1e3 * row.seconds,
                       100 * row.share);
    if (row.rate > 0)
      text += formatted("%16s%8.0f %%", rate_text(row).c_str(), 100 * row.of_limit());
    text += "\n";
  }
  return text + "limits of " + std::to_string(limits.threads) +
         (limits.threads == 1 ? " thread: " : " threads: ") + limits_text(limits) + "\n";
}

}  // namespace troupe::cli
