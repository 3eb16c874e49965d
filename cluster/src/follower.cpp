#include "fleet.hpp"

#include <troupe/cluster/follower.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/tensor/engine.hpp>

#include <mutex>
#include <optional>
#include <utility>

namespace troupe::cluster {

/// What came from the leader and is still to be done, and what is to be ended when more comes.
struct Follower::State {
  State(System& owner, net::Network& net, FollowerOptions given)
      : system(owner),
        network(net),
        options(std::move(given)),
        mesh(std::make_shared<Mesh>(owner, MeshOptions{.timeout_ns = exchange_timeout_ns})) {}

  void say(const std::string& line) const {
    if (options.say) options.say(line);
  }
  /// Behind the lock.
  void end_view(const Error& reason, std::uint32_t next_epoch) {
    view_stop.request_stop();
    if (exchanger) exchanger->close(reason);
    if (next_epoch > left_epoch) {
      leave(*mesh, next_epoch, network.node());
      left_epoch = next_epoch;
    }
  }

  System& system;
  net::Network& network;
  FollowerOptions options;
  std::shared_ptr<Mesh> mesh;
  FollowerAddress actor;

  std::mutex mutex;
  std::optional<Invite> invite;
  std::optional<Enter> enter;
  StateGatherer state;
  bool asked = false;
  bool finish = false;
  bool leader_down = false;
  Error leader_reason;
  LeaderAddress leader;
  std::uint64_t led_run = 0;
  std::uint64_t led_term = 0;
  bool led = false;  ///< it has a leader, as far as is known
  std::shared_ptr<MeshExchanger> exchanger;
  std::stop_source view_stop;
  std::uint32_t left_epoch = 0;
  std::uint32_t view_epoch = 0;  // of the last one that it took part in

  // The serving thread's.
  std::unique_ptr<Run> run;
  std::uint64_t run_id = 0;
  bool invited = false;

  void take_invite(const Invite& invitation);
  void take_view(const Enter& entering, Bytes bytes);
  void take_finish();
};

namespace {

class FollowerActor final : public Actor<Invite, Enter, StatePiece, AskState, Finish, Down> {
 public:
  static constexpr std::string_view name = "cluster.follower";
  explicit FollowerActor(std::shared_ptr<Follower::State> state) : s_(std::move(state)) {}

 private:
  friend ActorAccess;

  void on(Invite&& invite) {
    const std::lock_guard lock(s_->mutex);
    if (s_->led) {
      const bool same = invite.terms.run == s_->led_run;
      if (!same && !s_->leader_down)
        return refuse(invite, Error(ErrorCode::overload, "it takes part in another run"));
      if (same && invite.terms.term < s_->led_term)
        return refuse(
            invite,
            Error(ErrorCode::fenced, "it follows a later leader of this run")
                .hint("that one goes on with it; this one can end"));
      if (same && invite.terms.term > s_->led_term) {
        Left left;
        left.node = s_->network.node();
        left.replaced = true;
        left.failed = true;
        left.reason = Error(ErrorCode::fenced, "it follows a later leader of this run")
                          .hint("that one goes on with it; this one can end");
        s_->leader.send(std::move(left));
      }
    }
    s_->led = true;
    s_->led_run = invite.terms.run;
    s_->led_term = invite.terms.term;
    if (s_->exchanger)
      s_->end_view(Error(ErrorCode::fenced, "another leader came"), s_->left_epoch + 1);
    // An earlier leader's end is of no interest any more.
    if (s_->leader) demonitor(s_->leader, self());
    s_->leader = invite.leader;
    s_->leader_down = false;
    s_->enter.reset();
    monitor(s_->leader, self());
    s_->invite = std::move(invite);
    system().notify_waiters();
  }
  void refuse(const Invite& invite, Error reason) {
    Joined joined;
    joined.node = s_->network.node();
    joined.run = invite.terms.run;
    joined.refused = true;
    joined.reason = std::move(reason);
    invite.leader.send(std::move(joined));
  }
  void on(Enter&& enter) {
    const std::lock_guard lock(s_->mutex);
    if (enter.term != s_->led_term || enter.run != s_->led_run) return;
    s_->end_view(Error(ErrorCode::fenced, "the view has changed"), enter.epoch);
    s_->state.clear();
    s_->enter = std::move(enter);
  }
  void on(StatePiece&& piece) {
    const std::lock_guard lock(s_->mutex);
    if (!s_->enter || piece.term != s_->enter->term || piece.epoch != s_->enter->epoch) return;
    s_->state.add(piece);
    if (piece.last) system().notify_waiters();
  }
  void on(AskState&&) {
    const std::lock_guard lock(s_->mutex);
    s_->asked = true;
    system().notify_waiters();
  }
  void on(Finish&& finish) {
    const std::lock_guard lock(s_->mutex);
    if (finish.term != s_->led_term) return;
    if (!finish.done)
      s_->end_view(Error(ErrorCode::fenced, "the run was stopped"), s_->left_epoch + 1);
    s_->finish = true;
    s_->led = false;
    system().notify_waiters();
  }
  void on(Down&& down) {
    const std::lock_guard lock(s_->mutex);
    if (down.actor != Address<>(s_->leader)) return;
    s_->leader_down = true;
    s_->leader_reason = down.failed ? down.reason : Error(ErrorCode::peer_down, "it ended");
    s_->end_view(
        Error(ErrorCode::peer_down, "the leader is gone: " + s_->leader_reason.message()),
        s_->left_epoch + 1);
    system().notify_waiters();
  }

  std::shared_ptr<Follower::State> s_;
};

}  // namespace

Follower::Follower(System& system, net::Network& network, FollowerOptions options)
    : state_(std::make_shared<State>(system, network, std::move(options))) {
  const auto actor = system.spawn_named<FollowerActor>("cluster.follower", state_);
  state_->actor = actor;
  network.publish(std::string(mesh_name), state_->mesh->collectives.address());
  network.publish(std::string(follower_name), actor);
}

Follower::~Follower() {
  state_->network.unpublish(std::string(follower_name));
  state_->network.unpublish(std::string(mesh_name));
  stop(state_->actor);
  state_->actor = {};
}

void Follower::serve(std::stop_token stop) {
  State& s = *state_;
  while (!stop.stop_requested()) {
    std::optional<Invite> invite;
    std::optional<Enter> enter;
    Bytes bytes;
    bool asked = false;
    bool finish = false;
    bool orphaned = false;
    const auto anything = [&] {
      const std::lock_guard lock(s.mutex);
      return s.invite || (s.enter && s.state.whole()) || s.asked || s.finish ||
             stop.stop_requested();
    };
    const auto alone = [&] {
      const std::lock_guard lock(s.mutex);
      return s.leader_down && s.run != nullptr;
    };
    const auto waited_for = [&] { return anything() || alone(); };
    if (s.options.invite_timeout_ns == 0 || s.invited) {
      s.system.wait_until(waited_for, "a leader");
    } else if (!wait_for(s.system, waited_for, s.options.invite_timeout_ns, "a leader")) {
      throw Error(ErrorCode::timed_out, "no leader has invited '" + s.network.node() + "'")
          .hint("look at what became of the process that leads");
    }
    if (!anything() && alone()) {
      s.say(
          "the leader is gone: " + s.leader_reason.message() + "; keeping step " +
          std::to_string(s.run->step()) + " for its return");
      orphaned = !wait_for(s.system, anything, s.options.leader_timeout_ns, "the leader's return");
    }
    {
      const std::lock_guard lock(s.mutex);
      if (!orphaned) {
        invite = std::exchange(s.invite, {});
        if (s.enter && s.state.whole()) {
          enter = std::exchange(s.enter, {});
          bytes = s.state.take();
        }
        asked = std::exchange(s.asked, false);
        finish = std::exchange(s.finish, false);
      }
    }
    if (orphaned) {
      if (s.options.on_orphaned) s.options.on_orphaned(*s.run);
      s.run.reset();
      continue;
    }
    if (finish) s.take_finish();
    if (invite) {
      s.invited = true;
      s.take_invite(*invite);
    }
    if (asked) {
      LeaderAddress leader;
      {
        const std::lock_guard lock(s.mutex);
        leader = s.leader;
      }
      if (s.run) send_state(leader, 0, 0, s.run->state());
    }
    if (enter) s.take_view(*enter, std::move(bytes));
  }
}

void Follower::State::take_invite(const Invite& invitation) {
  Joined joined;
  joined.node = network.node();
  joined.run = invitation.terms.run;
  {
    const std::lock_guard lock(mutex);
    joined.epoch = left_epoch;
  }
  try {
    if (run && run_id == invitation.terms.run) {
      joined.step = run->step();
    } else {
      run.reset();
      run = options.make_run(invitation.terms);
      run_id = invitation.terms.run;
    }
    say("taking part in run " + std::to_string(run_id));
  } catch (...) {
    joined.refused = true;
    joined.reason = current_error();
    run_id = 0;
    say("not taking part: " + joined.reason.message());
  }
  invitation.leader.send(std::move(joined));
}

void Follower::State::take_finish() {
  if (run) say("the run has ended, after step " + std::to_string(run->step()));
  run.reset();
  run_id = 0;
  Left left;
  left.node = network.node();
  left.parted = true;
  LeaderAddress to;
  {
    const std::lock_guard lock(mutex);
    left.epoch = view_epoch;
    to = leader;
  }
  to.send(std::move(left));
  if (options.on_finished) options.on_finished();
}

void Follower::State::take_view(const Enter& entering, Bytes bytes) {
  Left left;
  left.node = network.node();
  left.epoch = entering.epoch;
  LeaderAddress to;
  try {
    if (!run || run_id != entering.run)
      throw Error(ErrorCode::fenced, "node '" + left.node + "' has no part in this run");
    std::shared_ptr<MeshExchanger> mine;
    std::stop_token stop;
    {
      const std::lock_guard lock(mutex);
      to = leader;
      if (enter) return;  // there is a later one by now
      view_epoch = entering.epoch;
      exchanger = mine = std::make_shared<MeshExchanger>(
          system,
          mesh,
          entering.shards,
          [to, epoch = entering.epoch](std::uint64_t step, std::int64_t own_ns) {
            to.send(StepTook{epoch, step, own_ns});
          });
      view_stop = std::stop_source();
      stop = view_stop.get_token();
    }
    Group group = assemble(system, network, entering, *mesh, [&] { return stop.stop_requested(); });
    {
      const std::lock_guard lock(mutex);
      if (left_epoch > entering.epoch || stop.stop_requested()) return;
      const std::lock_guard guard(mesh->mutex);
      mesh->collectives.enter(std::move(group));
    }
    say("view " + std::to_string(entering.epoch) + ": rank " + std::to_string(entering.rank) +
        " of " + std::to_string(entering.members.size()));
    left.done = run->train(make_view(entering, mine, std::move(bytes), stop));
  } catch (...) {
    left.failed = true;
    left.reason = current_error();
    const bool expected =
        left.reason.code() == ErrorCode::fenced || left.reason.code() == ErrorCode::peer_down;
    if (!expected) say("left the view: " + left.reason.message());
  }
  to.send(std::move(left));
}

}  // namespace troupe::cluster
