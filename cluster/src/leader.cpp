#include "fleet.hpp"
#include "pace.hpp"

#include <troupe/cluster/leader.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/core/future.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/tensor/engine.hpp>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <optional>
#include <utility>

namespace troupe::cluster {

/// Who is there, kept up to date by an actor for each follower.
struct Leader::State : std::enable_shared_from_this<Leader::State> {
  /// One follower, by the place in the list that people gave.
  struct Slot {
    net::Endpoint at;
    std::string node;
    bool joined = false;
    bool refused = false;  ///< for good, with a reason that no other try mends
    std::uint32_t epoch = 0;
    std::int64_t held_step = -1;
    Error reason;
    FollowerAddress follower;
    Address<> recruiter;
    bool counts = false;  ///< it had a part in the last view that did a step
    // Of the view at the moment.
    bool in_view = false;
    std::uint32_t rank = 0;
    std::optional<Left> left;
    StateGatherer state;
  };

  State(System& owner, net::Network& net, LeaderOptions given, RunTerms what)
      : system(owner),
        network(net),
        options(std::move(given)),
        terms(std::move(what)),
        mesh(std::make_shared<Mesh>(owner, MeshOptions{.timeout_ns = exchange_timeout_ns})) {}

  void say(const std::string& line) const {
    if (options.say) options.say(line);
  }
  /// Behind the lock: something that the view stands on is not there any more.
  void end_view(const Error& reason) {
    view_broken = true;
    view_stop.request_stop();
    if (exchanger) exchanger->close(reason);
    if (!std::exchange(left_view, true)) leave(*mesh, epoch + 1, network.node());
  }
  [[nodiscard]] std::string name_of(const Slot& slot) const {
    return slot.node.empty() ? net::to_string(slot.at)
                             : "'" + slot.node + "' at " + net::to_string(slot.at);
  }
  [[nodiscard]] std::string those_away() const;
  void check_majority() const;
  [[nodiscard]] Bytes later_state(std::int64_t& step);
  void took(std::uint32_t of_epoch, std::uint32_t rank, std::uint64_t step, std::int64_t own_ns);
  void wait_until_known(const Error& why);
  Enter next_view();
  void settle(bool at_last);

  System& system;
  net::Network& network;
  LeaderOptions options;
  RunTerms terms;
  std::shared_ptr<Mesh> mesh;

  mutable std::mutex mutex;
  std::vector<Slot> slots;
  std::uint32_t epoch = 0;
  std::size_t ranks = 1;
  std::shared_ptr<MeshExchanger> exchanger;
  std::stop_source view_stop;
  std::optional<Error> fenced;  ///< another process leads the run by now
  bool view_broken = false;     ///< one of it is gone, or has failed
  bool left_view = true;        ///< this process has, and takes part in no exchange
  Pace pace;                    ///< of the view
  std::int64_t waited_ns = 0;   ///< in views before this one
};

namespace {

/// Finds one follower, invites it, and goes on looking for it when it is lost.
class Recruiter final : public Actor<
                            net::PeerUp,
                            net::Found,
                            Unanswered,
                            Joined,
                            Left,
                            StatePiece,
                            StepTook,
                            Down,
                            Completed> {
 public:
  static constexpr std::string_view name = "cluster.recruiter";
  Recruiter(std::shared_ptr<Leader::State> state, std::size_t slot)
      : s_(std::move(state)), slot_(slot) {}

 private:
  friend ActorAccess;
  using Slot = Leader::State::Slot;

  void on(const Completed&) { connect(); }
  void connect() {
    // One that is there is asked again: another conversation would end this one under way.
    if (!node_.empty() && is_up(s_->network, node_)) return look();
    try {
      s_->network.connect(s_->slots[slot_].at).then(self());
    } catch (...) {
      away(current_error());
    }
  }
  void on(const net::PeerUp& up) {
    node_ = up.node;
    look();
  }
  void look() {
    try {
      s_->network.find(node_, std::string(follower_name)).then(self());
    } catch (...) {
      away(current_error());
    }
  }
  void on(const net::Found& found) {
    if (!found.actor) return away(found.reason);
    follower_ = FollowerAddress(found.actor.cell());
    monitor(follower_, self());
    watched_ = true;
    follower_.send(Invite{s_->terms, self()});
  }
  void on(const Unanswered& unanswered) { away(unanswered.reason); }
  void on(Joined&& joined) {
    // Busy, but perhaps not for long.
    if (joined.refused && joined.reason.code() == ErrorCode::overload) {
      watched_ = false;
      return away(std::move(joined.reason));
    }
    const std::lock_guard lock(s_->mutex);
    Slot& slot = s_->slots[slot_];
    slot.node = joined.node;
    if (joined.refused) {
      slot.refused = true;
      slot.reason = joined.reason;
      if (joined.reason.code() == ErrorCode::fenced) fence(slot);
    } else {
      slot.joined = true;
      slot.epoch = joined.epoch;
      slot.held_step = joined.step;
      slot.follower = follower_;
      slot.reason = Error();
      // From the next step on it has a part.
      s_->view_stop.request_stop();
    }
    system().notify_waiters();
  }
  /// Behind the lock.
  void fence(const Slot& slot) {
    if (!s_->fenced)
      s_->fenced =
          Error(slot.reason.code(), "peer " + s_->name_of(slot) + ": " + slot.reason.message())
              .hint(slot.reason.hint());
    s_->end_view(*s_->fenced);
  }
  void on(Left&& left) {
    const std::lock_guard lock(s_->mutex);
    Slot& slot = s_->slots[slot_];
    if (left.replaced) {
      slot.reason = left.reason;
      fence(slot);
      system().notify_waiters();
      return;
    }
    if (left.epoch != s_->epoch || !slot.in_view) return;
    const bool failed = left.failed;
    slot.left = std::move(left);
    // What the others' steps wait for will not come.
    if (failed) s_->end_view(slot.left->reason);
    system().notify_waiters();
  }
  void on(StatePiece&& piece) {
    const std::lock_guard lock(s_->mutex);
    s_->slots[slot_].state.add(piece);
    if (piece.last) system().notify_waiters();
  }
  void on(const StepTook& took) {
    std::uint32_t rank = 0;
    {
      const std::lock_guard lock(s_->mutex);
      rank = s_->slots[slot_].rank;
    }
    s_->took(took.epoch, rank, took.step, took.own_ns);
  }
  void on(const Down& down) {
    if (!watched_) return;
    watched_ = false;
    away(down.failed ? down.reason : Error(ErrorCode::peer_down, "it ended"));
  }
  void away(Error reason) {
    {
      const std::lock_guard lock(s_->mutex);
      Slot& slot = s_->slots[slot_];
      slot.joined = false;
      slot.follower = {};
      if (reason.code() == ErrorCode::peer_mismatch || reason.code() == ErrorCode::unsupported)
        slot.refused = true;
      if (slot.in_view)
        s_->end_view(Error(
            ErrorCode::peer_down,
            "follower " + s_->name_of(slot) + " is lost: " + reason.message()));
      slot.reason = std::move(reason);
    }
    follower_ = {};
    system().notify_waiters();
    if (!s_->slots[slot_].refused) system().after(s_->options.retry_ns, self(), Completed{});
  }

  std::shared_ptr<Leader::State> s_;
  std::size_t slot_;
  std::string node_;
  FollowerAddress follower_;
  bool watched_ = false;
};

}  // namespace

Leader::Leader(System& system, net::Network& network, LeaderOptions options, RunTerms terms)
    : state_(std::make_shared<State>(system, network, std::move(options), std::move(terms))) {
  State& s = *state_;
  const std::size_t processes = s.options.followers.size() + 1;
  if (s.options.shards == 0) s.options.shards = static_cast<std::uint32_t>(processes);
  if (s.options.shards < processes)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(s.options.shards) + " shards for " + std::to_string(processes) +
            " processes, this one counted")
        .hint(
            "each process carries one shard at least: use --shards " + std::to_string(processes) +
            " or more, or fewer peers");
  for (const net::Endpoint& at : s.options.followers) {
    for (const State::Slot& other : s.slots)
      if (other.at == at)
        throw Error(ErrorCode::invalid_argument, "peer " + net::to_string(at) + " is given twice")
            .hint("name each process once");
    s.slots.emplace_back();
    s.slots.back().at = at;
  }
  network.publish(std::string(mesh_name), s.mesh->collectives.address());
  for (std::size_t i = 0; i < s.slots.size(); ++i) {
    const auto recruiter = system.spawn_named<Recruiter>(
        "cluster.recruiter " + net::to_string(s.slots[i].at), state_, i);
    s.slots[i].recruiter = recruiter;
    recruiter.send(Completed{});
  }
}

Leader::~Leader() {
  State& s = *state_;
  s.network.unpublish(std::string(mesh_name));
  std::vector<Address<>> ends;
  {
    const std::lock_guard lock(s.mutex);
    for (State::Slot& slot : s.slots) {
      ends.push_back(std::exchange(slot.recruiter, {}));
      slot.follower = {};
    }
    s.exchanger.reset();
  }
  for (const Address<>& recruiter : ends) stop(recruiter);
}

std::string Leader::State::those_away() const {
  std::string text;
  for (const Slot& slot : slots) {
    if (slot.joined) continue;
    std::string reason = slot.reason.message();
    for (const net::PeerStatus& peer : network.peers())
      if (reason.empty() && !peer.up && peer.remote == net::to_string(slot.at))
        reason = peer.trouble;
    text += (text.empty() ? "" : "; ") + name_of(slot) + ": " +
            (reason.empty() ? "no answer yet" : reason);
  }
  return text;
}

void Leader::gather() {
  State& s = *state_;
  bool refused = false;
  const auto settled = [&] {
    const std::lock_guard lock(s.mutex);
    refused = std::any_of(
        s.slots.begin(), s.slots.end(), [](const State::Slot& slot) { return slot.refused; });
    return refused || s.options.stop.stop_requested() ||
           std::all_of(
               s.slots.begin(), s.slots.end(), [](const State::Slot& slot) { return slot.joined; });
  };
  const bool done = wait_for(s.system, settled, s.options.join_ns, "the peers");
  const std::lock_guard lock(s.mutex);
  if (refused)
    for (const State::Slot& slot : s.slots)
      if (slot.refused) {
        Error error(slot.reason.code(), "peer " + s.name_of(slot) + ": " + slot.reason.message());
        throw std::move(error.hint(slot.reason.hint()));
      }
  if (done) return;
  const auto there = std::count_if(
      s.slots.begin(), s.slots.end(), [](const State::Slot& slot) { return slot.joined; });
  throw Error(
      ErrorCode::timed_out,
      std::to_string(there + 1) + " of " + std::to_string(s.slots.size() + 1) +
          " processes are here after " + std::to_string(s.options.join_ns / 1'000'000'000) +
          " s; missing: " + s.those_away())
      .hint("start the others with 'troupe peer --listen HOST:PORT'");
}

/// Behind the lock: whether enough are left of the last view that did a step. Those since then did
/// none, and each was of fewer: to count from them would be to go on with ever less.
void Leader::State::check_majority() const {
  std::size_t of = 1;
  std::size_t left = 1;
  std::string lost;
  for (const Slot& slot : slots) {
    if (!slot.counts) continue;
    ++of;
    if (slot.joined)
      ++left;
    else
      lost += (lost.empty() ? "" : "; ") + name_of(slot) + ": " + slot.reason.message();
  }
  if (2 * left < of)
    throw Error(
        ErrorCode::peer_down,
        std::to_string(left) + " of " + std::to_string(of) +
            " processes are left, fewer than half; lost: " + lost)
        .hint("go on with --resume once they can be reached again");
}

/// A follower may know of steps that this process, started again, does not.
/// @param step  of the latest state that there is here; then of the one that is returned
/// @returns  empty: none does
Bytes Leader::State::later_state(std::int64_t& step) {
  for (;;) {
    Slot* ahead = nullptr;
    FollowerAddress asked;
    std::string who;
    std::int64_t held = step;
    {
      const std::lock_guard lock(mutex);
      for (Slot& slot : slots)
        if (slot.joined && slot.held_step > held) {
          held = slot.held_step;
          ahead = &slot;
        }
      if (!ahead) return {};
      ahead->state.clear();
      asked = ahead->follower;
      who = name_of(*ahead);
    }
    say("peer " + who + " has step " + std::to_string(held) + ", this process " +
        std::to_string(step) + ": going on from its state");
    asked.send(AskState{});
    const auto whole = [&] {
      const std::lock_guard lock(mutex);
      return ahead->state.whole() || ahead->follower != asked;
    };
    if (!wait_for(system, whole, options.join_ns, "a follower's state"))
      throw Error(ErrorCode::timed_out, "a follower does not send the state that it has");
    const std::lock_guard lock(mutex);
    if (!ahead->state.whole()) continue;  // it is lost; another may have as much
    step = held;
    return ahead->state.take();
  }
}

/// The next view, of all that are there; the epoch is counted on.
Enter Leader::State::next_view() {
  const std::lock_guard lock(mutex);
  if (fenced) throw Error(*fenced);  // told between two views
  check_majority();
  Enter enter;
  enter.run = terms.run;
  enter.term = terms.term;
  enter.shards = options.shards;
  enter.members.push_back({network.node(), "", 0});
  for (Slot& slot : slots) {
    slot.in_view = slot.joined && enter.members.size() < options.shards;
    slot.left.reset();
    if (!slot.in_view) continue;
    epoch = std::max(epoch, slot.epoch);
    slot.rank = static_cast<std::uint32_t>(enter.members.size());
    slot.held_step = -1;  // it is sent another
    enter.members.push_back({slot.node, slot.at.host, slot.at.port});
  }
  enter.epoch = ++epoch;
  ranks = enter.members.size();
  view_broken = left_view = false;
  view_stop = std::stop_source();
  if (exchanger) waited_ns += exchanger->counters().waited_ns;
  exchanger = std::make_shared<MeshExchanger>(
      system,
      mesh,
      enter.shards,
      [weak = weak_from_this(), of = epoch](std::uint64_t step, std::int64_t own_ns) {
        if (const auto state = weak.lock()) state->took(of, 0, step, own_ns);
      });
  std::vector<std::uint32_t> shards;
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    shards.push_back(static_cast<std::uint32_t>(
        shards_of(rank, static_cast<std::uint32_t>(ranks), enter.shards).size()));
  pace = Pace(std::move(shards));
  return enter;
}

/// A process's own time for a step. Names the one that all others wait for.
void Leader::State::took(
    std::uint32_t of_epoch, std::uint32_t rank, std::uint64_t step, std::int64_t own_ns) {
  std::string who = "this process";
  std::optional<Pace::Slow> slow;
  {
    const std::lock_guard lock(mutex);
    if (of_epoch == epoch) slow = pace.add(rank, step, own_ns);
    if (!slow) return;
    for (const Slot& slot : slots)
      if (slot.in_view && slot.rank == slow->rank) who = "peer " + name_of(slot);
  }
  char times[32];
  std::snprintf(times, sizeof times, "%.2f", slow->times);
  say(who + " takes " + times +
      " times as long as the others for its part of a step, and they wait for it: look at what "
      "else runs there");
}

/// Something went wrong in a view: waits until it is known what, for a moment.
void Leader::State::wait_until_known(const Error& why) {
  const auto known = [this] {
    const std::lock_guard lock(mutex);
    return view_broken;
  };
  constexpr std::int64_t moment_ns = 5'000'000'000;
  if (!wait_for(system, known, moment_ns, "news of the peers")) throw Error(why);
}

/// After a view: who is lost, and whether to go on.
/// @param at_last  what another view would mend has not been mended by many
void Leader::State::settle(bool at_last) {
  std::string lost;
  std::size_t left = 1;
  std::optional<Error> fault;
  {
    const std::lock_guard lock(mutex);
    for (Slot& slot : slots) {
      if (!slot.in_view) continue;
      const bool failed =
          slot.left && slot.left->failed && (at_last || !is_of_the_view(slot.left->reason.code()));
      if (failed && !fault)
        fault = Error(
                    slot.left->reason.code(),
                    "peer " + name_of(slot) + ": " + slot.left->reason.message())
                    .hint(slot.left->reason.hint());
      if (slot.joined) {
        ++left;
        continue;
      }
      lost += (lost.empty() ? "" : "; ") + name_of(slot) + ": " + slot.reason.message();
    }
  }
  // What a follower's own work failed of would fail again.
  if (fault) throw std::move(*fault);
  if (lost.empty()) return;
  say("lost " + lost);
  {
    const std::lock_guard lock(mutex);
    check_majority();
  }
  if (options.on_loss == OnLoss::stop)
    throw Error(ErrorCode::peer_down, "a peer is lost, and --on-loss says stop: " + lost)
        .hint("go on with --resume");
  if (options.on_loss == OnLoss::wait) {
    say("waiting for it to come back");
    system.wait_until(
        [&] {
          const std::lock_guard lock(mutex);
          return options.stop.stop_requested() || fenced ||
                 std::all_of(slots.begin(), slots.end(), [](const Slot& slot) {
                   return slot.joined || !slot.in_view;
                 });
        },
        "a lost peer");
    const std::lock_guard lock(mutex);
    if (fenced) throw Error(*fenced);
  } else {
    say("going on with " + std::to_string(left) + " of " + std::to_string(slots.size() + 1) +
        " processes");
  }
}

bool Leader::lead(Run& run) {
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    for (State::Slot& slot : s.slots) slot.counts = slot.joined;
  }
  Bytes state;
  std::int64_t state_step = -1;  // that a view begins from
  bool own = true;               // what this process has is the latest
  std::int64_t begun_at = -1;
  int in_vain = 0;
  for (;;) {
    // Connections that others have yet to find broken: soon they do, or are said to be.
    in_vain = run.step() > begun_at ? 0 : in_vain + 1;
    begun_at = run.step();
    if (in_vain > 1)
      (void)wait_for(
          s.system,
          [&] { return s.options.stop.stop_requested(); },
          in_vain * view_pause_ns,
          "the peers' connections");
    // Who was away as the run was taken up may hold more of it.
    if (own) state_step = run.step();
    if (Bytes later = s.later_state(state_step); later.size() > 0) {
      state = std::move(later);
      own = false;
    }
    Enter enter = s.next_view();
    // Everybody begins from the same; this process has it already, but for the first time.
    Bytes begin = state;
    if (own) begin = enter.members.size() > 1 ? run.state() : Bytes();
    std::vector<FollowerAddress> to;
    std::shared_ptr<MeshExchanger> exchanger;
    std::stop_token changed;
    {
      const std::lock_guard lock(s.mutex);
      for (const State::Slot& slot : s.slots)
        if (slot.in_view) to.push_back(slot.follower);
      exchanger = s.exchanger;
      changed = s.view_stop.get_token();
    }
    for (std::size_t i = 0; i < to.size(); ++i) {
      if (!to[i]) continue;  // lost since; the view is over already
      enter.rank = static_cast<std::uint32_t>(i) + 1;
      to[i].send(Enter(enter));
      send_state(to[i], enter.term, enter.epoch, begin);
    }
    enter.rank = 0;
    bool done = false;
    try {
      if (!to.empty()) {
        Group group = assemble(s.system, s.network, enter, *s.mesh, [&] {
          const std::lock_guard lock(s.mutex);
          return s.view_broken;
        });
        const std::lock_guard lock(s.mutex);
        if (s.view_broken) throw Error(ErrorCode::fenced, "a process of the view is lost");
        const std::lock_guard guard(s.mesh->mutex);
        s.mesh->collectives.enter(std::move(group));
      }
      // Only now it is this process's: a view that ends before has given it to nobody here.
      const Bytes given = std::exchange(own, true) ? Bytes() : std::exchange(state, {});
      done = run.train(make_view(enter, exchanger, given, changed));
    } catch (...) {
      const Error why = current_error();
      const bool of_the_view = is_of_the_view(why.code()) || why.code() == ErrorCode::timed_out;
      if (to.empty() || !of_the_view) throw;
      s.wait_until_known(why);
    }
    if (run.step() > state_step) {
      const std::lock_guard lock(s.mutex);
      for (State::Slot& slot : s.slots) slot.counts = slot.in_view;
    }
    {
      // Nobody waits for this process's part in a step that it does not begin.
      const std::lock_guard lock(s.mutex);
      if (!to.empty()) s.end_view(Error(ErrorCode::fenced, "the view has changed"));
    }
    {
      const std::lock_guard lock(s.mutex);
      if (s.fenced && !done) throw Error(*s.fenced);
    }
    if (done || s.options.stop.stop_requested()) {
      // So that they hear it from this process, and not that it is gone.
      {
        const std::lock_guard lock(s.mutex);
        for (State::Slot& slot : s.slots) slot.left.reset();
      }
      for (const FollowerAddress& follower : to)
        if (follower) follower.send(Finish{s.terms.term, done});
      const auto all_left = [&] {
        const std::lock_guard lock(s.mutex);
        return std::all_of(s.slots.begin(), s.slots.end(), [](const State::Slot& slot) {
          return !slot.in_view || !slot.joined || (slot.left && slot.left->parted);
        });
      };
      (void)wait_for(s.system, all_left, farewell_ns, "the followers' farewell");
      return done;
    }
    s.settle(in_vain >= views_in_vain_max);
    if (s.options.stop.stop_requested()) return false;
  }
}

std::vector<FollowerStatus> Leader::followers() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<FollowerStatus> all;
  for (const State::Slot& slot : state_->slots) {
    FollowerStatus& status = all.emplace_back(
        FollowerStatus{slot.at, slot.node, slot.joined, slot.joined ? "" : slot.reason.message()});
    if (!slot.in_view) continue;
    const Pace& pace = state_->pace;
    status.shards = pace.shards(slot.rank);
    status.of_shards = state_->options.shards;
    status.own_ns = pace.own_ns(slot.rank);
    status.times = pace.times(slot.rank);
    status.slow = pace.slow(slot.rank);
  }
  return all;
}

std::int64_t Leader::waited_ns() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waited_ns + (state_->exchanger ? state_->exchanger->counters().waited_ns : 0);
}

std::size_t Leader::ranks() const {
  const std::lock_guard lock(state_->mutex);
  return state_->ranks;
}

}  // namespace troupe::cluster
