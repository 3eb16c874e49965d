#include "fleet_simulation.hpp"

#include "small_run.hpp"

#include <troupe/cluster/follower.hpp>
#include <troupe/cluster/leader.hpp>
#include <troupe/cluster/messages.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/net/sim_links.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t second = 1000 * ms;
constexpr std::int64_t healing_ns = 180 * second;
constexpr std::size_t lines_told = 60;

/// Bits after each number of steps, as a process alone comes to them.
const std::vector<std::string>& undisturbed(std::uint32_t shards) {
  constexpr std::int64_t steps_max = 40;
  static std::mutex mutex;
  static std::map<std::uint32_t, std::vector<std::string>> known;
  const std::lock_guard lock(mutex);
  auto& bits = known[shards];
  if (!bits.empty()) return bits;
  System system({.threads = 1});
  const Scope scope(system, cpu::attach(system));
  SmallRun run(steps_max, [&](SmallRun& at) { bits.push_back(at.bits()); });
  View view;
  view.shards = {.of = shards};
  (void)run.train(view);
  bits.push_back(run.bits());
  return bits;
}

/// Counts, for each actor of a peer that it monitors, how often it was told of its end.
class Probe final : public Actor<net::PeerUp, net::PeerDown, net::Found, Unanswered, Down> {
 public:
  struct Watched {
    std::string node;
    std::uint64_t incarnation;
    int downs = 0;
  };
  static constexpr std::string_view name = "probe";
  Probe(net::Network& network, std::shared_ptr<std::deque<Watched>> watched)
      : network_(network), watched_(std::move(watched)) {}

 private:
  friend ActorAccess;
  void on(const net::PeerUp& up) {
    lives_[up.node] = up.incarnation;
    try {
      network_.find(up.node, "probe").then(self());
    } catch (const Error&) {  // gone already
    }
  }
  void on(const net::PeerDown&) {}
  void on(const Unanswered&) {}
  void on(const net::Found& found) {
    if (!found.actor) return;
    const std::string node = network_.node_of(found.actor);
    if (node.empty()) return;  // gone already
    for (const auto& [actor, number] : numbers_)
      if (actor == found.actor) return;
    numbers_.emplace_back(found.actor, watched_->size());
    watched_->push_back({node, lives_[node]});
    monitor(found.actor, self());
  }
  void on(const Down& down) {
    for (const auto& [actor, number] : numbers_)
      if (actor == down.actor) ++(*watched_)[number].downs;
  }

  net::Network& network_;
  std::shared_ptr<std::deque<Watched>> watched_;
  std::map<std::string, std::uint64_t> lives_;
  std::vector<std::pair<Address<>, std::size_t>> numbers_;
};

class Fleet {
 public:
  explicit Fleet(std::uint64_t seed);
  FleetCounters run();

 private:
  [[noreturn]] void fail(const std::string& what) {
    if (!broken_) broken_ = what;
    throw std::runtime_error(what);
  }
  void check() {
    if (!broken_) return;
    std::string text = "seed " + std::to_string(cluster_.seed()) + ": " + *broken_ + ", at " +
                       at_text() + cluster_.describe() + "\nwhat led to it:\n";
    for (const std::string& line : story_) text += line + "\n";
    throw std::runtime_error(text);
  }
  [[nodiscard]] std::string at_text() const {
    return std::to_string(static_cast<double>(cluster_.now_ns()) / 1e9) + " s";
  }
  void tell(const std::string& line) {
    story_.push_back("  " + at_text() + "  " + line);
    if (story_.size() > lines_told) story_.pop_front();
  }
  [[nodiscard]] std::int64_t upto(std::int64_t most_ns) {
    return static_cast<std::int64_t>(cluster_.draw() % static_cast<std::uint64_t>(most_ns));
  }
  template <class T>
  [[nodiscard]] T one_of(const std::vector<T>& choices) {
    return choices[cluster_.draw() % choices.size()];
  }
  [[nodiscard]] net::Network& join(sim::Process& self);

  // --- processes
  void follow(sim::Process& self);
  void lead(sim::Process& self);
  void start_follower(const std::string& name);
  void start_leader(const std::string& name);
  void look_after_leader();

  // --- faults
  void disturb();
  void disturb_process(const std::shared_ptr<sim::Process>& process);
  void start_rival();
  void disturb_links();
  void heal();
  void come_back();

  // --- what must hold
  void check_step(const std::string& who, SmallRun& run);
  void check_monitors();
  void end_all();

  FleetCounters counters_;
  std::optional<std::string> broken_;
  std::deque<std::string> story_;

  // Drawn once.
  std::vector<std::string> names_;  // of followers
  std::uint32_t shards_ = 0;
  std::int64_t steps_ = 0;
  std::int64_t step_ns_max_ = 0;
  std::int64_t save_every_ = 0;
  std::int64_t leader_timeout_ns_ = 0;
  std::int64_t retry_ns_ = 0;
  OnLoss on_loss_ = OnLoss::go_on;
  sim::LinkFaults faults_;

  // The run folder, on a disk that all leaders reach.
  struct Folder {
    std::uint64_t lease = 0;
    Bytes state;
    std::int64_t step = 0;
  } folder_;

  bool disturbed_ = true;
  std::string away_;  // a follower, for good
  bool done_ = false;
  std::shared_ptr<sim::Process> leader_;  // the one that is to lead
  std::vector<std::shared_ptr<sim::Process>> leaders_;
  bool leader_comes_ = false;
  std::map<std::string, std::uint64_t> term_of_;  // of the last leader of this name
  std::uint64_t latest_term_ = 0;
  std::map<std::string, std::int64_t> held_;    // steps, by follower, while it has a run
  std::map<std::string, std::uint64_t> lives_;  // of followers
  std::map<std::string, std::stop_source> stops_;
  struct Ended {
    std::int64_t at_ns;
  };
  std::map<std::pair<std::string, std::uint64_t>, Ended> ended_;  // lives, and when it was seen
  struct Observer {
    std::shared_ptr<sim::Process> process;
    std::shared_ptr<std::deque<Probe::Watched>> watched;
  };
  std::vector<Observer> observers_;

  // The last, for its processes use all else.
  sim::Cluster cluster_;
  sim::Links links_;

  friend class LeaderRun;
  friend class FollowerRun;
};

/// What a follower trains.
class FollowerRun final : public Run {
 public:
  FollowerRun(Fleet& fleet, sim::Process& process)
      : fleet_(fleet), process_(process), run_(fleet.steps_, [this](SmallRun&) {
          look();
          process_.sleep(1 + fleet_.upto(fleet_.step_ns_max_));
        }) {}
  ~FollowerRun() override { fleet_.held_.erase(process_.name()); }

  bool train(const View& view) override {
    if (view.epoch <= epoch_)
      fleet_.fail(
          process_.name() + " enters view " + std::to_string(view.epoch) + " after " +
          std::to_string(epoch_));
    epoch_ = view.epoch;
    const std::uint64_t term = fleet_.term_of_[view.nodes.at(0)];
    if (term < term_)
      fleet_.fail(
          process_.name() + " follows the leader of term " + std::to_string(term) +
          " after that of " + std::to_string(term_));
    term_ = term;
    if (view.nodes.at(view.rank) != process_.name()) fleet_.fail("a view gives another's rank");
    const bool done = run_.train(view);
    look();
    return done;
  }
  Bytes state() override { return run_.state(); }
  [[nodiscard]] std::int64_t step() const override { return run_.step(); }
  [[nodiscard]] SmallRun& inner() noexcept { return run_; }

 private:
  void look() {
    fleet_.check_step(process_.name(), run_);
    fleet_.held_[process_.name()] = run_.step();
  }

  Fleet& fleet_;
  sim::Process& process_;
  SmallRun run_;
  std::uint32_t epoch_ = 0;
  std::uint64_t term_ = 0;
};

/// What a leader trains, and writes into the folder.
class LeaderRun final : public Run {
 public:
  LeaderRun(Fleet& fleet, sim::Process& process, std::uint64_t term)
      : fleet_(fleet), process_(process), term_(term), run_(fleet.steps_, [this](SmallRun&) {
          look();
          process_.sleep(1 + fleet_.upto(fleet_.step_ns_max_));
        }) {}

  /// All that are to follow are there: what they hold now must not be lost.
  void begin() {
    if (fleet_.folder_.state.size() > 0) run_.restore(fleet_.folder_.state);
    lease_ = ++fleet_.folder_.lease;
    committed_ = fleet_.names_;
    committed_.push_back(process_.name());
    held_ = fleet_.held_;
    for (const auto& [name, step] : held_) lives_[name] = fleet_.lives_[name];
  }
  bool train(const View& view) override {
    ++fleet_.counters_.views;
    fleet_.tell(
        process_.name() + " (term " + std::to_string(term_) + ") leads view " +
        std::to_string(view.epoch) + " of " + std::to_string(view.nodes.size()) + ", step " +
        std::to_string(run_.step()));
    const auto left = left_of(view.nodes);
    if (2 * left < committed_.size())
      fleet_.fail(
          process_.name() + " goes on with " + std::to_string(left) + " of " +
          std::to_string(committed_.size()));
    nodes_ = view.nodes;
    if (view.epoch <= epoch_) fleet_.fail("epochs go back");
    epoch_ = view.epoch;
    if (std::exchange(first_, false)) check_begin(view);
    const bool done = run_.train(view);
    look();
    return done;
  }
  Bytes state() override { return run_.state(); }
  [[nodiscard]] std::int64_t step() const override { return run_.step(); }
  /// Of the last view that did a step.
  [[nodiscard]] std::size_t size() const noexcept { return committed_.size(); }
  [[nodiscard]] std::size_t left_of(const std::vector<std::string>& nodes) const {
    return static_cast<std::size_t>(
        std::count_if(committed_.begin(), committed_.end(), [&](const std::string& node) {
          return std::count(nodes.begin(), nodes.end(), node) > 0;
        }));
  }

 private:
  void check_begin(const View& view) {
    if (view.state.size() > 0) {
      run_.restore(view.state);
      ++fleet_.counters_.later_states;
    }
    for (const auto& [name, step] : held_) {
      const bool still_there = std::count(view.nodes.begin(), view.nodes.end(), name) > 0 &&
                               fleet_.lives_[name] == lives_[name];
      if (still_there && run_.step() < step)
        fleet_.fail(
            process_.name() + " begins at step " + std::to_string(run_.step()) + ", but " + name +
            " holds " + std::to_string(step));
    }
    if (fleet_.folder_.lease == lease_ && run_.step() < fleet_.folder_.step)
      fleet_.fail(
          process_.name() + " begins at step " + std::to_string(run_.step()) +
          ", but the checkpoint is of step " + std::to_string(fleet_.folder_.step));
  }
  void look() {
    fleet_.check_step(process_.name(), run_);
    if (run_.step() == looked_) return;
    const bool did_one = looked_ >= 0 && run_.step() > looked_;
    looked_ = run_.step();
    if (did_one) committed_ = nodes_;
    ++fleet_.counters_.steps;
    if (run_.step() % fleet_.save_every_ == 0 || run_.step() == fleet_.steps_) save();
  }
  /// As `cli::RunFolder` does.
  void save() {
    if (fleet_.folder_.lease != lease_)
      throw Error(ErrorCode::fenced, "another process has the run's lease");
    fleet_.folder_.state = run_.state();
    fleet_.folder_.step = run_.step();
  }

  Fleet& fleet_;
  sim::Process& process_;
  std::uint64_t term_;
  SmallRun run_;
  std::uint64_t lease_ = 0;
  std::int64_t looked_ = -1;
  std::vector<std::string> nodes_;      // of the view
  std::vector<std::string> committed_;  // of the last one that did a step
  std::uint32_t epoch_ = 0;
  bool first_ = true;
  std::map<std::string, std::int64_t> held_;
  std::map<std::string, std::uint64_t> lives_;
};

Fleet::Fleet(std::uint64_t seed)
    : cluster_(
          seed,
          [this](const sim::Process& of, LogLevel level, std::string_view line) {
            tell(of.name() + " logs: " + std::string(line));
            if (level == LogLevel::error && !broken_) broken_ = "an error in the log";
          }),
      links_(cluster_) {
  const auto followers = 2 + cluster_.draw() % 3;
  for (std::uint64_t i = 1; i <= followers; ++i) names_.push_back("worker-" + std::to_string(i));
  shards_ = static_cast<std::uint32_t>(followers + 1 + cluster_.draw() % 3);
  steps_ = 8 + static_cast<std::int64_t>(cluster_.draw() % 24);
  step_ns_max_ = one_of<std::int64_t>({5 * ms, 50 * ms, 500 * ms});
  save_every_ = 1 + static_cast<std::int64_t>(cluster_.draw() % 8);
  leader_timeout_ns_ = one_of<std::int64_t>({8 * second, 60 * second});
  retry_ns_ = one_of<std::int64_t>({50 * ms, 500 * ms});
  on_loss_ = cluster_.draw() % 4 == 0 ? OnLoss::wait : OnLoss::go_on;
  faults_.delay_ns_max = one_of<std::int64_t>({ms, 10 * ms, 60 * ms});
  links_.set_faults(faults_);
}

net::Network& Fleet::join(sim::Process& self) {
  net::NetworkOptions options;
  options.node = self.name();
  options.incarnation = self.life();
  options.messages = {&cluster::find_message};
  options.transport = links_.of(self);
  options.session.hung_ns = 5 * second;  // longer than any step
  net::Network& network = net::attach(self.system(), std::move(options));
  const auto watched = std::make_shared<std::deque<Probe::Watched>>();
  observers_.push_back({cluster_.find(self.name()), watched});
  const auto probe = self.system().spawn_named<Probe>("probe", network, watched);
  network.publish("probe", probe);
  network.watch_peers(probe);
  return network;
}

// --- processes

void Fleet::follow(sim::Process& self) {
  net::Network& network = join(self);
  const Scope scope(self.system(), cpu::attach(self.system()));
  network.listen({self.name(), 7000});
  Follower follower(
      self.system(),
      network,
      {.leader_timeout_ns = leader_timeout_ns_,
       .make_run = [&](const RunTerms&) -> std::unique_ptr<Run> {
         return std::make_unique<FollowerRun>(*this, self);
       },
       .on_orphaned =
           [&](Run& run) {
             check_step(self.name(), static_cast<FollowerRun&>(run).inner());
             ++counters_.orphans;
           },
       .say = [&](const std::string& line) { tell(self.name() + ": " + line); }});
  follower.serve(stops_[self.name()].get_token());
}

void Fleet::start_follower(const std::string& name) {
  const auto last = cluster_.find(name);
  if (last && last->alive()) return;
  ++counters_.followers;
  lives_[name] = last ? last->life() + 1 : 1;
  stops_[name] = std::stop_source();
  tell(name + " starts");
  cluster_.start(name, [this](sim::Process& self) { follow(self); });
}

void Fleet::lead(sim::Process& self) {
  net::Network& network = join(self);
  const Scope scope(self.system(), cpu::attach(self.system()));
  const std::uint64_t term = folder_.lease + 1;
  term_of_[self.name()] = term;
  latest_term_ = std::max(latest_term_, term);
  LeaderRun run(*this, self, term);
  LeaderOptions options{
      .shards = shards_, .on_loss = on_loss_, .join_ns = 20 * second, .retry_ns = retry_ns_};
  for (const std::string& name : names_) options.followers.push_back({name, 7000});
  options.say = [&](const std::string& line) { tell(self.name() + ": " + line); };
  Leader leader(self.system(), network, options, {small_run, term, "a few numbers", "as here"});
  leader.gather();
  run.begin();
  try {
    const bool done = leader.lead(run);
    if (!done) fail("a leader that nobody stopped ends before the run does");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::fenced) {
      ++counters_.fenced;
      if (latest_term_ == term) fail("fenced, but by nobody");
    } else if (error.code() == ErrorCode::peer_down) {
      const auto known = leader.followers();
      std::vector<std::string> nodes{self.name()};
      for (const FollowerStatus& one : known)
        if (one.joined) nodes.push_back(one.node);
      const std::size_t left = run.left_of(nodes);
      if (2 * left >= run.size())
        fail(
            "gives up with " + std::to_string(left) + " of " + std::to_string(run.size()) + ": " +
            error.message());
      ++counters_.minorities;
    }
    throw;
  }
  done_ = true;
}

void Fleet::start_leader(const std::string& name) {
  leader_comes_ = false;
  const auto last = cluster_.find(name);
  if (done_ || (last && last->alive())) return;
  ++counters_.leaders;
  tell(name + " starts, checkpoint at step " + std::to_string(folder_.step));
  leader_ = cluster_.start(name, [this](sim::Process& self) { lead(self); });
  leaders_.push_back(leader_);
}

/// People start a leader again that has ended before its run did.
void Fleet::look_after_leader() {
  cluster_.at(cluster_.now_ns() + 200 * ms, [this] { look_after_leader(); });
  if (done_ || leader_comes_ || leader_->alive()) return;
  if (const auto& error = leader_->error()) {
    tell(leader_->name() + " has ended: " + error->what());
    const bool expected = error->code() == ErrorCode::fenced ||
                          error->code() == ErrorCode::peer_down ||
                          error->code() == ErrorCode::timed_out;
    if (!expected && !broken_) broken_ = "a leader ends by " + std::string(error->what());
  }
  leader_comes_ = true;
  come_back();
  const std::string name = one_of<std::string>({"leader", "leader-2"});
  cluster_.at(cluster_.now_ns() + upto(disturbed_ ? 3 * second : 200 * ms), [this, name] {
    start_leader(name);
  });
}

// --- faults

void Fleet::disturb() {
  const std::uint64_t kind = cluster_.draw() % 9;
  if (kind == 8) return start_rival();
  if (kind < 2) return disturb_process(cluster_.find(one_of(names_)));
  if (kind < 4) return disturb_process(leader_);
  disturb_links();
}

void Fleet::disturb_process(const std::shared_ptr<sim::Process>& process) {
  if (!process->alive() || done_) return;
  const std::string name = process->name();
  const bool leads = process == leader_;
  if (cluster_.draw() % 2 == 0) {
    ++counters_.kills;
    const auto death = one_of<sim::Death>({sim::Death::process, sim::Death::machine});
    tell(name + (death == sim::Death::machine ? " is killed, with its machine" : " is killed"));
    links_.kill(*process, death);
    if (!leads)
      cluster_.at(cluster_.now_ns() + upto(4 * second), [this, name] {
        if (name != away_) start_follower(name);
      });
    return;
  }
  // One that hangs is found later, for it answers.
  const bool hangs = cluster_.draw() % 3 == 0;
  ++(hangs ? counters_.hangs : counters_.stops);
  tell(name + (hangs ? " hangs" : " is stopped"));
  if (hangs)
    cluster_.hang(*process);
  else
    cluster_.stop(*process);
  cluster_.at(cluster_.now_ns() + upto((hangs ? 14 : 7) * second), [this, process] {
    if (process->name() == away_) return;
    tell(process->name() + " goes on");
    cluster_.go_on(*process);
  });
  // Somebody takes it for dead.
  if (leads && cluster_.draw() % 2 == 0)
    cluster_.at(cluster_.now_ns() + upto(3 * second), [this] { start_rival(); });
}

/// Somebody leads in the place of one that may live, while followers come and go.
void Fleet::start_rival() {
  const std::string name = leader_->name();
  const bool leads = folder_.lease > 0 && folder_.lease == term_of_[name];
  if (!leads || done_ || leader_comes_) return;
  for (int i = 0; i < 2; ++i)
    cluster_.at(cluster_.now_ns() + upto(500 * ms), [this, name] {
      links_.cut(name, one_of(names_));
      if (disturbed_) disturb_process(cluster_.find(one_of(names_)));
    });
  start_leader(name == "leader" ? "leader-2" : "leader");
}

void Fleet::disturb_links() {
  std::vector<std::string> all = names_;
  all.push_back(leader_->name());
  switch (cluster_.draw() % 4) {
    case 0:
      for (int i = 0; i < 3; ++i) links_.cut(one_of(all), one_of(all));
      break;
    case 1: {
      sim::LinkFaults faults = faults_;
      faults.cut = 0.002 * static_cast<double>(cluster_.draw() % 50);
      faults.freeze = cluster_.draw() % 3 == 0 ? 0.01 : 0;
      faults.refuse = 0.01 * static_cast<double>(cluster_.draw() % 50);
      tell("links are bad");
      links_.set_faults(faults);
      cluster_.at(cluster_.now_ns() + upto(3 * second), [this] { links_.set_faults(faults_); });
      break;
    }
    default: {
      ++counters_.partitions;
      const std::uint64_t side = cluster_.draw();
      const std::uint64_t ways = cluster_.draw() % 4;
      std::string text;
      for (std::size_t i = 0; i < all.size(); ++i) {
        if ((side >> i & 1) == 0) continue;
        text += " " + all[i];
        for (std::size_t k = 0; k < all.size(); ++k) {
          if ((side >> k & 1) != 0) continue;
          if (ways != 1) links_.block(all[i], all[k]);
          if (ways != 2) links_.block(all[k], all[i]);
        }
      }
      tell("partition:" + text + (ways == 1 ? " hear nothing" : ways == 2 ? " are not heard" : ""));
      cluster_.at(cluster_.now_ns() + upto(7 * second), [this] {
        tell("the partition heals");
        links_.heal();
      });
    }
  }
}

/// All faults end. Now and then one follower stays away for good, which a leader that leads, and
/// does not wait for it, must not need.
void Fleet::heal() {
  disturbed_ = false;
  tell("all faults end");
  links_.heal();
  for (const auto& process : leaders_) cluster_.go_on(*process);
  const bool leads = leader_->alive() && folder_.lease == term_of_[leader_->name()];
  if (leads && on_loss_ == OnLoss::go_on && cluster_.draw() % 3 == 0) away_ = one_of(names_);
  for (const std::string& name : names_) {
    if (name == away_) {
      const bool hangs = cluster_.draw() % 2 == 0;
      tell(name + (hangs ? " hangs for good" : " stays away"));
      if (hangs)
        cluster_.hang(*cluster_.find(name));
      else
        cluster_.stop(*cluster_.find(name));
      continue;
    }
    cluster_.go_on(*cluster_.find(name));
    start_follower(name);
  }
}
/// It is back, for a leader that begins needs all.
void Fleet::come_back() {
  if (away_.empty()) return;
  const std::string name = std::exchange(away_, {});
  cluster_.go_on(*cluster_.find(name));
  start_follower(name);
}

// --- what must hold

void Fleet::check_step(const std::string& who, SmallRun& run) {
  if (run.bits() != undisturbed(shards_).at(static_cast<std::size_t>(run.step())))
    fail(who + " has other bits than the undisturbed run at step " + std::to_string(run.step()));
}

void Fleet::check_monitors() {
  for (const Observer& observer : observers_) {
    for (const Probe::Watched& watched : *observer.watched) {
      counters_.downs += static_cast<std::uint64_t>(watched.downs);
      const std::string what = "a monitor of " + observer.process->name() + " at " + watched.node +
                               " (life " + std::to_string(watched.incarnation) + ") has fired " +
                               std::to_string(watched.downs) + " times";
      if (watched.downs > 1) fail(what);
      const auto now = cluster_.find(watched.node);
      const bool gone = now->life() > watched.incarnation || !now->alive();
      if (observer.process->alive() && gone && watched.downs != 1) fail(what);
    }
  }
}

void Fleet::end_all() {
  for (const std::string& name : names_) {
    stops_[name].request_stop();
    cluster_.tell(*cluster_.find(name), [] {});
  }
  const auto ended = [&] {
    check();
    return std::none_of(names_.begin(), names_.end(), [&](const std::string& name) {
      return cluster_.find(name)->alive();
    });
  };
  if (!cluster_.run_until(ended, cluster_.now_ns() + 30 * second)) fail("a follower does not end");
  for (const std::string& name : names_)
    if (const auto& error = cluster_.find(name)->error())
      fail(name + " has ended by " + std::string(error->what()));
}

FleetCounters Fleet::run() {
  try {
    for (const std::string& name : names_) start_follower(name);
    start_leader("leader");
    look_after_leader();
    const std::int64_t faults_end_ns = second + upto(12 * second);
    const auto faults = cluster_.draw() % 13;
    for (std::uint64_t i = 0; i < faults; ++i)
      cluster_.at(upto(faults_end_ns), [this] { disturb(); });
    const auto over = [&] {
      check();
      return done_;
    };
    (void)cluster_.run_until(over, faults_end_ns);
    heal();
    if (!cluster_.run_until(over, cluster_.now_ns() + healing_ns))
      fail("the run is not done in three minutes without faults");
    if (folder_.step != steps_) fail("the run is done, but not saved");
    come_back();
    // Those that lead no more hear of it.
    const auto leaders_ended = [&] {
      check();
      return std::none_of(
          leaders_.begin(), leaders_.end(), [](const auto& one) { return one->alive(); });
    };
    if (!cluster_.run_until(leaders_ended, cluster_.now_ns() + healing_ns))
      fail("a leader does not end though the run is done");
    (void)cluster_.run_until([] { return false; }, cluster_.now_ns() + 8 * second);
    check_monitors();
    end_all();
  } catch (const std::exception& error) {
    if (!broken_) broken_ = error.what();
  }
  check();
  counters_.cuts = links_.counters().cut;
  counters_.virtual_s = static_cast<double>(cluster_.now_ns()) / 1e9;
  counters_.history = cluster_.history();
  return counters_;
}

}  // namespace

FleetCounters& FleetCounters::operator+=(const FleetCounters& other) noexcept {
  views += other.views;
  steps += other.steps;
  leaders += other.leaders;
  followers += other.followers;
  kills += other.kills;
  stops += other.stops;
  hangs += other.hangs;
  partitions += other.partitions;
  cuts += other.cuts;
  fenced += other.fenced;
  minorities += other.minorities;
  orphans += other.orphans;
  later_states += other.later_states;
  downs += other.downs;
  virtual_s += other.virtual_s;
  return *this;
}

std::string FleetCounters::text() const {
  std::string text;
  const auto add = [&](std::uint64_t count, const char* what) {
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + what;
  };
  add(views, "views");
  add(steps, "steps");
  add(leaders, "leaders");
  add(followers, "followers");
  add(kills, "kills");
  add(stops, "stops");
  add(hangs, "hangs");
  add(partitions, "partitions");
  add(cuts, "cuts");
  add(fenced, "fenced");
  add(minorities, "minorities");
  add(orphans, "orphans");
  add(later_states, "later states");
  add(downs, "downs");
  add(static_cast<std::uint64_t>(virtual_s), "virtual seconds");
  return text;
}

FleetCounters run_fleet(std::uint64_t seed) { return Fleet(seed).run(); }

}  // namespace troupe::testing
