#include "parker.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/sim_cluster.hpp>

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace troupe::sim {

namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

/// Ends a main function; no error, for nobody is to make something of it.
struct Killed {};

std::uint64_t mixed(std::uint64_t state, std::uint64_t value) noexcept {
  state = (state ^ value) * 0xbf58476d1ce4e5b9;
  return state ^ state >> 29;
}

/// Whose turn does not end while its process hangs.
class Endless final : public Actor<Completed> {
 public:
  static constexpr std::string_view name = "sim.endless";

 private:
  friend ActorAccess;
  void on(const Completed&) {}
};

/// Runs ahead of the cluster's by as much as it did at the beginning.
class ShiftedClock final : public Clock {
 public:
  ShiftedClock(const std::int64_t& now_ns, std::int64_t ahead_ns)
      : now_ns_(now_ns), ahead_ns_(ahead_ns) {}

  std::int64_t now_ns() const noexcept override { return now_ns_ + ahead_ns_; }
  bool runs_by_itself() const noexcept override { return false; }
  void advance_to(std::int64_t) noexcept override {}

 private:
  const std::int64_t& now_ns_;
  std::int64_t ahead_ns_;
};

}  // namespace

// --- a process

struct Process::State final : Policy {
  State(Cluster::State& owner, std::string called, std::uint64_t number, std::uint64_t seed);

  // Policy
  std::size_t pick(std::size_t ready) noexcept override { return policy.pick(ready); }
  bool run_now() noexcept override { return policy.run_now(); }
  unsigned turn_messages() noexcept override { return policy.turn_messages(); }
  bool wait(bool (*done)(void*), void* context, std::string_view what) override {
    wait_until([&] { return done(context); }, what);
    return true;
  }

  /// On its own thread.
  void wait_until(const std::function<bool()>& done, std::string_view what);
  void live(Process& self, const Main& main) noexcept;
  /// Whether its main function goes on if it is let.
  [[nodiscard]] bool wait_over() const noexcept;
  [[nodiscard]] std::string describe() const;

  Cluster::State& cluster;
  std::string name;
  std::uint64_t life;
  SeededPolicy policy;
  std::int64_t ahead_ns;
  ShiftedClock clock;
  std::unique_ptr<Random> random;
  std::unique_ptr<System> owned;
  System* system = nullptr;  // while it ends, too
  std::optional<Error> error;

  Parker turn;  // its thread's, to run
  const std::function<bool()>* waits_until = nullptr;
  std::string waits_for;
  bool alive = true;
  bool killed = false;
  bool stopped = false;
  bool hangs = false;
  bool touched = true;  // since it was found to have nothing to do
  std::int64_t rests_until_ns = 0;
  std::deque<std::function<void()>> held;  // told while it was stopped
};

// --- the cluster

struct Cluster::State {
  State(std::uint64_t from, Log where) : seed(from), log(std::move(where)), drawn(from) {}

  std::uint64_t draw() noexcept {
    // SplitMix64, as in random.cpp, without its lock.
    std::uint64_t z = drawn += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

  struct Event {
    std::int64_t due_ns;
    std::uint64_t order;  // drawn, for those that are due together
    std::function<void()> what;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const noexcept {
      return a.due_ns != b.due_ns ? a.due_ns > b.due_ns : a.order > b.order;
    }
  };

  std::uint64_t seed;
  Log log;
  std::uint64_t drawn;
  std::uint64_t history = 0;
  std::int64_t now_ns = 0;
  std::vector<Event> events;  // a heap
  std::map<std::string, std::unique_ptr<MemoryDisk>> disks;
  std::map<std::string, std::shared_ptr<Process>> last;
  std::vector<std::shared_ptr<Process>> living;
  std::vector<Process*> ready;
  const Process::State* running = nullptr;  // whose main function runs
  Parker turn;                              // the driving thread's
  std::uint64_t rests_one_in = 0;
  std::int64_t rest_ns_max = 0;
  std::unique_ptr<Executor> nobody = make_caller_executor();
  // The last to be made: it waits for the threads, which use all else.
  std::unique_ptr<Executor> threads = make_thread_executor();
};

Process::State::State(
    Cluster::State& owner, std::string called, std::uint64_t number, std::uint64_t seed)
    : cluster(owner),
      name(std::move(called)),
      life(number),
      policy(seed),
      ahead_ns(static_cast<std::int64_t>(seed % 1'000'000'000'000)),
      clock(owner.now_ns, ahead_ns),
      random(make_seeded_random(mixed(seed, 1))) {}

void Process::State::wait_until(const std::function<bool()>& done, std::string_view what) {
  if (killed) throw Killed{};
  if (cluster.running != this)
    throw Error(
        ErrorCode::invalid_argument,
        "somebody else than process '" + name + "' waits for " + std::string(what) + " in it")
        .hint("wait in the process's main function, or by sim::Cluster::run_until");
  // What `done` throws goes to who waits: it is asked here for the last time.
  while (!done()) {
    waits_until = &done;
    waits_for = what;
    cluster.turn.unpark();
    turn.park();
    waits_until = nullptr;
    if (killed) throw Killed{};
  }
}

bool Process::State::wait_over() const noexcept {
  if (!waits_until) return true;  // it has not begun
  try {
    return (*waits_until)();
  } catch (...) {
    return true;
  }
}

void Process::State::live(Process& self, const Main& main) noexcept {
  turn.park();
  try {
    if (!killed) main(self);
  } catch (const Killed&) {
  } catch (const Error& thrown) {
    if (!killed) error = thrown;
  } catch (const std::exception& thrown) {
    if (!killed) error = Error(ErrorCode::internal, thrown.what());
  }
  owned.reset();
  alive = false;
  cluster.turn.unpark();
}

std::string Process::State::describe() const {
  std::string text = name + " (life " + std::to_string(life) + ")";
  if (killed) return text + ": killed";
  if (!alive) return text + ": ended" + (error ? ", " + std::string(error->what()) : "");
  if (stopped) text += ": stopped";
  if (hangs) text += ": hangs";
  return text + ": waits for " + (waits_until ? waits_for : "its turn");
}

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}
Process::~Process() = default;

const std::string& Process::name() const noexcept { return state_->name; }
std::uint64_t Process::life() const noexcept { return state_->life; }
System& Process::system() noexcept { return *state_->system; }
bool Process::alive() const noexcept { return state_->alive && !state_->killed; }
bool Process::stopped() const noexcept { return state_->stopped; }
bool Process::killed() const noexcept { return state_->killed; }
const std::optional<Error>& Process::error() const noexcept { return state_->error; }

bool Process::wait_for(
    const std::function<bool()>& done, std::int64_t timeout_ns, std::string_view what) {
  State& s = *state_;
  if (s.killed) return false;
  const std::int64_t now_ns = s.cluster.now_ns;
  const std::int64_t until_ns = timeout_ns < never - now_ns ? now_ns + timeout_ns : never;
  s.cluster.events.push_back({until_ns, s.cluster.draw(), [self = s.cluster.last.at(s.name)] {
                                self->state_->touched = true;
                              }});
  std::push_heap(s.cluster.events.begin(), s.cluster.events.end(), Cluster::State::Later{});
  bool is_done = false;
  try {
    s.wait_until([&] { return (is_done = done()) || s.cluster.now_ns >= until_ns; }, what);
  } catch (const Killed&) {
    return false;
  }
  return is_done;
}

void Process::sleep(std::int64_t duration_ns) {
  (void)wait_for([] { return false; }, duration_ns, "its work");
  if (state_->killed) throw Killed{};
}

// --- the cluster

Cluster::Cluster(std::uint64_t seed, Log log)
    : state_(std::make_unique<State>(seed, std::move(log))) {
  State& s = *state_;
  constexpr std::uint64_t habits[] = {0, 200, 20};
  s.rests_one_in = habits[s.draw() % std::size(habits)];
  s.rest_ns_max = 1 + static_cast<std::int64_t>(s.draw() % 3'000'000);
}

Cluster::~Cluster() {
  for (const auto& process : std::vector(state_->living)) kill(*process);
}

std::shared_ptr<Process> Cluster::start(const std::string& name, Process::Main main) {
  State& s = *state_;
  auto& last = s.last[name];
  if (last && last->alive())
    throw Error(ErrorCode::invalid_argument, "process '" + name + "' is alive already");
  const std::uint64_t life = last ? last->life() + 1 : 1;
  auto state = std::make_unique<Process::State>(s, name, life, s.draw());
  System::Options options;
  options.threads = 1;
  options.executor = s.nobody.get();
  options.clock = &state->clock;
  options.disk = &disk(name);
  options.random = state->random.get();
  options.policy = state.get();
  std::shared_ptr<Process> process(new Process(std::move(state)));
  if (s.log)
    options.log = [&s, raw = process.get()](LogLevel level, std::string_view line) {
      s.log(*raw, level, line);
    };
  process->state_->owned = std::make_unique<System>(std::move(options));
  process->state_->system = process->state_->owned.get();
  s.threads->run([process, main = std::move(main)] { process->state_->live(*process, main); });
  last = process;
  s.living.push_back(process);
  return process;
}

/// Lets a process's thread run until it waits or has ended.
void Cluster::resume(Process& process) {
  State& s = *state_;
  Process::State& p = *process.state_;
  const Process::State* const before = std::exchange(s.running, &p);
  p.turn.unpark();
  s.turn.park();
  s.running = before;
  p.touched = true;
  if (!p.alive) std::erase_if(s.living, [&](const auto& one) { return one.get() == &process; });
}

void Cluster::kill(Process& process) {
  Process::State& p = *process.state_;
  if (!p.alive || std::exchange(p.killed, true)) return;
  p.held.clear();
  state_->history = mixed(state_->history, p.life);
  resume(process);
}

void Cluster::stop(Process& process) { process.state_->stopped = true; }

void Cluster::hang(Process& process) {
  if (!process.alive() || std::exchange(process.state_->hangs, true)) return;
  process.system().spawn<Endless>().send(Completed{});
}

void Cluster::go_on(Process& process) {
  Process::State& p = *process.state_;
  p.hangs = false;
  if (!std::exchange(p.stopped, false)) return;
  for (const auto& news : std::exchange(p.held, {})) news();
  p.touched = true;
}

std::shared_ptr<Process> Cluster::find(const std::string& name) const {
  const auto found = state_->last.find(name);
  return found == state_->last.end() ? nullptr : found->second;
}

MemoryDisk& Cluster::disk(const std::string& name) {
  auto& disk = state_->disks[name];
  if (!disk) disk = std::make_unique<MemoryDisk>();
  return *disk;
}

std::int64_t Cluster::now_ns() const noexcept { return state_->now_ns; }

std::int64_t Cluster::clock_ns(const Process& process, std::int64_t at_ns) const noexcept {
  return at_ns + process.state_->ahead_ns;
}

std::uint64_t Cluster::draw() noexcept { return state_->draw(); }

bool Cluster::chance(double probability) noexcept {
  constexpr double parts = 1U << 30;
  return probability > 0 && static_cast<double>(draw() % (1U << 30)) < probability * parts;
}

void Cluster::at(std::int64_t due_ns, std::function<void()> event) {
  State& s = *state_;
  s.events.push_back({std::max(due_ns, s.now_ns), s.draw(), std::move(event)});
  std::push_heap(s.events.begin(), s.events.end(), State::Later{});
}

void Cluster::tell(Process& process, std::function<void()> news) {
  Process::State& p = *process.state_;
  if (!process.alive()) return;
  state_->history = mixed(state_->history, p.life);
  if (p.stopped) {
    p.held.push_back(std::move(news));
    return;
  }
  news();
  p.touched = true;
}

std::int64_t Cluster::timer_ns(const Process& process) const noexcept {
  const std::int64_t due_ns = World::next_timer_ns(*process.state_->system);
  return due_ns == never ? never : due_ns - process.state_->ahead_ns;
}

/// One thing that happens. @returns false when nothing does until then
bool Cluster::step(std::int64_t until_ns) {
  State& s = *state_;
  s.ready.clear();
  std::int64_t next_ns = s.events.empty() ? never : s.events.front().due_ns;
  for (const auto& process : s.living) {
    const Process::State& p = *process->state_;
    if (p.stopped) continue;
    next_ns = std::min(next_ns, timer_ns(*process));
    if (!p.touched || p.hangs) continue;
    if (p.rests_until_ns <= s.now_ns)
      s.ready.push_back(process.get());
    else
      next_ns = std::min(next_ns, p.rests_until_ns);
  }
  if (!s.ready.empty()) {
    run_turn(*s.ready[s.draw() % s.ready.size()]);
    return true;
  }
  if (next_ns > until_ns || next_ns == never) return false;
  if (next_ns > s.now_ns) s.history = mixed(s.history, static_cast<std::uint64_t>(next_ns));
  s.now_ns = std::max(s.now_ns, next_ns);
  for (const auto& process : s.living) {
    if (process->state_->stopped) continue;
    while (timer_ns(*process) <= s.now_ns) {
      (void)World::advance_clock(*process->state_->system);
      process->state_->touched = true;
    }
  }
  if (s.events.empty() || s.events.front().due_ns > s.now_ns) return true;
  std::pop_heap(s.events.begin(), s.events.end(), State::Later{});
  const State::Event event = std::move(s.events.back());
  s.events.pop_back();
  event.what();
  return true;
}

void Cluster::run_turn(Process& process) {
  State& s = *state_;
  Process::State& p = *process.state_;
  if (p.wait_over()) return resume(process);
  if (!p.system->scheduler().run_one_by_policy()) {
    p.touched = false;
    return;
  }
  s.history = mixed(s.history, p.policy.picks());
  if (s.rests_one_in != 0 && s.draw() % s.rests_one_in == 0)
    p.rests_until_ns =
        s.now_ns + 1 +
        static_cast<std::int64_t>(s.draw() % static_cast<std::uint64_t>(s.rest_ns_max));
}

bool Cluster::run_until(
    const std::function<bool()>& done, std::int64_t until_ns, std::uint64_t steps_max) {
  State& s = *state_;
  while (!done()) {
    if (steps_max-- == 0)
      throw Error(
          ErrorCode::stalled,
          "the cluster of seed " + std::to_string(s.seed) + " goes on for ever:" + describe());
    if (step(until_ns)) continue;
    s.now_ns = std::max(s.now_ns, until_ns);
    return done();
  }
  return true;
}

void Cluster::note(std::uint64_t value) noexcept {
  state_->history = mixed(state_->history, value);
}

std::uint64_t Cluster::seed() const noexcept { return state_->seed; }
std::uint64_t Cluster::history() const noexcept { return state_->history; }

std::string Cluster::describe() const {
  std::string text;
  for (const auto& [name, process] : state_->last) text += "\n  " + process->state_->describe();
  return text;
}

}  // namespace troupe::sim
