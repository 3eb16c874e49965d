#include "mesh_member.hpp"

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/core/monitor.hpp>

#include <string>
#include <utility>

namespace troupe::cluster {

namespace {

constexpr std::size_t ranks_max = 1024;

const MeshOptions& checked(const MeshOptions& options) {
  if (options.piece_bytes == 0 || options.piece_bytes % 8 != 0 || options.fan_out == 0)
    throw Error(
        ErrorCode::invalid_argument,
        "pieces of " + std::to_string(options.piece_bytes) + " bytes, a fan-out of " +
            std::to_string(options.fan_out))
        .hint("pieces are of a multiple of 8 bytes, and the fan-out is 1 or more");
  return options;
}

MeshMember::AddressType member(const Address<>& actor) {
  return MeshMember::AddressType(actor.cell());
}

}  // namespace

MeshCollectives::MeshCollectives(System& system, MeshOptions options)
    : counters_(std::make_shared<MeshCounters>()) {
  const auto actor = system.spawn<MeshMember>(checked(options), counters_);
  actor_ = actor;
  address_ = actor;
}

// Ranks hold each other's addresses: none would become unreachable by itself.
MeshCollectives::~MeshCollectives() { stop(actor_); }

void MeshCollectives::enter(Group group) {
  const auto refuse = [&](const std::string& what) {
    throw Error(
        ErrorCode::invalid_argument,
        "the group of epoch " + std::to_string(group.epoch) + " " + what)
        .op("enter");
  };
  if (group.epoch <= epoch_) refuse("comes after that of epoch " + std::to_string(epoch_));
  if (group.members.size() > ranks_max)
    refuse("has more than " + std::to_string(ranks_max) + " members");
  if (group.rank >= group.members.size() || group.members[group.rank].address != address_)
    refuse("has another at rank " + std::to_string(group.rank));
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    if (!group.members[i].address) refuse("has no address for rank " + std::to_string(i));
    if (i != group.rank && group.members[i].address == address_) refuse("has this rank twice");
  }
  epoch_ = group.epoch;
  rank_ = group.rank;
  ranks_ = static_cast<std::uint32_t>(group.members.size());
  member(actor_).send(EnterGroup{std::move(group)});
}

void MeshCollectives::cancel(CollectiveKey key) { member(actor_).send(CancelCollective{key}); }

void MeshCollectives::begin(CollectiveCall call) {
  member(actor_).send(BeginCollective{std::move(call)});
}

}  // namespace troupe::cluster
