#include "messages.hpp"

#include <troupe/core/completion.hpp>
#include <troupe/core/system.hpp>

#include <catch2/catch_test_macros.hpp>

#include <thread>

namespace troupe::testing {
namespace {

class Transfer final : public Completion {
 public:
  using Completion::Completion;
  void end() { finish(); }

 private:
  void destroy() noexcept override { delete this; }
};

class Listener final : public Actor<Completed> {
 public:
  explicit Listener(std::vector<std::uint64_t>& tokens) : tokens_(tokens) {}

 private:
  friend ActorAccess;
  void on(const Completed& completed) { tokens_.push_back(completed.token); }
  std::vector<std::uint64_t>& tokens_;
};

}  // namespace

TEST_CASE("a completion tells each who asked, before or after, once and in order", "[core]") {
  std::vector<std::uint64_t> tokens;
  System system({.threads = 1});
  auto listener = system.spawn<Listener>(tokens);
  auto transfer = Ref<Transfer>::adopt(new Transfer(system));
  transfer->notify(listener, 1);
  transfer->notify(listener, 2);
  system.run_ready();
  CHECK(tokens.empty());
  CHECK_FALSE(transfer->complete());
  transfer->end();
  CHECK(transfer->complete());
  transfer->notify(listener, 3);
  system.run_ready();
  CHECK(tokens == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE("who waits for a completion wakes when another thread ends it", "[core][stress]") {
  System system({.threads = 2});
  for (int i = 0; i < 50; ++i) {
    auto transfer = Ref<Transfer>::adopt(new Transfer(system));
    system.pending_outside(1);
    std::thread device([&, transfer] {
      if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      transfer->end();
      system.pending_outside(-1);
    });
    system.wait_until([&] { return transfer->complete(); }, "the transfer");
    device.join();
  }
}

}  // namespace troupe::testing
