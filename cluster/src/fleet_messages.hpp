#pragma once

#include <troupe/cluster/mesh_messages.hpp>
#include <troupe/cluster/view.hpp>
#include <troupe/core/address.hpp>
#include <troupe/core/error.hpp>
#include <troupe/net/endpoint.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cluster {

/// Names that actors are published by.
inline constexpr std::string_view follower_name = "cluster.follower";
inline constexpr std::string_view mesh_name = "cluster.mesh";
inline constexpr std::string_view rendezvous_name = "cluster.rendezvous";

/// The answer to `Announce`.
struct Announced {
  static constexpr MessageId id{518};
  static constexpr std::string_view name = "announced";

  bool refused = false;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("refused", refused);
    visit.field("reason", reason);
  }
};

/// A process says to rank 0 which it is.
struct Announce {
  static constexpr MessageId id{519};
  static constexpr std::string_view name = "announce";

  std::string node;
  std::uint32_t rank = 0;
  std::uint32_t world = 0;
  std::uint16_t port = 0;
  Address<Announced> reply_to;

  template <class V>
  void fields(V& visit) {
    visit.field("node", node);
    visit.field("rank", rank);
    visit.field("world", world);
    visit.field("port", port);
    visit.field("reply_to", reply_to);
  }
};

/// A follower takes part, or says why not.
struct Joined {
  static constexpr MessageId id{511};
  static constexpr std::string_view name = "joined";

  std::string node;
  std::uint64_t run = 0;
  std::int64_t step = -1;   ///< that it holds a state of, from a leader before; −1: none
  std::uint32_t epoch = 0;  ///< of the last view that it knows of
  bool refused = false;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("node", node);
    visit.field("run", run);
    visit.field("step", step);
    visit.field("epoch", epoch);
    visit.field("refused", refused);
    visit.field("reason", reason);
  }
};

/// A follower's part in a view has ended.
struct Left {
  static constexpr MessageId id{512};
  static constexpr std::string_view name = "left";

  std::string node;
  std::uint32_t epoch = 0;
  bool done = false;      ///< the run is
  bool parted = false;    ///< and nothing of it is kept
  bool replaced = false;  ///< it follows a later leader of the run
  bool failed = false;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("node", node);
    visit.field("epoch", epoch);
    visit.field("done", done);
    visit.field("parted", parted);
    visit.field("replaced", replaced);
    visit.field("failed", failed);
    visit.field("reason", reason);
  }
};

/// A piece of a state, in order; the last one says so.
struct StatePiece {
  static constexpr MessageId id{513};
  static constexpr std::string_view name = "state_piece";
  static constexpr bool bounded = true;  // by the state, which is there anyway

  std::uint64_t term = 0;   ///< of the leader
  std::uint32_t epoch = 0;  ///< of the view that begins with it; 0: it was asked for
  bool last = false;
  Bytes data;

  template <class V>
  void fields(V& visit) {
    visit.field("term", term);
    visit.field("epoch", epoch);
    visit.field("last", last);
    visit.field("data", data);
  }
};

/// What a step of a view took of a follower itself.
struct StepTook {
  static constexpr MessageId id{520};
  static constexpr std::string_view name = "step_took";

  std::uint32_t epoch = 0;
  std::uint64_t step = 0;  ///< of the view
  std::int64_t own_ns = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("epoch", epoch);
    visit.field("step", step);
    visit.field("own_ns", own_ns);
  }
};

using LeaderAddress = Address<Joined, Left, StatePiece, StepTook>;

/// Asks a follower to take part in a run.
struct Invite {
  static constexpr MessageId id{514};
  static constexpr std::string_view name = "invite";

  RunTerms terms;
  LeaderAddress leader;

  template <class V>
  void fields(V& visit) {
    visit.field("terms", terms);
    visit.field("leader", leader);
  }
};

/// A view begins, whose state follows.
struct Enter {
  static constexpr MessageId id{515};
  static constexpr std::string_view name = "enter";

  struct Member {
    std::string node;
    std::string host;
    std::uint16_t port = 0;  ///< 0: who is connected to all already, the leader

    template <class V>
    void fields(V& visit) {
      visit.field("node", node);
      visit.field("host", host);
      visit.field("port", port);
    }
  };
  std::uint64_t run = 0;
  std::uint64_t term = 0;
  std::uint32_t epoch = 0;
  std::uint32_t rank = 0;
  std::uint32_t shards = 0;
  std::vector<Member> members;

  template <class V>
  void fields(V& visit) {
    visit.field("run", run);
    visit.field("term", term);
    visit.field("epoch", epoch);
    visit.field("rank", rank);
    visit.field("shards", shards);
    visit.field("members", members);
  }
};

/// Asks for the state that a follower holds.
struct AskState {
  static constexpr MessageId id{516};
  static constexpr std::string_view name = "ask_state";

  template <class V>
  void fields(V&) {}
};

/// The run is over: nothing of it need be kept.
struct Finish {
  static constexpr MessageId id{517};
  static constexpr std::string_view name = "finish";

  std::uint64_t term = 0;
  bool done = false;  ///< the run is; else it was stopped, and steps under way come to nothing

  template <class V>
  void fields(V& visit) {
    visit.field("term", term);
    visit.field("done", done);
  }
};

using FollowerAddress = Address<Invite, Enter, StatePiece, AskState, Finish>;

using FleetMessages = MessageList<
    511,
    529,
    Joined,
    Left,
    StatePiece,
    StepTook,
    Invite,
    Enter,
    AskState,
    Finish,
    Announce,
    Announced>;

}  // namespace troupe::cluster
