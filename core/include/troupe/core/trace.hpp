#pragma once

#include <troupe/core/disk.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

class ActorCell;
class Message;
class System;
class Work;
struct Seat;
struct TraceRing;

/// Records what ran where and why: each message, when sent, begun and ended, by whom and for which
/// step; each chunk of a kernel; spans of the caller's. Compiled
/// in, off until start().
///
/// Threads   start(), stop() and write() one at a time; the rest from any.
/// Memory    a ring of `events_max` for each thread that runs actors, 48 bytes an event; the newest
///           stay. A ring of another size is kept for the next time it is asked for.
/// Times     what an actor sends in a turn counts as sent when that message's turn began, so the
///           time a message waited holds what its sender still did. What threads send from outside
///           of turns has its own time.
/// Cost      off: one branch that is never taken. On: one reading of the cycle counter and one
///           record a message.
class Tracer {
 public:
  explicit Tracer(System& system);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  /// Forgets what was recorded and begins.
  void start(std::size_t events_max = std::size_t{1} << 18);
  void stop() noexcept;
  [[nodiscard]] bool on() const noexcept;

  /// Writes what was recorded as a Chrome trace, which Perfetto (ui.perfetto.dev) opens: one track
  /// for each thread, arrows from who sent to who handled. Stops recording.
  Result<void> write(Disk& disk, const std::string& path);

  /// The time in ticks since start(), of the processor's counter.
  [[nodiscard]] std::uint64_t now() noexcept;
  /// Something that began at `began`, as now() told, and ends now, such as a training step. Does
  /// nothing while tracing is off or when this thread runs no actors; `name` must outlive the
  /// system.
  void span(std::string_view name, std::uint64_t began) noexcept;
  /// The same text, for as long as the system lives.
  [[nodiscard]] std::string_view keep(std::string_view name);

 private:
  friend class ActorCell;
  friend class Scheduler;

  void sent(Message& message) noexcept;
  /// When the message that this seat takes now begins.
  [[nodiscard]] std::uint64_t begin(Seat& seat) noexcept;
  void handled(
      Seat& seat, const ActorCell& cell, const Message& message, std::uint64_t began) noexcept;
  void ran(
      Seat& seat,
      const Work& work,
      std::uint32_t phase,
      std::uint32_t chunk,
      std::uint64_t began) noexcept;

  TraceRing* ring_of(Seat& seat) noexcept;

  System& system_;
  const bool simulated_;
  std::atomic<std::uint64_t> simulated_ticks_{0};
  std::atomic<std::uint64_t> started_ticks_{0};
  std::int64_t started_ns_ = 0;
  std::atomic<std::size_t> events_max_{0};
  std::mutex mutex_;
  std::vector<std::unique_ptr<TraceRing>> rings_;
  std::set<std::string, std::less<>> names_;  // kept: of actors with a name of their own, of spans
};

}  // namespace troupe
