#pragma once

#include "training.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// Real processes of one machine that train together.
namespace troupe::cli::test {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

inline long count_of(const char* variable, long otherwise) {
  const char* const text = std::getenv(variable);
  return text ? std::atol(text) : otherwise;
}

inline std::size_t times(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

/// The same numbers each time; what they meet with in time is not.
struct Draws {
  std::uint64_t state = static_cast<std::uint64_t>(count_of("TROUPE_TEST_SEED", 1));
  long operator()(long below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<long>((state >> 33) % static_cast<std::uint64_t>(below));
  }
};

/// A `troupe peer`, which may be killed and started again at the same port.
class Peer {
 public:
  Peer(const Folder& folder, std::string name, Words more = {})
      : folder_(folder), name_(std::move(name)), more_(std::move(more)) {
    start();
  }

  void start() {
    running_.reset();
    running_ = std::make_unique<Running>(
        folder_,
        Words{"peer", "--listen", "127.0.0.1:" + port_, "--threads", "1"} + more_,
        name_ + "-" + std::to_string(++lives_) + "-");
    const std::string before = "listens at 127.0.0.1:";
    REQUIRE(eventually([&] { return err().find(" on cpu") != std::string::npos; }));
    const std::string said = err();
    const std::size_t at = said.find(before) + before.size();
    port_ = said.substr(at, said.find(' ', at) - at);
  }
  void kill() {
    running_->send(SIGKILL);
    REQUIRE(running_->wait().code == 128 + SIGKILL);
  }
  [[nodiscard]] Running& running() { return *running_; }
  [[nodiscard]] std::string at() const { return "127.0.0.1:" + port_; }
  [[nodiscard]] std::string err() const { return running_->err(); }
  /// Views that it has had a part in.
  [[nodiscard]] std::size_t views() const { return times(err(), "\nview "); }

 private:
  const Folder& folder_;
  std::string name_;
  Words more_;
  std::string port_ = "0";
  int lives_ = 0;
  std::unique_ptr<Running> running_;
};

/// Peers, and a leader's words for them.
struct Cluster : Fixture {
  explicit Cluster(int count, const Words& more = {}) {
    for (int i = 1; i <= count; ++i)
      peers.push_back(std::make_unique<Peer>(folder, "peer" + std::to_string(i), more));
  }
  [[nodiscard]] Words led() const {
    std::string list;
    for (const auto& peer : peers) list += (list.empty() ? "" : ",") + peer->at();
    return {"--peers", list, "--threads", "1"};
  }
  std::vector<std::unique_ptr<Peer>> peers;
};

inline const Words mlp = small_run + Words{"--model", "mlp"};
inline Words epochs(int count) { return {"--epochs", std::to_string(count)}; }

}  // namespace troupe::cli::test
