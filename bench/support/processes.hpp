#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <vector>

namespace troupe::bench {

/// The processes of one measurement. The calling one is rank 0; the others are forked from it, so
/// it must have no thread of its own yet.
class Processes {
 public:
  /// Runs `work(rank, processes)` in each; returns rank 0's result when all have ended.
  static double run(
      unsigned count, const std::function<double(unsigned rank, Processes& processes)>& work) {
    Processes all(count);
    std::vector<pid_t> children;
    for (unsigned rank = 1; rank < count; ++rank) {
      const pid_t id = fork();
      if (id == 0) {
        (void)work(rank, all);
        _exit(0);
      }
      children.push_back(id);
    }
    const double result = work(0, all);
    for (const pid_t child : children) waitpid(child, nullptr, 0);
    return result;
  }

  [[nodiscard]] unsigned count() const noexcept { return static_cast<unsigned>(to_.size()); }

  /// The port that each process listens at; called once by all.
  [[nodiscard]] std::vector<std::uint16_t> ports(unsigned rank, std::uint16_t mine) {
    struct Entry {
      unsigned rank;
      std::uint16_t port;
    };
    for (const auto& pipe : to_) {
      const Entry entry{rank, mine};
      if (write(pipe[1], &entry, sizeof entry) != sizeof entry) std::abort();
    }
    std::vector<std::uint16_t> all(count());
    for (unsigned i = 0; i < count(); ++i) {
      Entry entry{};
      if (read(to_[rank][0], &entry, sizeof entry) != sizeof entry) std::abort();
      all[entry.rank] = entry.port;
    }
    return all;
  }

 private:
  explicit Processes(unsigned count) : to_(count) {
    for (auto& pipe : to_)
      if (::pipe(pipe.data()) != 0) std::abort();
  }
  ~Processes() {
    for (const auto& pipe : to_)
      for (const int end : pipe) close(end);
  }

  std::vector<std::array<int, 2>> to_;  // a pipe to each
};

}  // namespace troupe::bench
