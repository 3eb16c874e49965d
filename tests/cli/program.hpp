#pragma once

#include "small_data.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace troupe::cli::test {

/// What a run of the program came to.
struct Ended {
  int code = -1;  ///< exit code; 128 + signal when killed
  std::string out;
  std::string err;
  long resident_kib_max = 0;
};

/// A run of the real program, in a folder, with both streams going to files there, of this name
/// where several run at one time.
class Running {
 public:
  /// @param network  to run in, as `setns()` takes it; −1: this process's
  Running(
      const Folder& folder,
      const std::vector<std::string>& arguments,
      const std::string& name = {},
      int network = -1)
      : out_(folder / (name + "stdout")), err_(folder / (name + "stderr")) {
    std::vector<char*> words{const_cast<char*>(TROUPE_PROGRAM)};
    for (const std::string& argument : arguments)
      words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    std::fflush(nullptr);  // or the child writes what waits here once more
    child_ = ::fork();
    if (child_ == 0) {
      std::signal(SIGXFSZ, SIG_IGN);  // a write that is too long fails, as on a full disk
      const bool ready = (network < 0 || ::setns(network, CLONE_NEWNET) == 0) &&
                         ::chdir(folder.path().c_str()) == 0 &&
                         std::freopen(out_.c_str(), "w", stdout) &&
                         std::freopen(err_.c_str(), "w", stderr);
      if (ready) ::execv(TROUPE_PROGRAM, words.data());
      ::_exit(127);
    }
  }
  ~Running() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void send(int signal) const { ::kill(child_, signal); }
  /// From now on the program's files cannot grow beyond that.
  void limit_files(std::uint64_t bytes) const {
    const rlimit limit{bytes, bytes};
    ::prlimit(child_, RLIMIT_FSIZE, &limit, nullptr);
  }
  [[nodiscard]] std::string err() const { return read_file(err_); }
  /// Whether it has ended, by itself or not; `wait` tells how.
  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == child_;
  }

  Ended wait() {
    int status = 0;
    rusage used{};
    while (::wait4(child_, &status, 0, &used) < 0 && errno == EINTR) {
    }
    child_ = -1;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, read_file(out_), read_file(err_), used.ru_maxrss};
  }

 private:
  std::string out_;
  std::string err_;
  pid_t child_ = -1;
};

inline Ended run(const Folder& folder, const std::vector<std::string>& arguments) {
  return Running(folder, arguments).wait();
}

/// Looks every millisecond until it is true; false after a minute.
template <class Condition>
bool eventually(Condition&& condition) {
  for (int i = 0; i < 60'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace troupe::cli::test
