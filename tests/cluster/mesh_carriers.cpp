#include "mesh_carriers.hpp"

#include <troupe/core/clock.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::testing {

using namespace cluster;

MeshCarrier::~MeshCarrier() = default;

void MeshCarrier::open(System& system, std::uint32_t ranks, const MeshOptions& options) {
  system_ = &system;
  lost_.resize(ranks);
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    sinks_.push_back(spawn_sink(system, endings_.emplace_back()));
    members_.push_back(std::make_unique<MeshCollectives>(system, options));
    group_.members.push_back({"node-" + std::to_string(rank), members_.back()->address()});
  }
  for (std::uint32_t rank = 0; rank < ranks; ++rank) enter(rank, 1);
}

void MeshCarrier::enter(std::uint32_t rank, std::uint64_t epoch) {
  Group group;
  group.epoch = epoch;
  for (std::uint32_t other = 0; other < ranks(); ++other) {
    if (lost_[other]) continue;
    if (other == rank) group.rank = static_cast<std::uint32_t>(group.members.size());
    group.members.push_back(group_.members[other]);
  }
  members_[rank]->enter(std::move(group));
}

std::int64_t MeshCarrier::now_ns(std::uint32_t) { return system_->clock().now_ns(); }

void MeshCarrier::lose(std::uint32_t rank) {
  lost_[rank] = true;
  members_[rank].reset();
}

void MeshCarrier::close() {
  members_.clear();
  sinks_.clear();
  group_ = {};
}

SystemCarrier::SystemCarrier(std::uint32_t ranks, const MeshOptions& options, unsigned threads)
    : system_({.threads = threads}) {
  open(system_, ranks, options);
}

SystemCarrier::~SystemCarrier() {
  close();
  system_.wait_until(
      [&] { return system_.actors_alive() == 0 && system_.blocks_in_use() == 0; },
      "the end of all ranks");
}

void SystemCarrier::run_until(const std::function<bool()>& done) {
  system_.wait_until(done, "what the test waits for");
}

WorldCarrier::WorldCarrier(std::uint32_t ranks, const MeshOptions& options, std::uint64_t seed)
    : world_(seed) {
  open(world_.system(), ranks, options);
  world_.run_until_idle();
}

WorldCarrier::~WorldCarrier() {
  close();
  world_.run_until_idle();
  CHECK(world_.system().actors_alive() == 0);
  CHECK(world_.system().blocks_in_use() == 0);
}

void WorldCarrier::run_until(const std::function<bool()>& done) {
  world_.system().wait_until(done, "what the test waits for");
}

std::uint64_t WorldCarrier::run_turns(std::uint64_t turns) {
  const std::uint64_t before = world_.steps();
  try {
    world_.run_for(0, turns);
  } catch (const Error& error) {
    REQUIRE(error.code() == ErrorCode::stalled);
  }
  return world_.steps() - before;
}

MakeCarrier make_one_system(unsigned threads) {
  return [=](std::uint32_t ranks, const MeshOptions& options) {
    return std::make_unique<SystemCarrier>(ranks, options, threads);
  };
}

MakeCarrier make_world(std::uint64_t seed) {
  return [=](std::uint32_t ranks, const MeshOptions& options) {
    return std::make_unique<WorldCarrier>(ranks, options, seed);
  };
}

}  // namespace troupe::testing
