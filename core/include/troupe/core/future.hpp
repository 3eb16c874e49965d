#pragma once

#include <troupe/core/system.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {

/// Comes in place of an answer that will never come: who was asked ended, or dropped the question.
struct Unanswered {
  static constexpr MessageId id{8};
  static constexpr std::string_view name = "unanswered";

  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("reason", reason);
  }
};

namespace detail {

/// What a future and the actor that waits for its answer share.
template <class Reply>
class FutureState {
 public:
  FutureState(System& system, std::string_view asked) : system_(&system), asked_(asked) {}

  /// `asked` is the name of the one who was asked, for reports.
  static Ref<FutureState> make(System& system, std::string_view asked) {
    void* const block = system.allocate(sizeof(FutureState));
    return Ref<FutureState>::adopt(new (block) FutureState(system, asked));
  }
  void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    System& system = *system_;
    this->~FutureState();
    system.deallocate(this, sizeof(FutureState));
  }

  [[nodiscard]] System& system() const noexcept { return *system_; }
  [[nodiscard]] const std::string& asked() const noexcept { return asked_; }
  [[nodiscard]] bool settled() const noexcept { return settled_.load(std::memory_order_acquire); }

  void answer(Reply&& reply) {
    Address<Reply, Unanswered> to;  // let go of after the lock
    const std::lock_guard lock(mutex_);
    if (settled()) return;
    // Not kept: who takes the answer may hold the future.
    if ((to = std::exchange(then_, {}))) {
      to.send(std::move(reply));
    } else {
      reply_.emplace(std::move(reply));
    }
    settled_.store(true, std::memory_order_release);
  }
  void fail(Error reason) {
    Address<Reply, Unanswered> to;
    const std::lock_guard lock(mutex_);
    if (settled()) return;
    if ((to = std::exchange(then_, {}))) {
      to.send(Unanswered{std::move(reason)});
    } else {
      reason_.emplace(std::move(reason));
    }
    settled_.store(true, std::memory_order_release);
  }
  void then(Address<Reply, Unanswered> to) {
    const std::lock_guard lock(mutex_);
    if (!settled()) {
      then_ = std::move(to);
    } else if (reply_) {
      to.send(std::move(*reply_));
      reply_.reset();
    } else {
      to.send(Unanswered{reason_ ? *reason_ : passed_on()});
    }
  }
  /// Only after it settled.
  Reply& value() {
    if (reason_) throw *reason_;
    if (!reply_) throw passed_on();
    return *reply_;
  }

 private:
  static Error passed_on() {
    return Error(ErrorCode::invalid_argument, "the answer was passed on by then()")
        .hint("a future's answer is taken once: by get() or by then()");
  }

  System* system_;
  const std::string asked_;
  std::atomic<std::uint32_t> refs_{1};
  std::atomic<bool> settled_{false};
  std::mutex mutex_;
  std::optional<Reply> reply_;
  std::optional<Error> reason_;
  Address<Reply, Unanswered> then_;
};

/// Takes one answer. When all who could send it are gone, so is this actor, and the future fails.
template <class Reply>
class Answer final : public Actor<Reply> {
 public:
  static constexpr std::string_view name = "answer";

  explicit Answer(Ref<FutureState<Reply>> state) : state_(std::move(state)) {}
  ~Answer() {
    state_->fail(Error(
        ErrorCode::actor_down,
        "the question was dropped, or the actor asked ended before it answered"));
  }

 private:
  friend ActorAccess;
  void on(Reply&& reply) {
    state_->answer(std::move(reply));
    this->stop();
  }

  Ref<FutureState<Reply>> state_;
};

}  // namespace detail

/// An answer that is on its way; see `ask`.
///
/// Threads   one at a time.
/// Once      the answer is taken by get() or passed on by then(), not both.
template <MessagePayload Reply>
class Future {
 public:
  Future() = default;
  explicit Future(Ref<detail::FutureState<Reply>> state) : state_(std::move(state)) {}

  /// Whether there is an answer or the certainty that none will come.
  [[nodiscard]] bool ready() const noexcept { return state_->settled(); }

  /// Waits for the answer, running actors meanwhile. Throws `actor_down` when none will come,
  /// `stalled` when nothing can run any more, `inside_actor` within a turn.
  Reply& get() {
    if (!ready()) {
      const std::string what = "the answer " + std::string(Reply::name) + " of " + state_->asked();
      state_->system().wait_until([this] { return ready(); }, what);
    }
    return state_->value();
  }

  /// Has the answer, or `Unanswered`, sent to an actor.
  void then(Address<Reply, Unanswered> to) { state_->then(std::move(to)); }

 private:
  Ref<detail::FutureState<Reply>> state_;
};

/// Asks an actor. `question(reply_to)` makes the message from the address that the answer goes to:
///
///     Future<Total> total = ask<Total>(counter, [](Address<Total> to) { return Ask{to}; });
///     use(total.get());
template <MessagePayload Reply, class... Ms, class Question>
[[nodiscard]] Future<Reply> ask(const Address<Ms...>& to, Question&& question) {
  System& system = to.cell()->system();
  auto state = detail::FutureState<Reply>::make(system, to.cell()->name());
  to.send(question(Address<Reply>(system.spawn<detail::Answer<Reply>>(state))));
  return Future<Reply>(std::move(state));
}

}  // namespace troupe
