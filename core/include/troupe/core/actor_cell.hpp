#pragma once

#include <troupe/core/mailbox.hpp>
#include <troupe/core/references.hpp>

#include <atomic>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {

class ActorCell;
class Error;
class System;
struct MessageType;

namespace detail {
struct ActorExtra;
}

/// What all actors of one class share; one constant for each class, made by `System::spawn`.
struct ActorClass {
  std::string_view name;
  std::uint32_t size;                                 ///< bytes of cell and body together
  void (*handle)(ActorCell& cell, Message& message);  ///< one turn's message; may throw
  void (*destroy_body)(ActorCell& cell) noexcept;
  /// Turns are worth far more than waking a thread: sleeping workers are woken to run them.
  bool heavy = false;
  /// What traces call this actor at the moment; null: by its name.
  std::string_view (*trace_name)(const ActorCell& cell) noexcept = nullptr;
  /// What it waits for, in words, for the report of a stall; null: for a message.
  std::string (*waits_for)(const ActorCell& cell) = nullptr;
  /// Stands for an actor in another process: `handle` gets every message, the runtime's own too.
  bool remote = false;
  /// Whether the actor takes messages of this type. A typed address need not ask; who brings a
  /// message from another process must.
  bool (*accepts)(const MessageType& type) noexcept = nullptr;
};

/// The part of an actor that outlives it: its count of addresses, its mailbox, where it stands. The
/// body, the user's actor, follows in the same block of the pool and is destroyed when the actor
/// stops; the block goes back when the last address is gone.
///
/// Threads   any, but for what the friends do in its turn.
/// Turns     the mailbox's idle mark is the lock: who takes the mark away runs the actor or
///           schedules it. So a scheduled actor needs no reference of its own.
/// Lifetime  see `BasicReferences`: the last reference either ends an idle actor at once or travels
///           through the mailbox as a message, behind all others.
class ActorCell {
 public:
  ActorCell(System& system, const ActorClass& actor_class) noexcept
      : class_(&actor_class), system_(&system) {}
  ActorCell(const ActorCell&) = delete;
  ActorCell& operator=(const ActorCell&) = delete;

  void add_ref() noexcept { references_.add(); }
  void release() noexcept {
    const References::Dropped dropped = references_.drop(mailbox_);
    if (dropped != References::Dropped::given_back) last_address_gone(dropped);
  }

  [[nodiscard]] System& system() const noexcept { return *system_; }
  [[nodiscard]] const ActorClass& actor_class() const noexcept { return *class_; }
  /// The name given at the spawn, or else its class's.
  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] bool stopped() const noexcept {
    return flags_.load(std::memory_order_acquire) & stopped_flag;
  }

  /// Whether whoever asks holds the only address. Certain for one who alone gives out others, and
  /// in the actor's turn.
  [[nodiscard]] bool only_one() const noexcept { return references_.only_one(); }

  /// Takes a message made by `make_message` and schedules the actor if it was idle.
  void deliver(Message& message) noexcept;

  /// Takes back a message made by `make_message` that is not to be delivered.
  void discard(Message& message) noexcept;

  template <class M>
  [[nodiscard]] Envelope<M>* make_message(M&& payload) {
    return new (allocate(sizeof(Envelope<M>))) Envelope<M>(static_cast<M&&>(payload));
  }

 private:
  friend class ActorBase;
  friend class System;
  friend class Scheduler;
  friend class Tracer;
  friend struct ActorAccess;
  friend struct ControlAccess;

  static constexpr std::uint32_t stopped_flag = 1;   // the body is gone
  static constexpr std::uint32_t stopping_flag = 2;  // to be stopped when the message is handled

  void* allocate(std::size_t bytes);  // from the pool of the thread that runs, or the system's
  void last_address_gone(References::Dropped dropped) noexcept;
  void stop_after_turn() noexcept { flags_.fetch_or(stopping_flag, std::memory_order_relaxed); }

  const ActorClass* class_;
  System* system_;
  Mailbox mailbox_;
  References references_;
  std::atomic<std::uint32_t> flags_{0};
  ActorCell* next_ = nullptr;  // in the injection queue or among those to be ended
  // Name, monitors, links, reason; null for most. Made at the spawn or in the actor's turn; others
  // may read the name, and the reason once it stopped.
  std::atomic<detail::ActorExtra*> extra_{nullptr};
};
static_assert(sizeof(void*) != 8 || sizeof(ActorCell) <= 56, "one cell for each op of a graph");

namespace detail {
template <class M>
Message* read_message(ActorCell& to, FieldVisitor& visitor) {
  M payload{};
  payload.fields(visitor);
  return to.make_message<M>(std::move(payload));
}
}  // namespace detail

}  // namespace troupe
