#pragma once

#include <troupe/core/ring_buffer.hpp>
#include <troupe/core/system.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {

/// How much may be under way on a stream: sent and not yet taken by the consumer.
struct StreamWindow {
  std::uint64_t messages = 4;
  std::uint64_t bytes = std::uint64_t{1} << 62;
};

/// Permission to send more: what the consumer of a stream sends to its source.
struct StreamCredit {
  static constexpr MessageId id{9};
  static constexpr std::string_view name = "stream_credit";
  static constexpr bool bounded = true;  // by what was consumed

  std::uint32_t stream = 0;  ///< which, for a source actor with several
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  bool cancelled = false;  ///< the consumer wants no more, ever

  template <class V>
  void fields(V& visit) {
    visit.field("stream", stream);
    visit.field("messages", messages);
    visit.field("bytes", bytes);
    visit.field("cancelled", cancelled);
  }
};

enum class StreamItemKind : std::uint8_t {
  opened,  ///< the first: says where credit goes
  value,
  ended,   ///< the last, if all went well
  failed,  ///< the last, if not
};

/// One thing on a stream. Only values need credit; the rest is never held back but by the values
/// before it.
template <MessagePayload T>
struct StreamItem {
  /// On the wire, an item's number is its value's with the highest bit set.
  static constexpr MessageId id{static_cast<std::uint32_t>(T::id) | 0x8000'0000u};
  static constexpr std::string_view name = T::name;
  static constexpr bool bounded = true;  // by the consumer's credit

  StreamItemKind kind = StreamItemKind::value;
  std::uint32_t stream = 0;  ///< which, for a consumer actor with several
  std::uint64_t bytes = 0;   ///< what the value counts for
  std::optional<T> value;
  std::optional<Error> error;
  Address<StreamCredit> credit_to;  ///< with `opened`

  template <class V>
  void fields(V& visit) {
    visit.field("kind", kind);
    visit.field("stream", stream);
    visit.field("bytes", bytes);
    if (kind == StreamItemKind::opened) {
      visit.field("credit_to", credit_to);
    } else if (kind == StreamItemKind::value) {
      if (!value) value.emplace();
      visit.field("value", *value);
    } else if (kind == StreamItemKind::failed) {
      if (!error) error.emplace();
      visit.field("error", *error);
    }
  }
};

/// Bytes that a value counts for on a stream: what its `bytes()` says, or else the struct's own
/// size.
template <class T>
[[nodiscard]] std::uint64_t stream_bytes(const T& value) {
  if constexpr (requires { std::uint64_t(value.bytes()); }) {
    return value.bytes();
  } else {
    return sizeof(T);
  }
}

/// The sending end of a stream, a member of the actor that produces.
///
///     class Loader final : public Actor<StreamCredit> {
///      public:
///       explicit Loader(Address<StreamItem<Batch>> to) : out_(std::move(to), self()) {}
///      private:
///       void on(const StreamCredit& credit) {
///         out_.on(credit);
///         while (out_.ready_for_more()) { … out_.offer(next batch) or out_.end() … }
///       }
///       StreamSource<Batch> out_;
///     };
///
/// Threads   the actor's turn.
/// Order     values, then the end or the failure, as offered.
/// Bound     what is under way never exceeds the consumer's window, but that one value larger than
///           the whole window of bytes goes alone. offer() keeps what has no credit yet: produce
///           only while ready_for_more(), and this holds at most one value.
/// Ends      with end() or fail(). Its destructor, and an assignment to it, drop what has no credit
///           yet and fail the stream: with the error given to fail(), or else with `stopped`. So an
///           actor must not stop after end() before it is `delivered()`.
template <MessagePayload T>
class StreamSource {
 public:
  StreamSource() = default;
  StreamSource(Address<StreamItem<T>> to, Address<StreamCredit> credit_to, std::uint32_t number = 0)
      : to_(std::move(to)), number_(number) {
    StreamItem<T> opened;
    opened.kind = StreamItemKind::opened;
    opened.stream = number_;
    opened.credit_to = std::move(credit_to);
    to_.send(std::move(opened));
  }
  StreamSource(StreamSource&&) noexcept = default;
  StreamSource& operator=(StreamSource&& other) noexcept {
    if (this != &other) {
      std::destroy_at(this);
      std::construct_at(this, std::move(other));
    }
    return *this;
  }
  ~StreamSource() {
    if (!to_ || cancelled_ || delivered()) return;
    StreamItem<T> failed;
    failed.kind = StreamItemKind::failed;
    failed.stream = number_;
    failed.error = Error(
        ErrorCode::stopped,
        waiting_.empty() ? "the source of a stream was stopped"
                         : "the source of a stream was stopped before all was sent");
    while (!waiting_.empty()) {
      if (waiting_.front().error) failed.error = std::move(waiting_.front().error);
      waiting_.pop_front();
    }
    to_.send(std::move(failed));
  }

  /// Takes credit, and sends what waited for it.
  void on(const StreamCredit& credit) {
    messages_ += credit.messages;
    bytes_ += credit.bytes;
    bytes_under_way_ -= std::min(bytes_under_way_, credit.bytes);
    if (credit.cancelled) {
      cancelled_ = true;
      while (!waiting_.empty()) waiting_.pop_front();
    }
    flush();
  }

  /// Whether a value offered now would be sent at once, for all that is known of its size.
  [[nodiscard]] bool ready_for_more() const noexcept {
    return to_ && !closed_ && !cancelled_ && waiting_.empty() && messages_ > 0 &&
           (bytes_ > 0 || bytes_under_way_ == 0);
  }

  /// Sends the value, or keeps it until there is credit. Dropped when the consumer cancelled.
  void offer(T value) {
    if (cancelled_ || closed_) return;
    const std::uint64_t bytes = stream_bytes(value);
    StreamItem<T> item;
    item.stream = number_;
    item.bytes = bytes;
    item.value.emplace(std::move(value));
    if (waiting_.empty() && may_send(bytes)) return send(std::move(item));
    waiting_.push_back(std::move(item));
  }

  /// No more values: the consumer learns so after those offered before.
  void end() { close(StreamItemKind::ended, std::nullopt); }
  void fail(Error error) { close(StreamItemKind::failed, std::move(error)); }

  /// Whether the consumer wants no more.
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }
  /// Whether end() or fail() was called.
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  /// Whether it was closed, and everything up to its end is on its way.
  [[nodiscard]] bool delivered() const noexcept { return closed_ && waiting_.empty(); }
  /// For an actor's own `waits_for`.
  [[nodiscard]] std::string waits_for() const {
    if (cancelled_ || delivered()) return "nothing on its stream of " + std::string(T::name);
    if (waiting_.empty() && messages_ > 0)
      return "what it makes each " + std::string(T::name) + " of its stream from";
    return "credit on its stream of " + std::string(T::name) + ", with " +
           std::to_string(waiting_.size()) + " waiting";
  }
  /// Values offered that have no credit yet, and the end behind them.
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }
  /// Values that may be sent now, as far as their number goes.
  [[nodiscard]] std::uint64_t credit() const noexcept { return messages_; }

 private:
  bool may_send(std::uint64_t bytes) const noexcept {
    return messages_ > 0 && (bytes <= bytes_ || bytes_under_way_ == 0);
  }
  void send(StreamItem<T>&& item) {
    --messages_;
    // A value larger than the window takes all of it; what comes back then is capped the same way.
    const std::uint64_t taken = std::min(item.bytes, bytes_);
    item.bytes = taken;
    bytes_ -= taken;
    bytes_under_way_ += taken;
    to_.send(std::move(item));
  }
  void flush() {
    while (!waiting_.empty()) {
      StreamItem<T>& item = waiting_.front();
      if (item.kind == StreamItemKind::value) {
        if (!may_send(item.bytes)) return;
        send(std::move(item));
      } else {
        to_.send(std::move(item));
      }
      waiting_.pop_front();
    }
  }
  void close(StreamItemKind kind, std::optional<Error> error) {
    if (closed_) return;
    closed_ = true;
    StreamItem<T> item;
    item.kind = kind;
    item.stream = number_;
    item.error = std::move(error);
    waiting_.push_back(std::move(item));
    flush();
  }

  Address<StreamItem<T>> to_;
  std::uint32_t number_ = 0;
  bool closed_ = false;
  bool cancelled_ = false;
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t bytes_under_way_ = 0;
  RingBuffer<StreamItem<T>> waiting_;
};

/// The receiving end of a stream, a member of the actor that consumes.
///
///     class Trainer final : public Actor<StreamItem<Batch>, StepDone> {
///       void on(StreamItem<Batch>&& item) { in_.on(std::move(item)); work(); }
///       void on(const StepDone&) { work(); }
///       void work() {
///         while (a step is free) {
///           std::optional<Batch> batch = in_.take();
///           if (!batch) break;
///           …
///         }
///         if (in_.finished()) …
///       }
///       StreamSink<Batch> in_{{.messages = 4}};
///     };
///
/// Threads   the actor's turn.
/// Credit    the whole window when the stream opens, then back as values are taken.
template <MessagePayload T>
class StreamSink {
 public:
  explicit StreamSink(StreamWindow window = {}) : window_(window) {}
  StreamSink(StreamSink&&) noexcept = default;
  /// Cancels the stream that was received until now.
  StreamSink& operator=(StreamSink&& other) noexcept {
    if (this != &other) {
      std::destroy_at(this);
      std::construct_at(this, std::move(other));
    }
    return *this;
  }
  ~StreamSink() { cancel(); }

  void on(StreamItem<T>&& item) {
    switch (item.kind) {
      case StreamItemKind::opened:
        number_ = item.stream;
        credit_to_ = std::move(item.credit_to);
        if (cancelled_) return cancel_source();
        credit_to_.send(StreamCredit{number_, window_.messages, window_.bytes, false});
        break;
      case StreamItemKind::value:
        if (!cancelled_) arrived_.push_back(std::move(item));
        break;
      case StreamItemKind::failed:
        error_ = std::move(item.error);
        closed_ = true;
        credit_to_ = {};
        break;
      case StreamItemKind::ended:
        closed_ = true;
        credit_to_ = {};
        break;
    }
  }

  /// The oldest value that has come, and its credit back to the source; nothing when none is there.
  [[nodiscard]] std::optional<T> take() {
    if (arrived_.empty()) return std::nullopt;
    StreamItem<T> item = arrived_.take_front();
    if (credit_to_) credit_to_.send(StreamCredit{number_, 1, item.bytes, false});
    return std::move(item.value);
  }

  /// Whether all values were taken and no more will come.
  [[nodiscard]] bool finished() const noexcept { return closed_ && arrived_.empty(); }
  /// Why the stream failed, once finished; null if it ended well.
  [[nodiscard]] const Error* error() const noexcept { return error_ ? &*error_ : nullptr; }
  /// For an actor's own `waits_for`.
  [[nodiscard]] std::string waits_for() const {
    return (closed_ ? "nothing on its stream of " : "the next on its stream of ") +
           std::string(T::name);
  }
  /// Values that have come and were not taken.
  [[nodiscard]] std::size_t waiting() const noexcept { return arrived_.size(); }

  /// Wants no more: drops what has come, and tells the source.
  void cancel() {
    if (cancelled_ || closed_) return;
    cancelled_ = true;
    while (!arrived_.empty()) arrived_.pop_front();
    cancel_source();
  }

 private:
  void cancel_source() {
    if (credit_to_) credit_to_.send(StreamCredit{number_, 0, 0, true});
    credit_to_ = {};
    closed_ = true;
  }

  StreamWindow window_;
  std::uint32_t number_ = 0;
  bool closed_ = false;
  bool cancelled_ = false;
  std::optional<Error> error_;
  Address<StreamCredit> credit_to_;
  RingBuffer<StreamItem<T>> arrived_;
};

namespace detail {

/// What a reader outside the actors shares with the actor at its end of the stream.
template <class T>
struct ReaderState {
  std::mutex mutex;
  RingBuffer<StreamItem<T>> arrived;
  Address<StreamCredit> credit_to;
  std::optional<Error> error;
  bool cancelled = false;
  std::atomic<std::uint32_t> changes{0};  // values to be had, and one for the end
  std::uint32_t number = 0;
  bool closed = false;
};

template <class T>
class StreamReaderActor final : public Actor<StreamItem<T>> {
 public:
  static constexpr std::string_view name = "stream_reader";

  StreamReaderActor(std::shared_ptr<ReaderState<T>> state, StreamWindow window)
      : state_(std::move(state)), window_(window) {}
  ~StreamReaderActor() {
    // Nobody holds an address any more: no end will come.
    close(Error(ErrorCode::actor_down, "the source of a stream is gone and did not end it"));
  }

 private:
  friend ActorAccess;
  void on(StreamItem<T>&& item) {
    ReaderState<T>& s = *state_;
    if (item.kind == StreamItemKind::failed) return close(std::move(item.error));
    if (item.kind == StreamItemKind::ended) return close(std::nullopt);
    const std::lock_guard lock(s.mutex);
    if (item.kind == StreamItemKind::opened) {
      s.number = item.stream;
      if (s.cancelled) return item.credit_to.send(StreamCredit{s.number, 0, 0, true});
      s.credit_to = std::move(item.credit_to);
      s.credit_to.send(StreamCredit{s.number, window_.messages, window_.bytes, false});
    } else if (!s.cancelled) {
      s.arrived.push_back(std::move(item));
      s.changes.fetch_add(1, std::memory_order_release);
    }
  }
  void close(std::optional<Error> error) {
    ReaderState<T>& s = *state_;
    const std::lock_guard lock(s.mutex);
    if (s.closed) return;
    s.closed = true;
    s.error = std::move(error);
    s.credit_to = {};
    s.changes.fetch_add(1, std::memory_order_release);
  }

  std::shared_ptr<ReaderState<T>> state_;
  StreamWindow window_;
};

/// What a writer outside the actors shares with the actor that takes its credit.
struct WriterState {
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> bytes_under_way{0};
  std::atomic<bool> cancelled{false};
};

class StreamWriterActor final : public Actor<StreamCredit> {
 public:
  static constexpr std::string_view name = "stream_writer";
  explicit StreamWriterActor(std::shared_ptr<WriterState> state) : state_(std::move(state)) {}
  ~StreamWriterActor() {
    // The consumer let go of it, or ended before it heard of it: no credit will come.
    state_->cancelled.store(true, std::memory_order_relaxed);
  }

 private:
  friend ActorAccess;
  void on(const StreamCredit& credit) {
    WriterState& s = *state_;
    s.bytes.fetch_add(credit.bytes, std::memory_order_relaxed);
    const std::uint64_t under_way = s.bytes_under_way.load(std::memory_order_relaxed);
    s.bytes_under_way.fetch_sub(std::min(under_way, credit.bytes), std::memory_order_relaxed);
    if (credit.cancelled) s.cancelled.store(true, std::memory_order_relaxed);
    s.messages.fetch_add(credit.messages, std::memory_order_release);
  }
  std::shared_ptr<WriterState> state_;
};

}  // namespace detail

/// The receiving end of a stream for a thread outside the actors: a training loop, say.
///
///     StreamReader<Batch> batches(system, {.messages = 4});
///     system.spawn<Loader>(batches.address(), …);
///     while (std::optional<Batch> batch = batches.next()) step(*batch);
///
/// Threads   one at a time.
template <MessagePayload T>
class StreamReader {
 public:
  explicit StreamReader(System& system, StreamWindow window = {})
      : system_(&system),
        state_(std::make_shared<detail::ReaderState<T>>()),
        address_(system.spawn<detail::StreamReaderActor<T>>(state_, window)) {}
  StreamReader(StreamReader&&) noexcept = default;
  /// Cancels the stream that was read until now.
  StreamReader& operator=(StreamReader&& other) noexcept {
    if (this != &other) {
      std::destroy_at(this);
      std::construct_at(this, std::move(other));
    }
    return *this;
  }
  ~StreamReader() {
    if (state_) cancel();
  }

  /// What the source sends to. Given away once: a source that ends without a word is then noticed.
  [[nodiscard]] Address<StreamItem<T>> address() { return std::move(address_); }

  /// The next value, waiting for it and running actors meanwhile; nothing after the last. Throws
  /// the stream's error after the values that came before it, and what `System::wait_until` throws.
  [[nodiscard]] std::optional<T> next() {
    detail::ReaderState<T>& s = *state_;
    if (!ready()) wait();
    const std::lock_guard lock(s.mutex);
    if (s.cancelled) return std::nullopt;
    if (s.arrived.empty()) {  // so it is the end
      if (s.error) throw *s.error;
      return std::nullopt;
    }
    StreamItem<T> item = s.arrived.take_front();
    s.changes.fetch_sub(1, std::memory_order_relaxed);
    if (s.credit_to) s.credit_to.send(StreamCredit{s.number, 1, item.bytes, false});
    return std::move(item.value);
  }

  /// Whether next() would return without waiting.
  [[nodiscard]] bool ready() const noexcept {
    return state_->changes.load(std::memory_order_acquire) != 0;
  }

  /// Wants no more: drops what has come, and tells the source. next() returns nothing from then on,
  /// and throws nothing.
  void cancel() {
    detail::ReaderState<T>& s = *state_;
    const std::lock_guard lock(s.mutex);
    if (s.cancelled) return;
    s.cancelled = true;
    while (!s.arrived.empty()) s.arrived.pop_front();
    s.changes.store(1, std::memory_order_release);
    if (s.credit_to) s.credit_to.send(StreamCredit{s.number, 0, 0, true});
    s.credit_to = {};
  }

 private:
  void wait() {
    detail::ReaderState<T>& s = *state_;
    // Says whom it waits for, without allocating: a training loop waits here in each step.
    char what[128];
    {
      const std::lock_guard lock(s.mutex);
      const std::string_view from =
          s.credit_to ? s.credit_to.cell()->name() : "a source that has not opened it yet";
      std::snprintf(
          what,
          sizeof what,
          "the next %.*s on the stream of %.*s",
          static_cast<int>(T::name.size()),
          T::name.data(),
          static_cast<int>(from.size()),
          from.data());
    }
    system_->wait_until([&] { return s.changes.load(std::memory_order_acquire) != 0; }, what);
  }

  System* system_;
  std::shared_ptr<detail::ReaderState<T>> state_;
  Address<StreamItem<T>> address_;
};

/// The sending end of a stream for a thread outside the actors.
///
/// Threads   one at a time.
template <MessagePayload T>
class StreamWriter {
 public:
  StreamWriter(System& system, Address<StreamItem<T>> to)
      : system_(&system), state_(std::make_shared<detail::WriterState>()), to_(std::move(to)) {
    StreamItem<T> opened;
    opened.kind = StreamItemKind::opened;
    opened.credit_to = system.spawn<detail::StreamWriterActor>(state_);
    to_.send(std::move(opened));
  }
  StreamWriter(StreamWriter&&) noexcept = default;
  /// Fails the stream that was written until now, if it was not ended.
  StreamWriter& operator=(StreamWriter&& other) noexcept {
    if (this != &other) {
      std::destroy_at(this);
      std::construct_at(this, std::move(other));
    }
    return *this;
  }
  ~StreamWriter() {
    if (to_) fail(Error(ErrorCode::stopped, "the writer of a stream was destroyed"));
  }

  /// Sends a value, waiting for credit and running actors meanwhile. An error after end() or
  /// fail().
  /// @returns false when the consumer wants no more, or is gone.
  bool write(T value) {
    if (!to_) {
      throw Error(ErrorCode::invalid_argument, "a value was written to a stream that was ended")
          .hint("write before end() or fail(), or open another StreamWriter");
    }
    detail::WriterState& s = *state_;
    const std::uint64_t bytes = stream_bytes(value);
    system_->wait_until(
        [&] {
          if (s.cancelled.load(std::memory_order_relaxed)) return true;
          return s.messages.load(std::memory_order_acquire) > 0 &&
                 (bytes <= s.bytes.load(std::memory_order_relaxed) ||
                  s.bytes_under_way.load(std::memory_order_relaxed) == 0);
        },
        "credit on a stream");
    if (s.cancelled.load(std::memory_order_relaxed)) return false;
    StreamItem<T> item;
    item.bytes = std::min(bytes, s.bytes.load(std::memory_order_relaxed));
    item.value.emplace(std::move(value));
    s.messages.fetch_sub(1, std::memory_order_relaxed);
    s.bytes.fetch_sub(item.bytes, std::memory_order_relaxed);
    s.bytes_under_way.fetch_add(item.bytes, std::memory_order_relaxed);
    to_.send(std::move(item));
    return true;
  }
  void end() { close(StreamItemKind::ended, std::nullopt); }
  void fail(Error error) { close(StreamItemKind::failed, std::move(error)); }

 private:
  void close(StreamItemKind kind, std::optional<Error> error) {
    if (!to_) return;
    StreamItem<T> item;
    item.kind = kind;
    item.error = std::move(error);
    std::exchange(to_, {}).send(std::move(item));
  }

  System* system_;
  std::shared_ptr<detail::WriterState> state_;
  Address<StreamItem<T>> to_;
};

}  // namespace troupe
