#pragma once

#include <troupe/cluster/mesh_messages.hpp>
#include <troupe/core/system.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::cluster {

/// One rank of a group, as others see it.
struct GroupMember {
  std::string name;  ///< for errors
  MeshAddress address;

  template <class V>
  void fields(V& visit) {
    visit.field("name", name);
    visit.field("address", address);
  }
};

/// Who works together in one epoch. Made anew for each, alike on all ranks but for `rank`.
struct Group {
  std::uint64_t epoch = 1;  ///< later groups have larger ones
  std::uint32_t rank = 0;   ///< the place of this process among the members
  std::vector<GroupMember> members;

  template <class V>
  void fields(V& visit) {
    visit.field("epoch", epoch);
    visit.field("rank", rank);
    visit.field("members", members);
  }
};

/// What decides on the layout, the first three, is alike on all ranks, or operations end with an
/// error.
struct MeshOptions {
  /// Sending, summing and receiving overlap by pieces of this size; a multiple of 8.
  std::uint32_t piece_bytes = 256U << 10;
  /// What travels in the time of one latency. Up to about this size, everybody sends everything to
  /// everybody; above, in parts.
  std::uint64_t latency_bytes = 64U << 10;
  /// How many ranks one sends a small broadcast to.
  std::uint32_t fan_out = 8;
  /// What may be on the way to one rank and not taken by it, in all operations together. Two pieces
  /// of each operation come on top, so that none waits for another.
  std::uint32_t window_bytes = 8U << 20;
  /// Held of operations that this rank has not begun.
  std::uint64_t early_bytes_max = 256U << 20;
  /// Memory of results that are gone, for those to come.
  std::uint64_t kept_bytes_max = 256U << 20;
  /// Of an operation without a deadline, and of pieces whose operation is never begun.
  std::int64_t timeout_ns = 30'000'000'000;
};

/// What a rank ignored or refused; read at any time by any thread.
struct MeshCounters {
  std::atomic<std::uint64_t> other_epoch{0};  ///< messages of groups that are over
  std::atomic<std::uint64_t> late{0};         ///< messages of operations that have ended
  std::atomic<std::uint64_t> refused{0};      ///< messages that cannot be right
  std::atomic<std::uint64_t> dropped{0};      ///< pieces above the quota
};

/// Collectives between actors: each rank has one, which sends pieces to the others' addresses,
/// wherever those are.
///
/// Small     everybody sends everything to everybody and sums by itself: one latency.
/// Large     each rank owns a part, gets it from all others, sums it and sends the sum to all: the
///           bytes of a ring, and two latencies for its 2(N−1).
/// Memory    the result, and a piece for each node of the tree that waits for its sibling; of
///           operations not begun here, `MeshOptions::early_bytes_max`.
/// Lifetime  must end before its system. The others are then told that this rank is down.
class MeshCollectives final : public Collectives {
 public:
  explicit MeshCollectives(System& system, MeshOptions options = {});
  ~MeshCollectives() override;
  MeshCollectives(const MeshCollectives&) = delete;
  MeshCollectives& operator=(const MeshCollectives&) = delete;

  /// Where others send to; stays the same in all epochs.
  [[nodiscard]] const MeshAddress& address() const noexcept { return address_; }

  /// Becomes a rank of this group. Operations of the last one that have not ended do, with
  /// `fenced`; what came for this one before now is read now. Throws `invalid_argument` for a group
  /// that has no such rank or is not later.
  void enter(Group group);

  [[nodiscard]] std::uint32_t rank() const noexcept override { return rank_; }
  [[nodiscard]] std::uint32_t ranks() const noexcept override { return ranks_; }
  void cancel(CollectiveKey key) override;

  [[nodiscard]] const MeshCounters& counters() const noexcept { return *counters_; }

 protected:
  void begin(CollectiveCall call) override;

 private:
  std::shared_ptr<MeshCounters> counters_;
  Address<> actor_;
  MeshAddress address_;
  std::uint64_t epoch_ = 0;
  std::uint32_t rank_ = 0;
  std::uint32_t ranks_ = 0;
};

}  // namespace troupe::cluster
