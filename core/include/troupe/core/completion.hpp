#pragma once

#include <troupe/core/address.hpp>
#include <troupe/core/error.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace troupe {

/// Tells that something begun earlier has ended: the answer to `Completion::notify`.
struct Completed {
  static constexpr MessageId id{1};
  static constexpr std::string_view name = "completed";

  std::uint64_t token = 0;              ///< as given to notify()
  bool failed = false;                  ///< it ended without doing what it was begun for
  std::shared_ptr<const Error> reason;  ///< why, where more is known than that

  template <class V>
  void fields(V& visit) {
    visit.field("token", token);
    visit.field("failed", failed);
    bool known = reason != nullptr;
    visit.field("known", known);
    if (!known) return;
    Error shown = reason ? *reason : Error();
    visit.field("reason", shown);
    reason = std::make_shared<const Error>(std::move(shown));
  }
};

/// Something that a device or service will finish once: a kernel launch, a transfer, a read.
///
/// Threads   finish() once, from any; everything else from any.
/// Memory    counted; waiters link through pooled blocks.
class Completion {
 public:
  explicit Completion(System& system) noexcept : system_(&system) {}
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

  [[nodiscard]] bool complete() const noexcept {
    return waiters_.load(std::memory_order_acquire) == closed();
  }
  /// Whether it ended without doing what it was begun for; only once complete.
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  /// Sends `Completed{token, failed}` once this is complete: now, if it is.
  void notify(Address<Completed> to, std::uint64_t token);

 protected:
  virtual ~Completion() = default;
  /// Marks it complete and tells all who wait. The last thing that its owner does to it.
  void finish(bool failed = false, std::shared_ptr<const Error> reason = {}) noexcept;
  /// Gives the object's memory back to where it came from.
  virtual void destroy() noexcept = 0;

  System* system_;

 private:
  struct Waiter;
  static Waiter* closed() noexcept { return reinterpret_cast<Waiter*>(std::uintptr_t{1}); }

  std::atomic<Waiter*> waiters_{nullptr};
  // Written before the waiters are closed.
  bool failed_ = false;
  std::shared_ptr<const Error> reason_;
  std::atomic<std::uint32_t> refs_{1};
};

/// A launch's receipt: null when it was complete at once.
using Ticket = Ref<Completion>;

/// Work cut into phases of independent chunks, run by the scheduler's workers: all chunks of a
/// phase, in any order, before the first of the next. The device derives it to hold what the chunks
/// need.
///
/// Chunks must not throw, wait or send to actors.
class Work : public Completion {
 public:
  static constexpr std::size_t phases_max = 4;

  explicit Work(System& system) noexcept : Completion(system) {}

  /// Chunks in each phase; to be set before the work is submitted. A phase of 0 chunks is skipped.
  std::uint32_t chunks[phases_max] = {};
  std::uint32_t phases = 0;

 protected:
  friend class Scheduler;
  friend class Tracer;
  virtual void run_chunk(std::uint32_t phase, std::uint32_t chunk) noexcept = 0;
  /// What traces call it; the text must outlive the system.
  [[nodiscard]] virtual std::string_view trace_name() const noexcept { return "kernel"; }
  /// After the last chunk, before those who wait are told.
  virtual void finished() noexcept {}

 private:
  // Phase in the upper half, the next chunk nobody has begun in the lower: claiming is one
  // addition, and a thread that comes late to a phase can only get a chunk of the phase it reads
  // here.
  std::atomic<std::uint64_t> claim_{0};
  std::atomic<std::uint32_t> chunks_left_{0};  // of the phase, not yet ended
  Work* next_work_ = nullptr;                  // in the scheduler's list
};

}  // namespace troupe
