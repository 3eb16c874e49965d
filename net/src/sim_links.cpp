#include <troupe/net/session.hpp>
#include <troupe/net/sim_links.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace troupe::sim {

namespace {

using net::Connection;
using net::ConnectionEvents;
using net::Endpoint;
using net::Transport;

constexpr std::uint64_t piece_bytes_max = 4000;
constexpr std::size_t buffer_bytes =
    256U << 10;  // of a socket: more is not written before some has arrived

Error broken(const std::string& why) {
  return {ErrorCode::peer_down, "the connection broke: " + why};
}

class Socket;
class Host;

/// A connection, seen by nobody: two ends, and a way from each to the other.
struct Wire {
  struct End {
    std::string host;
    std::shared_ptr<Process> process;  // null: nobody yet
    std::shared_ptr<Socket> socket;    // until it is closed
    std::shared_ptr<ConnectionEvents> events;
  };
  /// What one end sends, in order. Each thing sent makes a time at which one thing may arrive.
  struct Way {
    std::deque<std::function<void()>> under_way;
    std::size_t times_passed = 0;  // while it was blocked
    std::int64_t last_ns = 0;
    std::size_t bytes = 0;  // that did not arrive yet
    bool frozen = false;
    bool writer_waits = false;
  };
  std::array<End, 2> ends;
  std::array<Way, 2> ways;
  bool cut = false;
};

}  // namespace

struct Links::State final : std::enable_shared_from_this<Links::State> {
  explicit State(Cluster& owner) : cluster(owner) {}

  [[nodiscard]] std::int64_t later() {
    return cluster.now_ns() + 1 +
           static_cast<std::int64_t>(
               cluster.draw() % static_cast<std::uint64_t>(faults.delay_ns_max));
  }
  [[nodiscard]] bool blocked(const Wire& wire, unsigned from) const {
    return ways_blocked.contains({wire.ends[from].host, wire.ends[1 - from].host});
  }
  void carry(const std::shared_ptr<Wire>& wire, unsigned from, std::function<void()> arrive);
  void time_for_one(const std::shared_ptr<Wire>& wire, unsigned from);
  void arrive_one(const std::shared_ptr<Wire>& wire, unsigned from);
  void send_bytes(
      const std::shared_ptr<Wire>& wire, unsigned from, std::span<const std::byte> bytes);
  void arrive_bytes(
      const std::shared_ptr<Wire>& wire,
      unsigned to,
      const std::shared_ptr<const std::vector<std::byte>>& bytes);
  void tell_written(const std::shared_ptr<Wire>& wire, unsigned writer);
  void tell_closed(
      const std::shared_ptr<Wire>& wire, unsigned end, bool refused, const std::string& why);
  void close(const std::shared_ptr<Wire>& wire, unsigned end);
  void cut(const std::shared_ptr<Wire>& wire);
  void knock(const std::shared_ptr<Wire>& wire, std::uint16_t port);

  Cluster& cluster;
  LinkFaults faults;
  Counters counters;
  std::vector<std::shared_ptr<Wire>> wires;
  std::set<std::pair<std::string, std::string>> ways_blocked;
  std::set<std::string> dark;  // machines that are off
  struct Listener {
    std::shared_ptr<Host> host;
    Transport::Accept accept;
  };
  std::map<std::pair<std::string, std::uint16_t>, Listener> listeners;
  std::uint16_t last_port = 20'000;
  bool over = false;
};

namespace {

/// One end of a wire, as its process has it.
class Socket final : public Connection {
 public:
  Socket(
      std::shared_ptr<Links::State> links, std::shared_ptr<Wire> wire, unsigned end, std::string at)
      : links_(std::move(links)), wire_(std::move(wire)), end_(end), remote_(std::move(at)) {}

  bool write(std::shared_ptr<const net::WriteBatch> batch) override;
  void close() noexcept override { links_->close(wire_, end_); }
  const std::string& peer() const noexcept override { return nobody_; }
  void welcome() noexcept override {}
  const std::string& remote() const noexcept override { return remote_; }

 private:
  std::shared_ptr<Links::State> links_;
  std::shared_ptr<Wire> wire_;
  unsigned end_;
  std::string remote_;
  std::string nobody_;
};

/// A process's part in the network, as long as its transport lives.
class Host final : public std::enable_shared_from_this<Host> {
 public:
  Host(std::shared_ptr<Links::State> state, Process& of, std::function<void()> rings)
      : links(std::move(state)), process(links->cluster.find(of.name())), alarm(std::move(rings)) {}

  void tell(std::function<void()> news) {
    links->cluster.tell(*process, [self = shared_from_this(), news = std::move(news)] {
      if (!self->ended) news();
    });
  }

  std::shared_ptr<Links::State> links;
  std::shared_ptr<Process> process;
  std::function<void()> alarm;
  std::uint64_t alarms = 0;
  bool ended = false;
};

class SimulatedTransport final : public Transport {
 public:
  SimulatedTransport(
      std::shared_ptr<Links::State> links, Process& process, std::function<void()> alarm)
      : host_(std::make_shared<Host>(std::move(links), process, std::move(alarm))) {}
  ~SimulatedTransport() override { stop(); }

  std::shared_ptr<Connection> dial(
      const Endpoint& to,
      const std::string& node,
      std::shared_ptr<ConnectionEvents> events) override;
  Result<Endpoint> listen(const Endpoint& at, Accept accept) override;
  void set_alarm(std::int64_t at_ns) override;
  void post(std::function<void()> function) override;
  bool wait(
      std::unique_lock<std::mutex>& lock,
      std::condition_variable& changed,
      std::int64_t timeout_ns,
      const std::function<bool()>& done) override;
  void stop() noexcept override;

 private:
  std::shared_ptr<Host> host_;
};

bool Socket::write(std::shared_ptr<const net::WriteBatch> batch) {
  Links::State& links = *links_;
  Cluster& cluster = links.cluster;
  Wire::Way& way = wire_->ways[end_];
  if (wire_->ends[end_].socket.get() != this || wire_->ends[end_].process->killed()) return false;
  if (wire_->cut) return false;  // it will hear of it
  std::vector<std::byte> bytes;
  bytes.reserve(batch->bytes);
  for (const auto& span : batch->spans) bytes.insert(bytes.end(), span.begin(), span.end());
  if (!way.frozen && cluster.chance(links.faults.freeze)) {
    way.frozen = true;
    way.under_way.clear();
    ++links.counters.frozen;
  }
  const bool is_cut = cluster.chance(links.faults.cut);
  if (is_cut) bytes.resize(cluster.draw() % (bytes.size() + 1));
  links.send_bytes(wire_, end_, bytes);
  if (is_cut) {
    ++links.counters.cut;
    links.cut(wire_);
    return false;
  }
  const bool full = way.bytes > buffer_bytes;
  if (!full && cluster.draw() % 4 != 0) return true;
  way.writer_waits = true;
  if (!full)
    cluster.at(links.later(), [held = links_, wire = wire_, end = end_] {
      held->tell_written(wire, end);
    });
  return false;
}

std::shared_ptr<Connection> SimulatedTransport::dial(
    const Endpoint& to, const std::string&, std::shared_ptr<ConnectionEvents> events) {
  const auto& links = host_->links;
  auto wire = std::make_shared<Wire>();
  const auto socket = std::make_shared<Socket>(links, wire, 0, to_string(to));
  wire->ends[0] = {host_->process->name(), host_->process, socket, std::move(events)};
  wire->ends[1].host = to.host;
  if (host_->ended) return socket;
  std::erase_if(links->wires, [](const auto& one) {
    return !one->ends[0].socket && !one->ends[1].socket && one->ways[0].under_way.empty() &&
           one->ways[1].under_way.empty();
  });
  links->wires.push_back(wire);
  if (links->cluster.chance(links->faults.refuse)) {
    ++links->counters.refused;
    links->cluster.at(
        links->later(), [links, wire] { links->tell_closed(wire, 0, false, "no way there"); });
  } else {
    links->carry(wire, 0, [links, wire, port = to.port] { links->knock(wire, port); });
  }
  return socket;
}

Result<Endpoint> SimulatedTransport::listen(const Endpoint& at, Accept accept) {
  Links::State& links = *host_->links;
  const std::string& name = host_->process->name();
  if (at.host != name)
    return Error(ErrorCode::invalid_argument, "'" + at.host + "' is none of this machine's names")
        .hint("a simulated process is a host by its own name: '" + name + "'");
  Endpoint got = at;
  if (got.port == 0) got.port = ++links.last_port;
  if (!links.listeners.try_emplace({name, got.port}, Links::State::Listener{host_, accept}).second)
    return Error(ErrorCode::invalid_argument, "port " + std::to_string(got.port) + " is taken")
        .hint("0 takes one that is free");
  return got;
}

void SimulatedTransport::set_alarm(std::int64_t at_ns) {
  Cluster& cluster = host_->links->cluster;
  const std::int64_t due_ns = at_ns - cluster.clock_ns(*host_->process, 0);
  cluster.at(due_ns, [host = host_, number = ++host_->alarms] {
    if (host->alarms == number) host->tell(host->alarm);
  });
}

void SimulatedTransport::post(std::function<void()> function) {
  Cluster& cluster = host_->links->cluster;
  cluster.at(cluster.now_ns() + 1, [host = host_, function = std::move(function)] {
    host->tell(function);
  });
}

bool SimulatedTransport::wait(
    std::unique_lock<std::mutex>& lock,
    std::condition_variable&,
    std::int64_t timeout_ns,
    const std::function<bool()>& done) {
  std::mutex& mutex = *lock.mutex();
  lock.unlock();
  const bool is_done = host_->process->wait_for(
      [&] {
        const std::lock_guard guard(mutex);
        return done();
      },
      timeout_ns,
      "its peers' farewell");
  lock.lock();
  return is_done;
}

void SimulatedTransport::stop() noexcept {
  if (std::exchange(host_->ended, true)) return;
  const auto& links = host_->links;
  std::erase_if(links->listeners, [&](const auto& one) { return one.second.host == host_; });
  for (const auto& wire : std::vector(links->wires))
    for (unsigned end = 0; end < 2; ++end)
      if (wire->ends[end].process == host_->process) links->close(wire, end);
}

}  // namespace

// --- on the way

void Links::State::carry(
    const std::shared_ptr<Wire>& wire, unsigned from, std::function<void()> arrive) {
  if (over || wire->ways[from].frozen) return;
  wire->ways[from].under_way.push_back(std::move(arrive));
  time_for_one(wire, from);
}

void Links::State::time_for_one(const std::shared_ptr<Wire>& wire, unsigned from) {
  Wire::Way& way = wire->ways[from];
  way.last_ns = std::max(way.last_ns + 1, later());
  cluster.at(way.last_ns, [self = shared_from_this(), wire, from] {
    if (self->blocked(*wire, from))
      ++wire->ways[from].times_passed;
    else
      self->arrive_one(wire, from);
  });
}

void Links::State::arrive_one(const std::shared_ptr<Wire>& wire, unsigned from) {
  Wire::Way& way = wire->ways[from];
  if (way.under_way.empty()) return;  // frozen meanwhile
  const auto arrive = std::move(way.under_way.front());
  way.under_way.pop_front();
  arrive();
}

/// A connection is asked for where somebody listens, or nobody.
void Links::State::knock(const std::shared_ptr<Wire>& wire, std::uint16_t port) {
  Wire::End& end = wire->ends[1];
  if (dark.contains(end.host)) return;
  const auto found = listeners.find({end.host, port});
  if (found == listeners.end())
    return carry(wire, 1, [self = shared_from_this(), wire] {
      self->tell_closed(wire, 0, true, "nobody listens there");
    });
  ++counters.connections;
  const auto& host = found->second.host;
  end.process = host->process;
  end.socket = std::make_shared<Socket>(
      shared_from_this(), wire, 1, wire->ends[0].host + ":" + std::to_string(++last_port));
  host->tell([self = shared_from_this(), wire, accept = found->second.accept] {
    Wire::End& accepted = wire->ends[1];
    if (!accepted.socket) return;
    const auto socket = accepted.socket;
    accepted.events = accept(socket);
    if (!accepted.events) socket->close();
  });
  carry(wire, 1, [self = shared_from_this(), wire] {
    self->cluster.tell(*wire->ends[0].process, [wire] {
      if (const auto events = wire->ends[0].events) events->on_connected();
    });
  });
}

void Links::State::send_bytes(
    const std::shared_ptr<Wire>& wire, unsigned from, std::span<const std::byte> bytes) {
  wire->ways[from].bytes += bytes.size();
  while (!bytes.empty()) {
    const auto count = std::min<std::size_t>(1 + cluster.draw() % piece_bytes_max, bytes.size());
    const auto first = bytes.first(count);
    bytes = bytes.subspan(count);
    const auto piece = std::make_shared<const std::vector<std::byte>>(first.begin(), first.end());
    carry(wire, from, [=, this] { arrive_bytes(wire, 1 - from, piece); });
  }
}

void Links::State::arrive_bytes(
    const std::shared_ptr<Wire>& wire,
    unsigned to,
    const std::shared_ptr<const std::vector<std::byte>>& bytes) {
  Wire::Way& way = wire->ways[1 - to];
  Wire::End& end = wire->ends[to];
  if (dark.contains(end.host)) return;
  way.bytes -= bytes->size();
  if (way.writer_waits && way.bytes <= buffer_bytes) tell_written(wire, 1 - to);
  if (!end.socket) {  // its machine knows of no such connection
    return carry(wire, to, [=, this] { tell_closed(wire, 1 - to, false, "reset"); });
  }
  counters.bytes += bytes->size();
  std::uint64_t sum = bytes->size();
  for (const std::byte byte : *bytes) sum = sum * 31 + static_cast<std::uint64_t>(byte);
  cluster.note(sum);
  cluster.tell(*end.process, [wire, to, bytes] {
    if (const auto events = wire->ends[to].events) events->on_bytes(*bytes);
  });
}

void Links::State::tell_written(const std::shared_ptr<Wire>& wire, unsigned writer) {
  cluster.tell(*wire->ends[writer].process, [wire, writer] {
    const auto events = wire->ends[writer].events;
    if (events && std::exchange(wire->ways[writer].writer_waits, false)) events->on_written();
  });
}

void Links::State::tell_closed(
    const std::shared_ptr<Wire>& wire, unsigned end, bool refused, const std::string& why) {
  if (!wire->ends[end].socket) return;
  cluster.tell(*wire->ends[end].process, [wire, end, refused, why] {
    const auto events = std::exchange(wire->ends[end].events, nullptr);
    const auto socket = std::exchange(wire->ends[end].socket, nullptr);
    if (events) events->on_closed(refused, broken(why));
  });
}

/// One end closes it; the other hears of that behind all that was sent before.
void Links::State::close(const std::shared_ptr<Wire>& wire, unsigned end) {
  // Both may be what calls.
  const auto events = std::exchange(wire->ends[end].events, nullptr);
  const auto socket = std::exchange(wire->ends[end].socket, nullptr);
  if (!socket || wire->cut || dark.contains(wire->ends[end].host)) return;
  carry(wire, end, [=, this] { tell_closed(wire, 1 - end, false, "the other end closed it"); });
}

void Links::State::cut(const std::shared_ptr<Wire>& wire) {
  if (std::exchange(wire->cut, true)) return;
  for (unsigned end = 0; end < 2; ++end)
    carry(wire, 1 - end, [=, this] { tell_closed(wire, end, false, "reset"); });
}

// --- for tests

Links::Links(Cluster& cluster) : state_(std::make_shared<State>(cluster)) {}
Links::~Links() {
  state_->over = true;
  // What is under way holds what it is under way on.
  for (const auto& wire : state_->wires)
    for (Wire::Way& way : wire->ways) way.under_way.clear();
}

std::function<std::unique_ptr<Transport>(std::function<void()> alarm)> Links::of(Process& process) {
  state_->dark.erase(process.name());
  return [links = state_, &process](std::function<void()> alarm) {
    return std::make_unique<SimulatedTransport>(links, process, std::move(alarm));
  };
}

void Links::set_faults(const LinkFaults& faults) { state_->faults = faults; }

void Links::block(const std::string& from, const std::string& to) {
  state_->ways_blocked.insert({from, to});
}

void Links::heal() {
  state_->faults = {.delay_ns_max = state_->faults.delay_ns_max};
  state_->ways_blocked.clear();
  for (const auto& wire : state_->wires)
    for (unsigned from = 0; from < 2; ++from)
      for (auto times = std::exchange(wire->ways[from].times_passed, 0); times > 0; --times)
        state_->time_for_one(wire, from);
}

void Links::cut(const std::string& one, const std::string& other) {
  for (const auto& wire : std::vector(state_->wires)) {
    const bool between = (wire->ends[0].host == one && wire->ends[1].host == other) ||
                         (wire->ends[0].host == other && wire->ends[1].host == one);
    if (between) state_->cut(wire);
  }
}

void Links::kill(Process& process, Death death) {
  if (death == Death::machine) state_->dark.insert(process.name());
  state_->cluster.kill(process);
}

const Links::Counters& Links::counters() const noexcept { return state_->counters; }

}  // namespace troupe::sim
