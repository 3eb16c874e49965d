#include "collectives_suite.hpp"

#include <troupe/cluster/messages.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/net/network.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

/// Ranks in systems of their own, connected by TCP, as processes are.
class TcpCarrier final : public Carrier {
 public:
  TcpCarrier(std::uint32_t ranks, const MeshOptions& options) {
    lost_.resize(ranks);
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      ranks_.push_back(std::make_unique<Rank>(rank, options));
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      for (std::uint32_t other = rank + 1; other < ranks; ++other)
        (void)ranks_[rank]->network->connect(ranks_[other]->at).get();
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      Group group;
      group.rank = rank;
      for (std::uint32_t other = 0; other < ranks; ++other) {
        const std::string node = "node-" + std::to_string(other);
        // A rank is up where it dialed before it is where it was dialed.
        const auto up = [&] {
          for (const net::PeerStatus& peer : ranks_[rank]->network->peers())
            if (peer.node == node && peer.up) return true;
          return false;
        };
        if (other != rank) run_until(up);
        group.members.push_back(
            {node,
             other == rank ? ranks_[rank]->mesh->address()
                           : ranks_[rank]
                                 ->network->find(node, "mesh")
                                 .get()
                                 .as<MeshPiece, MeshTaken, MeshAbort>()});
      }
      ranks_[rank]->mesh->enter(std::move(group));
    }
  }
  ~TcpCarrier() override {
    // What a network still has to give back goes with it.
    for (const auto& rank : ranks_) rank->mesh.reset();
    for (const auto& rank : ranks_) rank->end();
  }

  std::uint32_t ranks() const override { return static_cast<std::uint32_t>(ranks_.size()); }
  Collectives& rank(std::uint32_t rank) override { return *ranks_[rank]->mesh; }
  Address<CollectiveDone> sink(std::uint32_t rank) override { return ranks_[rank]->sink; }
  const Endings& endings(std::uint32_t rank) const override { return ranks_[rank]->endings; }
  std::int64_t now_ns(std::uint32_t rank) override { return ranks_[rank]->system.clock().now_ns(); }
  void run_until(const std::function<bool()>& done) override {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      if (std::chrono::steady_clock::now() > until) throw std::runtime_error("it does not come");
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  void lose(std::uint32_t rank) override {
    lost_[rank] = true;
    ranks_[rank]->network->stop();
  }

 private:
  struct Rank {
    Rank(std::uint32_t number, const MeshOptions& options)
        : system({.threads = 1}), sink(spawn_sink(system, endings)) {
      net::NetworkOptions net{.node = "node-" + std::to_string(number)};
      net.messages.push_back(&cluster::find_message);
      network = &net::attach(system, std::move(net));
      mesh = std::make_unique<MeshCollectives>(system, options);
      network->publish("mesh", mesh->address());
      at = network->listen({"127.0.0.1", 0});
      system.pending_outside(1);  // the test
      thread = std::thread(
          [this] { system.wait_until([this] { return ended.load(); }, "the end of the test"); });
    }
    void end() {
      network->stop();
      ended = true;
      system.notify_waiters();
      thread.join();
      system.pending_outside(-1);
    }

    Endings endings;
    System system;
    net::Network* network = nullptr;
    net::Endpoint at;
    std::unique_ptr<MeshCollectives> mesh;
    Address<CollectiveDone> sink;
    std::atomic<bool> ended{false};
    std::thread thread;
  };

  std::vector<std::unique_ptr<Rank>> ranks_;
};

std::unique_ptr<Carrier> make_tcp(std::uint32_t ranks, const MeshOptions& options) {
  return std::make_unique<TcpCarrier>(ranks, options);
}

}  // namespace

TEST_CASE("reductions over TCP have the bits of the serial tree", "[cluster][net]") {
  reductions_have_the_bits_of_the_serial_tree(make_tcp);
}

TEST_CASE("large reductions over TCP have the bits of the serial tree", "[cluster][net]") {
  large_reductions_have_the_bits_of_the_serial_tree(make_tcp);
}

TEST_CASE("bits of a reduction over TCP depend on its shards alone", "[cluster][net]") {
  bits_depend_on_shards_alone(make_tcp);
}

TEST_CASE("bytes gathered and broadcast over TCP arrive as they were", "[cluster][net]") {
  bytes_arrive_as_they_were(make_tcp);
}

TEST_CASE("a barrier over TCP holds until all are there", "[cluster][net]") {
  a_barrier_holds_until_all_are_there(make_tcp);
}

TEST_CASE("over TCP deadlines and cancel end what is waited for", "[cluster][net]") {
  deadlines_end_what_is_waited_for(make_tcp);
  cancel_ends_it_everywhere(make_tcp);
}

TEST_CASE("a lost process ends all operations", "[cluster][net]") {
  a_lost_rank_ends_all_operations(make_tcp);
}

TEST_CASE("what processes disagree on is named", "[cluster][net]") {
  disagreements_are_named(make_tcp);
}

}  // namespace troupe::testing
