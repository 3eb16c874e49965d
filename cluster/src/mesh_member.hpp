#pragma once

#include "mesh_operation.hpp"
#include "reduction_plan.hpp"

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/core/actor.hpp>
#include <troupe/core/buffers.hpp>
#include <troupe/core/monitor.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::cluster {

// What a rank's own process sends it; none of these leaves the process.

struct BeginCollective {
  static constexpr MessageId id{510};
  static constexpr std::string_view name = "begin_collective";
  CollectiveCall call;
  template <class V>
  void fields(V& visit) {
    visit.local("call");
  }
  [[nodiscard]] std::uint64_t trace_key() const noexcept { return call.key.step; }
};

struct CancelCollective {
  static constexpr MessageId id{511};
  static constexpr std::string_view name = "cancel_collective";
  CollectiveKey key;
  template <class V>
  void fields(V& visit) {
    visit.local("key");
  }
};

struct EnterGroup {
  static constexpr MessageId id{512};
  static constexpr std::string_view name = "enter_group";
  Group group;
  template <class V>
  void fields(V& visit) {
    visit.local("group");
  }
};

struct MeshTick {
  static constexpr MessageId id{513};
  static constexpr std::string_view name = "mesh_tick";
  template <class V>
  void fields(V& visit) {
    visit.local("tick");
  }
};

/// The actor behind `MeshCollectives`: this rank's operations, by key.
///
/// Receives  calls and groups from its own process, pieces from other ranks, in any order.
/// Sends     pieces to other ranks, `CollectiveDone` to who called.
/// Turns     take one piece each: a large sum does not hold up the mailbox.
/// Stops     when `MeshCollectives` goes; operations then end with `stopped`.
class MeshMember final : public Actor<
                             MeshPiece,
                             MeshTaken,
                             MeshAbort,
                             Down,
                             BeginCollective,
                             CancelCollective,
                             EnterGroup,
                             MeshTick> {
 public:
  static constexpr std::string_view name = "collectives";

  MeshMember(const MeshOptions& options, std::shared_ptr<MeshCounters> counters);
  ~MeshMember();

  [[nodiscard]] std::string waits_for() const;

 private:
  friend ActorAccess;

  /// An operation that has begun here, or of which others have sent pieces.
  struct Entry {
    std::unique_ptr<MeshOperation> operation;  // null: not begun here
    CollectiveKind kind = CollectiveKind::barrier;
    Address<CollectiveDone> to;
    std::int64_t deadline_ns = 0;
    std::vector<MeshPiece> early;
    std::uint64_t early_bytes = 0;
  };
  using Entries = std::map<CollectiveKey, Entry>;

  void on(BeginCollective&& begin);
  void on(CancelCollective cancel);
  void on(EnterGroup&& enter);
  void on(MeshPiece&& piece);
  void on(const MeshTaken& taken);
  void on(MeshAbort&& abort);
  void on(const Down& down);
  void on(MeshTick tick);

  template <class M>
  bool is_of_this_epoch(M& message);
  Entries::iterator entry_of(const CollectiveKey& key);
  void keep(Entry& entry, MeshPiece&& piece);

  void advance(Entries::iterator at);
  enum class Tell { nobody, others };
  void fail(Entries::iterator at, Error reason, Tell tell);
  void end(Entries::iterator at, std::optional<Error> reason);
  void end_all(const Error& reason);
  void answer(const CollectiveCall& call, const Error& reason);

  /// The same error, said of a rank.
  [[nodiscard]] Error blaming(std::uint32_t rank, const Error& reason) const;
  /// The same error, as the caller of an operation gets it.
  [[nodiscard]] static Error about(
      const CollectiveKey& key, CollectiveKind kind, const Error& reason);
  [[nodiscard]] bool is_another(std::uint32_t rank) const noexcept;
  [[nodiscard]] std::string called(std::uint32_t rank) const;
  [[nodiscard]] static std::string named(const CollectiveKey& key, CollectiveKind kind);

  void arm(std::int64_t due_ns);
  [[nodiscard]] std::shared_ptr<const ReductionPlan> plan_of(std::uint32_t shards);

  const MeshOptions options_;
  const std::shared_ptr<MeshCounters> counters_;
  const std::shared_ptr<Buffers> buffers_;

  Group group_;                // without members before the first
  std::optional<Error> lost_;  // a member is down: this group does nothing any more
  Entries entries_;
  MeshOperation::Windows windows_;
  std::map<std::uint32_t, std::shared_ptr<const ReductionPlan>> plans_;  // by number of shards

  // The last that ended in this epoch, so that what comes late for them is not taken for early. The
  // error of those that ended before they began here.
  std::map<CollectiveKey, std::optional<Error>> ended_;
  std::deque<CollectiveKey> ended_order_;

  // Of groups that this rank has not entered yet.
  std::vector<std::variant<MeshPiece, MeshAbort>> of_later_epochs_;
  std::uint64_t early_bytes_ = 0;  // in all: these, and of operations not begun

  std::uint64_t timer_ = 0;  // 0: none is set
  std::int64_t timer_due_ns_ = 0;
};

}  // namespace troupe::cluster
