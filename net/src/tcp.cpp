#include <troupe/core/clock.hpp>
#include <troupe/core/poller.hpp>
#include <troupe/net/session.hpp>
#include <troupe/net/tcp.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::net {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Failure = boost::system::error_code;

// What does not go where it stays is copied, so it is not much: some hundred small messages.
constexpr std::size_t read_bytes = 16U << 10;
constexpr std::size_t read_sealed_bytes = 256U << 10;
constexpr std::size_t reads_in_a_row = 8;  // then others have their turn
constexpr std::size_t spans_at_once = 64;
// How long what comes may wait for a thread that polled and is now busy with something else.
constexpr auto patience = std::chrono::milliseconds(1);
// How long a thread that polls looks for something before it sleeps: about what a wake-up costs.
// One that looked in vain looks for less the next time.
constexpr std::chrono::nanoseconds look_max = std::chrono::microseconds(50);
constexpr std::chrono::nanoseconds look_min = std::chrono::microseconds(2);
constexpr std::size_t sealed_bytes = 256U << 10;  // encrypted, and not yet sent
constexpr std::size_t record_bytes = 16U << 10;

class Tcp;

std::string text_of(const tcp::endpoint& endpoint) {
  return to_string(Endpoint{endpoint.address().to_string(), endpoint.port()});
}

Error broken(const std::string& why) {
  return {ErrorCode::peer_down, "the connection broke: " + why};
}
Error broken(int number) { return broken(std::system_category().message(number)); }

/// Threads  its mutex guards socket, channel and batch; events are told without it, by the
///          transport's thread alone.
class TcpConnection final : public Connection, public std::enable_shared_from_this<TcpConnection> {
 public:
  TcpConnection(Tcp& owner, tcp::socket socket) : owner_(owner), socket_(std::move(socket)) {}

  // Connection
  bool write(std::shared_ptr<const WriteBatch> batch) override;
  void close() noexcept override;
  void welcome() noexcept override;
  const std::string& peer() const noexcept override { return peer_; }
  const std::string& remote() const noexcept override { return remote_; }

  /// Of a connection that was dialed.
  void connect(const Endpoint& to, std::string node, std::shared_ptr<ConnectionEvents> events);
  /// Of one that was accepted.
  void begin(const Transport::Accept* accept);

 private:
  friend class Tcp;

  void connected(const Failure& failure, const tcp::endpoint& at);
  void greeted();
  void wait_to_read();
  void readable();
  [[nodiscard]] Result<bool> read_once();
  [[nodiscard]] Result<std::size_t> receive(
      std::span<std::byte> first, std::span<std::byte> second);
  [[nodiscard]] Result<void> open_sealed(std::span<const std::byte> bytes);
  [[nodiscard]] bool flush();
  [[nodiscard]] bool flush_plain();
  [[nodiscard]] bool flush_sealed();
  [[nodiscard]] bool seal_next();
  bool send_failed();
  void advance(std::size_t bytes);
  void wait_to_write();
  void writable();
  void fail(bool refused, const Error& why);

  Tcp& owner_;
  std::mutex mutex_;
  tcp::socket socket_;
  std::unique_ptr<SecureChannel> channel_;
  std::shared_ptr<const WriteBatch> batch_;
  std::size_t span_ = 0;  // of the batch, next to be written
  std::size_t offset_ = 0;
  std::vector<std::byte> record_;  // small spans put together
  bool waits_to_write_ = false;
  bool closed_ = false;

  // The transport's thread only.
  std::shared_ptr<ConnectionEvents> events_;
  const Transport::Accept* accept_ = nullptr;
  bool told_closed_ = false;
  std::size_t came_ = 0;  // bytes, as they were sent
  Endpoint dialed_;
  std::string node_;
  std::string peer_;
  std::string remote_;
  std::optional<tcp::resolver> resolver_;
};

/// An accepted connection that was not welcomed yet.
struct Stranger {
  std::weak_ptr<TcpConnection> connection;
  std::int64_t until_ns;
};

/// Who deals with what comes: one thread at a time. A thread of the system that polls goes before
/// the transport's own, which looks from time to time whether that one has come back.
class Tcp final : public Transport, public Poller {
 public:
  Tcp(const TcpOptions& options, const Clock& clock, std::function<void()> alarm);
  ~Tcp() override { stop(); }

  std::shared_ptr<Connection> dial(
      const Endpoint& to,
      const std::string& node,
      std::shared_ptr<ConnectionEvents> events) override;
  Result<Endpoint> listen(const Endpoint& at, Accept accept) override;
  void set_alarm(std::int64_t at_ns) override;
  void post(std::function<void()> function) override { asio::post(io_, std::move(function)); }
  bool wait(
      std::unique_lock<std::mutex>& lock,
      std::condition_variable& changed,
      std::int64_t timeout_ns,
      const std::function<bool()>& done) override {
    return changed.wait_for(lock, std::chrono::nanoseconds(timeout_ns), done);
  }
  void stop() noexcept override;
  Poller* poller() noexcept override { return this; }

  // Poller
  void poll() noexcept override;
  void interrupt() noexcept override;

  void welcome(const TcpConnection& connection) noexcept;

 private:
  friend class TcpConnection;

  struct Listener {
    tcp::acceptor acceptor;
    Accept accept;
  };

  void run();
  [[nodiscard]] bool look();
  void wait_to_accept(Listener& listener);
  void receive(Listener& listener, tcp::socket socket);
  void turn_away();
  void wait_for_strangers();

  TcpOptions options_;
  const Clock& clock_;
  std::function<void()> alarm_;
  asio::io_context io_{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> guard_;
  std::mutex timer_mutex_;
  asio::steady_timer timer_{io_};
  asio::steady_timer stranger_timer_{io_};
  asio::steady_timer accept_timer_{io_};
  std::mutex strangers_mutex_;
  std::list<Stranger> strangers_;  // the oldest first
  std::mutex listeners_mutex_;
  std::list<Listener> listeners_;
  std::mutex turn_mutex_;
  std::condition_variable turn_changed_;
  bool own_runs_ = false;
  bool own_sleeps_ = false;  // until a guest leaves
  bool guest_is_here_ = false;
  bool guest_runs_ = false;
  bool interrupted_ = false;
  bool stopped_ = false;
  std::uint64_t visits_ = 0;  // that guests have ended
  std::chrono::nanoseconds look_for_ = look_max;
  std::vector<std::byte> plain_ = std::vector<std::byte>(read_bytes);
  std::vector<std::byte> sealed_ = std::vector<std::byte>(read_sealed_bytes);
  std::thread thread_;
};

// --- a connection

void TcpConnection::connect(
    const Endpoint& to, std::string node, std::shared_ptr<ConnectionEvents> events) {
  dialed_ = to;
  node_ = std::move(node);
  remote_ = to_string(to);
  events_ = std::move(events);
  const auto self = shared_from_this();
  resolver_.emplace(owner_.io_);
  resolver_->async_resolve(
      to.host,
      std::to_string(to.port),
      tcp::resolver::numeric_service,
      [self](const Failure& failure, const tcp::resolver::results_type& found) {
        if (failure)
          return self->fail(
              false,
              Error(
                  ErrorCode::peer_down,
                  "'" + self->dialed_.host + "' does not resolve: " + failure.message())
                  .hint("check the name, or give an address"));
        if (!self->owner_.options_.security)
          for (const auto& entry : found)
            if (!entry.endpoint().address().is_loopback())
              return self->fail(
                  false,
                  Error(
                      ErrorCode::unsupported,
                      "'" + self->dialed_.host +
                          "' is another machine, and there are no certificates")
                      .hint("'troupe certs init' and 'troupe certs issue' make them"));
        const std::lock_guard lock(self->mutex_);
        if (self->closed_) return;
        asio::async_connect(
            self->socket_, found, [self](const Failure& error, const tcp::endpoint& at) {
              self->connected(error, at);
            });
      });
}

void TcpConnection::connected(const Failure& failure, const tcp::endpoint& at) {
  if (failure)
    return fail(
        failure == asio::error::connection_refused,
        Error(ErrorCode::peer_down, "cannot connect: " + failure.message())
            .hint("check that somebody listens there: 'troupe peer --listen'"));
  remote_ = text_of(at);
  begin(nullptr);
}

void TcpConnection::begin(const Transport::Accept* accept) {
  accept_ = accept;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    Failure ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    if (owner_.options_.security) {
      channel_ = std::make_unique<SecureChannel>(
          owner_.options_.security,
          accept ? SecureChannel::Role::listens : SecureChannel::Role::dials);
      (void)flush();
    }
  }
  if (!channel_) greeted();
  wait_to_read();
}

/// Both ends may speak now.
void TcpConnection::greeted() {
  if (channel_) {
    peer_ = channel_->peer();
    const bool right =
        accept_ || (node_.empty() ? channel_->stands_for(dialed_.host) : node_ == peer_);
    if (!right)
      return fail(
          false,
          Error(
              ErrorCode::peer_mismatch,
              "the certificate at " + remote_ + " is that of '" + peer_ +
                  "' and does not stand for '" + (node_.empty() ? dialed_.host : node_) + "'")
              .hint("'troupe certs issue NODE --host NAME' says what a node is reached by"));
  }
  if (!accept_) return events_->on_connected();
  events_ = (*accept_)(shared_from_this());
  if (!events_) fail(false, broken("nobody takes it"));
}

void TcpConnection::wait_to_read() {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const Failure& failure) {
    if (!failure) self->readable();
  });
}

void TcpConnection::readable() {
  for (std::size_t i = 0; i < reads_in_a_row; ++i) {
    auto more = read_once();
    if (!more) return fail(false, more.error());
    if (!more.value()) break;
  }
  wait_to_read();
}

/// @returns whether there may be more to read.
Result<bool> TcpConnection::read_once() {
  if (channel_) {
    const auto count = receive({}, owner_.sealed_);
    if (!count) return count.error();
    if (count.value() == 0) return false;
    if (auto opened = open_sealed(std::span(owner_.sealed_).first(count.value())); !opened)
      return opened.error();
    return count.value() == owner_.sealed_.size();
  }
  // A payload's rest goes where it stays, and what comes behind it into the same call.
  const Room room = events_ ? events_->room() : Room{};
  const auto count = receive(room.bytes, owner_.plain_);
  if (!count) return count.error();
  const std::size_t placed = std::min(count.value(), room.bytes.size());
  if (placed > 0) events_->on_bytes(room.bytes.first(placed));
  if (count.value() > placed)
    events_->on_bytes(std::span(owner_.plain_).first(count.value() - placed));
  return count.value() == room.bytes.size() + owner_.plain_.size();
}

/// Reads into one stretch and then another. @returns how many bytes came; 0: none for now.
Result<std::size_t> TcpConnection::receive(
    std::span<std::byte> first, std::span<std::byte> second) {
  std::array<iovec, 2> parts{
      iovec{first.data(), first.size()}, iovec{second.data(), second.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const std::lock_guard lock(mutex_);
  if (closed_) return std::size_t{0};
  const ssize_t count = ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT);
  if (count > 0) {
    came_ += static_cast<std::size_t>(count);
    return static_cast<std::size_t>(count);
  }
  const int number = errno;
  if (count < 0 && (number == EAGAIN || number == EWOULDBLOCK || number == EINTR))
    return std::size_t{0};
  std::string why = count == 0 ? "the other end closed it" : std::system_category().message(number);
  // A node with certificates and one without do not understand a word of each other.
  if (!accept_ && (channel_ ? !channel_->greeted() : came_ < header_bytes))
    why += channel_ ? " before it said who it is; does it have certificates, as this one does?"
                    : " before it answered; does it have certificates, as this one does not?";
  return broken(why);
}

Result<void> TcpConnection::open_sealed(std::span<const std::byte> bytes) {
  bool was_greeted = false;
  bool written = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return {};
    was_greeted = channel_->greeted();
    auto fed = channel_->feed(bytes);
    written = flush();  // answers; or what tells the other end why not
    if (!fed) return fed;
  }
  if (written) events_->on_written();
  if (!channel_->greeted()) return {};
  if (!was_greeted) greeted();
  for (;;) {
    const Room room = events_ ? events_->room() : Room{};
    const std::span<std::byte> to = room.bytes.empty() ? owner_.plain_ : room.bytes;
    std::size_t count = 0;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return {};
      // A call opens one record, which is far less than a large message.
      while (count < to.size()) {
        auto read = channel_->read(to.subspan(count));
        if (!read) return read.error();
        if (read.value() == 0) break;
        count += read.value();
      }
      if (count == 0 && channel_->ended()) return broken("the other end closed it");
    }
    if (count == 0) return {};
    events_->on_bytes(to.first(count));
  }
}

bool TcpConnection::write(std::shared_ptr<const WriteBatch> batch) {
  const std::lock_guard lock(mutex_);
  batch_ = std::move(batch);
  span_ = offset_ = 0;
  if (closed_) return false;
  return flush();
}

/// Sends what there is. @returns whether all of the batch is gone, if there is one.
bool TcpConnection::flush() { return channel_ ? flush_sealed() : flush_plain(); }

bool TcpConnection::flush_plain() {
  while (batch_) {
    std::array<iovec, spans_at_once> parts;
    std::size_t count = 0;
    for (std::size_t i = span_; i < batch_->spans.size() && count < parts.size(); ++i) {
      const auto bytes = batch_->spans[i].subspan(i == span_ ? offset_ : 0);
      if (bytes.empty()) continue;
      parts[count++] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    }
    if (count == 0) {
      batch_.reset();
      return true;
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return send_failed();
    advance(static_cast<std::size_t>(sent));
  }
  return false;
}

bool TcpConnection::flush_sealed() {
  for (;;) {
    for (auto out = channel_->output(); !out.empty(); out = channel_->output()) {
      const ssize_t sent =
          ::send(socket_.native_handle(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) return send_failed();
      channel_->drop_output(static_cast<std::size_t>(sent));
    }
    if (!batch_ || !channel_->greeted()) return false;
    if (!seal_next()) {
      batch_.reset();
      return true;
    }
  }
}

/// Encrypts the next part of the batch. @returns false when there is none.
bool TcpConnection::seal_next() {
  bool any = false;
  while (span_ < batch_->spans.size() && channel_->output().size() < sealed_bytes) {
    // Headers and meta bytes are short; each record of its own would cost more than the bytes.
    record_.clear();
    while (span_ < batch_->spans.size() && record_.size() < record_bytes) {
      const auto rest = batch_->spans[span_].subspan(offset_);
      if (record_.empty() && rest.size() >= record_bytes) break;
      const auto taken = rest.first(std::min(rest.size(), record_bytes - record_.size()));
      record_.insert(record_.end(), taken.begin(), taken.end());
      advance(taken.size());
    }
    std::span<const std::byte> piece = record_;
    if (record_.empty()) {
      if (span_ == batch_->spans.size()) break;
      const auto rest = batch_->spans[span_].subspan(offset_);
      piece = rest.first(std::min(rest.size(), sealed_bytes));
    }
    any = true;
    if (!channel_->write(piece)) {  // the next read says why
      batch_.reset();
      return true;
    }
    if (record_.empty()) advance(piece.size());
  }
  return any;
}

/// @returns false.
bool TcpConnection::send_failed() {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    wait_to_write();
    return false;
  }
  // What goes wrong is told by the transport's thread, never within a call to it.
  asio::post(owner_.io_, [self = shared_from_this(), number = errno] {
    self->fail(false, broken(number));
  });
  return false;
}

void TcpConnection::advance(std::size_t bytes) {
  offset_ += bytes;
  while (span_ < batch_->spans.size() && offset_ >= batch_->spans[span_].size())
    offset_ -= batch_->spans[span_++].size();
}

void TcpConnection::wait_to_write() {
  if (std::exchange(waits_to_write_, true)) return;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const Failure& failure) {
    if (!failure) self->writable();
  });
}

void TcpConnection::writable() {
  bool written = false;
  {
    const std::lock_guard lock(mutex_);
    waits_to_write_ = false;
    if (closed_) return;
    written = flush();
  }
  if (written && events_) events_->on_written();
}

void TcpConnection::fail(bool refused, const Error& why) {
  if (std::exchange(told_closed_, true)) return;
  close();
  if (events_) events_->on_closed(refused, why);
  events_.reset();
}

void TcpConnection::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    batch_.reset();
    Failure ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
  }
  welcome();
  // The descriptor goes on the thread that may be using it.
  try {
    asio::post(owner_.io_, [self = shared_from_this()] {
      const std::lock_guard lock(self->mutex_);
      Failure ignored;
      if (self->resolver_) self->resolver_->cancel();
      self->socket_.close(ignored);
      self->channel_.reset();
      self->events_.reset();
    });
  } catch (...) {  // without memory it goes with the connection
  }
}

void TcpConnection::welcome() noexcept { owner_.welcome(*this); }

// --- the transport

Tcp::Tcp(const TcpOptions& options, const Clock& clock, std::function<void()> alarm)
    : options_(options), clock_(clock), alarm_(std::move(alarm)) {
  guard_.emplace(io_.get_executor());
  thread_ = std::thread([this] { run(); });
}

/// The transport's own thread.
void Tcp::run() {
  std::unique_lock lock(turn_mutex_);
  std::uint64_t visits = 0;
  while (!stopped_) {
    if (std::exchange(visits, visits_) != visits_) {
      // Guests come and go: one that has left comes back as a rule.
      (void)turn_changed_.wait_for(lock, patience, [this] { return stopped_; });
    } else if (guest_is_here_) {
      own_sleeps_ = true;
      turn_changed_.wait(lock, [this] { return stopped_ || !guest_is_here_; });
      own_sleeps_ = false;
    } else {
      own_runs_ = true;
      lock.unlock();
      io_.run_one();
      lock.lock();
      own_runs_ = false;
      if (guest_is_here_) turn_changed_.notify_all();
    }
  }
}

void Tcp::poll() noexcept {
  const auto nothing = [] {};
  std::unique_lock lock(turn_mutex_);
  guest_is_here_ = true;
  if (own_runs_) asio::post(io_, nothing);
  turn_changed_.wait(lock, [this] { return !own_runs_ || interrupted_; });
  if (!interrupted_) {
    guest_runs_ = true;
    lock.unlock();
    if (!look()) io_.run_one();
    lock.lock();
    guest_runs_ = false;
  }
  interrupted_ = false;
  guest_is_here_ = false;
  ++visits_;
  if (own_sleeps_) turn_changed_.notify_all();
}

/// Deals with what comes soon, without sleeping. @returns whether something did.
bool Tcp::look() {
  const auto until = std::chrono::steady_clock::now() + look_for_;
  bool found = io_.poll_one() > 0;
  while (!found && std::chrono::steady_clock::now() < until) {
    // Where there are more processes than cores, another may be about to send what is waited for.
    std::this_thread::yield();
    found = io_.poll_one() > 0;
  }
  look_for_ = found ? std::min(2 * look_for_, look_max) : std::max(look_for_ / 2, look_min);
  return found;
}

void Tcp::interrupt() noexcept {
  const std::lock_guard lock(turn_mutex_);
  interrupted_ = true;
  if (guest_runs_) return asio::post(io_, [] {});
  turn_changed_.notify_all();
}

void Tcp::stop() noexcept {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(turn_mutex_);
    stopped_ = true;
    turn_changed_.notify_all();
  }
  io_.stop();
  thread_.join();
  const std::lock_guard lock(listeners_mutex_);
  listeners_.clear();
}

std::shared_ptr<Connection> Tcp::dial(
    const Endpoint& to, const std::string& node, std::shared_ptr<ConnectionEvents> events) {
  auto connection = std::make_shared<TcpConnection>(*this, tcp::socket(io_));
  asio::post(io_, [connection, to, node, events = std::move(events)]() mutable {
    connection->connect(to, std::move(node), std::move(events));
  });
  return connection;
}

Result<Endpoint> Tcp::listen(const Endpoint& at, Accept accept) {
  const auto wrong = [&](const std::string& why) {
    return Error(ErrorCode::invalid_argument, "cannot listen at " + to_string(at) + ": " + why);
  };
  constexpr auto own_address = "give an address of this machine; 127.0.0.1 for this machine alone";
  Failure failure;
  tcp::resolver resolver(io_);
  const auto found = resolver.resolve(
      at.host,
      std::to_string(at.port),
      tcp::resolver::passive | tcp::resolver::numeric_service,
      failure);
  if (failure || found.empty())
    return wrong("'" + at.host + "' does not resolve: " + failure.message()).hint(own_address);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  if (!options_.security && !endpoint.address().is_loopback())
    return wrong("others could reach it, and there are no certificates")
        .hint("'troupe certs init' and 'troupe certs issue' make them; 127.0.0.1 needs none");
  tcp::acceptor acceptor(io_);
  acceptor.open(endpoint.protocol(), failure);
  if (!failure) acceptor.set_option(tcp::acceptor::reuse_address(true), failure);
  if (!failure) acceptor.bind(endpoint, failure);
  if (!failure) acceptor.listen(asio::socket_base::max_listen_connections, failure);
  if (failure) {
    Error error = wrong(failure.message());
    if (failure == asio::error::address_in_use)
      error.hint("another process listens there; choose another port, or 0 for one that is free");
    else if (failure == asio::error::access_denied)
      error.hint("ports below 1024 are for root; choose another port");
    else if (failure == boost::system::errc::address_not_available)
      error.hint(own_address);
    return error;
  }
  const Endpoint got{at.host, acceptor.local_endpoint().port()};
  const std::lock_guard lock(listeners_mutex_);
  Listener& listener = listeners_.emplace_back(Listener{std::move(acceptor), std::move(accept)});
  asio::post(io_, [this, &listener] { wait_to_accept(listener); });
  return got;
}

void Tcp::wait_to_accept(Listener& listener) {
  listener.acceptor.async_accept([this, &listener](const Failure& failure, tcp::socket socket) {
    if (!failure) {
      receive(listener, std::move(socket));
      return wait_to_accept(listener);
    }
    if (failure == asio::error::operation_aborted) return;
    // No descriptors left, most likely: strangers go, and a moment later there are some again.
    turn_away();
    accept_timer_.expires_after(std::chrono::milliseconds(100));
    accept_timer_.async_wait([this, &listener](const Failure& ended) {
      if (!ended) wait_to_accept(listener);
    });
  });
}

void Tcp::receive(Listener& listener, tcp::socket socket) {
  Failure failure;
  const tcp::endpoint from = socket.remote_endpoint(failure);
  if (failure) return;  // gone already
  const auto connection = std::make_shared<TcpConnection>(*this, std::move(socket));
  connection->remote_ = text_of(from);
  bool full = false;
  {
    const std::lock_guard lock(strangers_mutex_);
    full = strangers_.size() >= options_.strangers_max;
  }
  if (full) turn_away();
  bool first = false;
  {
    const std::lock_guard lock(strangers_mutex_);
    first = strangers_.empty();
    strangers_.push_back({connection, clock_.now_ns() + options_.stranger_ns});
  }
  if (first) wait_for_strangers();
  connection->begin(&listener.accept);
}

/// Closes the stranger that has been here longest.
void Tcp::turn_away() {
  std::shared_ptr<TcpConnection> oldest;
  {
    const std::lock_guard lock(strangers_mutex_);
    if (strangers_.empty()) return;
    oldest = strangers_.front().connection.lock();
    strangers_.pop_front();
  }
  if (oldest) oldest->fail(false, broken("it did not say who it is"));
}

void Tcp::wait_for_strangers() {
  std::int64_t until_ns = 0;
  {
    const std::lock_guard lock(strangers_mutex_);
    if (strangers_.empty()) return;
    until_ns = strangers_.front().until_ns;
  }
  stranger_timer_.expires_after(
      std::chrono::nanoseconds(std::max<std::int64_t>(0, until_ns - clock_.now_ns())));
  stranger_timer_.async_wait([this](const Failure& ended) {
    if (ended) return;
    for (;;) {
      {
        const std::lock_guard lock(strangers_mutex_);
        if (strangers_.empty() || strangers_.front().until_ns > clock_.now_ns()) break;
      }
      turn_away();
    }
    wait_for_strangers();
  });
}

void Tcp::welcome(const TcpConnection& connection) noexcept {
  const std::lock_guard lock(strangers_mutex_);
  strangers_.remove_if([&](const Stranger& stranger) {
    const auto held = stranger.connection.lock();
    return !held || held.get() == &connection;
  });
}

void Tcp::set_alarm(std::int64_t at_ns) {
  const std::lock_guard lock(timer_mutex_);
  timer_.expires_after(
      std::chrono::nanoseconds(std::max<std::int64_t>(0, at_ns - clock_.now_ns())));
  timer_.async_wait([this](const Failure& ended) {
    if (!ended) alarm_();
  });
}

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(
    const TcpOptions& options, const Clock& clock, std::function<void()> alarm) {
  return std::make_unique<Tcp>(options, clock, std::move(alarm));
}

}  // namespace troupe::net
