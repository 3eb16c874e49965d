#pragma once

#include <troupe/cluster/device_host.hpp>
#include <troupe/cluster/messages.hpp>
#include <troupe/cluster/remote_device.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/net/network.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/scope.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace troupe::testing {

/// A process that lends its processor, but for the process.
struct LendingNode {
  explicit LendingNode(
      const std::string& name, cluster::DeviceHostOptions options = {}, unsigned threads = 1)
      : system({.threads = threads}) {
    cpu::attach(system);
    net::NetworkOptions net{.node = name};
    net.messages.push_back(&cluster::find_message);
    network = &net::attach(system, std::move(net));
    host = std::make_unique<cluster::DeviceHost>(system, *network, options);
    at = network->listen({"127.0.0.1", 0});
    system.pending_outside(1);  // the test
    runner = std::thread(
        [this] { system.wait_until([this] { return ended.load(); }, "the end of the test"); });
  }
  ~LendingNode() { end(); }
  /// As if the process had been killed.
  void end() {
    if (ended) return;
    network->stop();
    ended = true;
    system.notify_waiters();
    runner.join();
    host.reset();
    system.pending_outside(-1);
  }

  System system;
  net::Network* network = nullptr;
  std::unique_ptr<cluster::DeviceHost> host;
  net::Endpoint at;
  std::atomic<bool> ended{false};
  std::thread runner;
};

/// One that borrows it, with a processor of its own and a scope on that.
struct BorrowingNode {
  explicit BorrowingNode(const LendingNode& lender, unsigned threads = 1)
      : system({.threads = threads}), local(cpu::attach(system)), scope(system) {
    net::NetworkOptions net{.node = "here"};
    net.messages.push_back(&cluster::find_message);
    network = &net::attach(system, std::move(net));
    system.pending_outside(1);
    (void)network->connect(lender.at).get();
    remote = &cluster::remote_device(system, *network, lender.network->node(), "cpu");
  }
  ~BorrowingNode() { system.pending_outside(-1); }

  /// Runs this side until it is so; fails after ten seconds.
  void wait(const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > until) throw std::runtime_error("it does not come");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      system.wait_until([n = 0]() mutable { return n++ > 0; }, "a look");
      system.run_ready();
    }
  }

  System system;
  Device& local;
  Scope scope;
  net::Network* network = nullptr;
  Device* remote = nullptr;
};

/// What a call throws.
inline std::optional<Error> error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace troupe::testing
