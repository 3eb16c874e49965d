#include "actor_extra.hpp"
#include "seat.hpp"

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <span>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace troupe {

namespace {

enum class EventKind : std::uint8_t { message, chunk, counter, span };

struct Event {
  std::uint64_t began;
  std::uint64_t ended;
  std::uint64_t sent;  // when and where; see sent()
  std::uint64_t key;   // step; phase and chunk; a counter's value
  const void* actor;
  const char* name;
  const MessageType* type;
  std::uint32_t name_length;
  EventKind kind;
};

// A message remembers when it was sent in the upper bits and from which seat in the lower ones:
// then sending records nothing. Ticks are counted from the start, so 52 bits last for weeks.
constexpr unsigned seat_bits = 12;
constexpr std::uint64_t outside = (1u << seat_bits) - 1;
// A thread that is just recording when tracing stops may write that many more events.
constexpr std::uint64_t late_events = 16;

std::uint64_t real_ticks() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

std::int64_t real_ns() noexcept {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(c));
      out += code;
    } else {
      out += c;
    }
  }
}

}  // namespace

/// What one seat recorded. Written by the thread that sits there only.
struct TraceRing {
  TraceRing(std::uint32_t its_seat, std::size_t events_max)
      : seat(its_seat), events(std::make_unique<Event[]>(events_max)), capacity(events_max) {}

  void add(const Event& event) noexcept {
    const std::uint64_t index = count.load(std::memory_order_relaxed);
    events[index % capacity] = event;
    count.store(index + 1, std::memory_order_release);
  }

  const std::uint32_t seat;
  std::unique_ptr<Event[]> events;
  const std::size_t capacity;
  std::atomic<std::uint64_t> count{0};
};

Tracer::Tracer(System& system) : system_(system), simulated_(!system.clock().runs_by_itself()) {}

Tracer::~Tracer() = default;

bool Tracer::on() const noexcept {
  return system_.scheduler().tracer_.load(std::memory_order_relaxed) == this;
}

std::uint64_t Tracer::now() noexcept {
  // Simulated, every reading is a tick later than the one before: the order is what can be known.
  if (simulated_) return simulated_ticks_.fetch_add(1, std::memory_order_relaxed) + 1;
  return real_ticks() - started_ticks_;
}

void Tracer::start(std::size_t events_max) {
  stop();
  const std::lock_guard lock(mutex_);
  Scheduler& scheduler = system_.scheduler();
  // Rings stay for the system's life, for a thread that is late may still write to one.
  for (const std::unique_ptr<TraceRing>& ring : rings_) ring->count.store(0);
  events_max_ = std::max<std::size_t>(events_max, 2 * late_events);
  started_ns_ = real_ns();
  started_ticks_ = real_ticks();
  scheduler.tracer_.store(this, std::memory_order_release);
}

void Tracer::stop() noexcept { system_.scheduler().tracer_.store(nullptr); }

TraceRing* Tracer::ring_of(Seat& seat) noexcept {
  if (seat.trace) [[likely]]
    return seat.trace;
  const std::lock_guard lock(mutex_);
  rings_.push_back(std::make_unique<TraceRing>(seat.number, events_max_));
  return seat.trace = rings_.back().get();
}

std::string_view Tracer::keep(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(name);
  return found != names_.end() ? *found : *names_.emplace(name).first;
}

void Tracer::sent(Message& message) noexcept {
  const Seat* seat = system_.scheduler().seat_of_this_thread();
  message.trace_id_ = now() << seat_bits | (seat ? seat->number : outside);
}

void Tracer::handled(
    Seat& seat, const ActorCell& cell, const Message& message, std::uint64_t began) noexcept {
  std::string_view name = cell.class_->name;
  if (cell.class_->trace_name) {
    name = cell.class_->trace_name(cell);
  } else if (detail::ActorExtra* extra = cell.extra_.load(std::memory_order_relaxed)) {
    std::string_view& kept = extra->traced_name;
    if (kept.empty() && !extra->name.empty()) kept = keep(extra->name);
    if (!kept.empty()) name = kept;
  }
  const MessageType& type = message.type();
  const std::uint64_t ended = now();
  seat.trace_tick = ended;
  ring_of(seat)->add(
      {.began = began,
       .ended = ended,
       .sent = message.trace_id_,
       .key = type.trace_key ? type.trace_key(message) : 0,
       .actor = &cell,
       .name = name.data(),
       .type = &type,
       .name_length = static_cast<std::uint32_t>(name.size()),
       .kind = EventKind::message});
}

void Tracer::ran(
    Seat& seat,
    const Work& work,
    std::uint32_t phase,
    std::uint32_t chunk,
    std::uint64_t began) noexcept {
  const std::string_view name = work.trace_name();
  ring_of(seat)->add(
      {.began = began,
       .ended = now(),
       .sent = 0,
       .key = std::uint64_t{phase} << 32 | chunk,
       .actor = &work,
       .name = name.data(),
       .type = nullptr,
       .name_length = static_cast<std::uint32_t>(name.size()),
       .kind = EventKind::chunk});
}

void Tracer::counter(std::string_view name, double value) noexcept {
  Seat* seat = on() ? system_.scheduler().seat_of_this_thread() : nullptr;
  if (!seat) return;
  const std::uint64_t when = now();
  ring_of(*seat)->add(
      {.began = when,
       .ended = when,
       .sent = 0,
       .key = std::bit_cast<std::uint64_t>(value),
       .actor = nullptr,
       .name = name.data(),
       .type = nullptr,
       .name_length = static_cast<std::uint32_t>(name.size()),
       .kind = EventKind::counter});
}

void Tracer::span(std::string_view name, std::uint64_t began) noexcept {
  Seat* seat = on() ? system_.scheduler().seat_of_this_thread() : nullptr;
  if (!seat) return;
  ring_of(*seat)->add(
      {.began = began,
       .ended = now(),
       .sent = 0,
       .key = 0,
       .actor = nullptr,
       .name = name.data(),
       .type = nullptr,
       .name_length = static_cast<std::uint32_t>(name.size()),
       .kind = EventKind::span});
}

Result<void> Tracer::write(Disk& disk, const std::string& path) {
  stop();
  const std::lock_guard lock(mutex_);
  // The counter's frequency, from how far it came while the clock ran. A simulated tick is shown as
  // a microsecond.
  const double us_per_tick =
      simulated_
          ? 1.0
          : static_cast<double>(real_ns() - started_ns_) / 1e3 /
                static_cast<double>(std::max<std::uint64_t>(real_ticks() - started_ticks_, 1));
  Result<std::unique_ptr<DiskFile>> opened = disk.create(path);
  if (!opened) return std::move(opened).error();
  DiskFile& file = *opened.value();

  std::string out =
      "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
      "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"tid\":0,"
      "\"args\":{\"name\":\"troupe\"}}";
  char text[256];
  const auto flush = [&](std::size_t when) -> Result<void> {
    if (out.size() < when) return {};
    Result<void> done = file.append(std::as_bytes(std::span(out)));
    out.clear();
    return done;
  };
  std::uint64_t flows = 0;
  for (const std::unique_ptr<TraceRing>& ring : rings_) {
    std::snprintf(
        text,
        sizeof text,
        ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%u,"
        "\"args\":{\"name\":\"seat %u\"}}",
        ring->seat,
        ring->seat);
    out += text;
    const std::uint64_t count = ring->count.load(std::memory_order_acquire);
    const std::uint64_t first = count < ring->capacity ? 0 : count - ring->capacity + late_events;
    for (std::uint64_t i = first; i < count; ++i) {
      const Event& event = ring->events[i % ring->capacity];
      const double begin_us = static_cast<double>(event.began) * us_per_tick;
      const double long_us = static_cast<double>(event.ended - event.began) * us_per_tick;
      const std::string_view name(event.name, event.name_length);
      switch (event.kind) {
        case EventKind::counter:
          out += ",\n{\"ph\":\"C\",\"name\":\"";
          append_escaped(out, name);
          std::snprintf(
              text,
              sizeof text,
              "\",\"pid\":1,\"ts\":%.3f,\"args\":{\"value\":%.9g}}",
              begin_us,
              std::bit_cast<double>(event.key));
          out += text;
          break;
        case EventKind::span:
        case EventKind::chunk:
          out += ",\n{\"ph\":\"X\",\"name\":\"";
          append_escaped(out, name);
          std::snprintf(
              text,
              sizeof text,
              "\",\"cat\":\"%s\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f",
              event.kind == EventKind::span ? "span" : "kernel",
              ring->seat,
              begin_us,
              long_us);
          out += text;
          if (event.kind == EventKind::chunk) {
            std::snprintf(
                text,
                sizeof text,
                ",\"args\":{\"phase\":%u,\"chunk\":%u}",
                static_cast<unsigned>(event.key >> 32),
                static_cast<unsigned>(event.key));
            out += text;
          }
          out += '}';
          break;
        case EventKind::message: {
          out += ",\n{\"ph\":\"X\",\"name\":\"";
          append_escaped(out, name);
          out += ": ";
          append_escaped(out, event.type->name);
          const double sent_us = static_cast<double>(event.sent >> seat_bits) * us_per_tick;
          std::snprintf(
              text,
              sizeof text,
              "\",\"cat\":\"message\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"
              "\"args\":{\"actor\":\"%p\",\"step\":%" PRIu64 ",\"waited_us\":%.3f}}",
              ring->seat,
              begin_us,
              long_us,
              event.actor,
              event.key,
              event.sent ? std::max(begin_us - sent_us, 0.0) : 0.0);
          out += text;
          if (event.sent == 0 || (event.sent & outside) == outside) break;
          ++flows;
          std::snprintf(
              text,
              sizeof text,
              ",\n{\"ph\":\"s\",\"name\":\"send\",\"cat\":\"flow\",\"pid\":1,\"tid\":%u,"
              "\"ts\":%.3f,\"id\":%" PRIu64 "}",
              static_cast<unsigned>(event.sent & outside),
              sent_us,
              flows);
          out += text;
          std::snprintf(
              text,
              sizeof text,
              ",\n{\"ph\":\"f\",\"bp\":\"e\",\"name\":\"send\",\"cat\":\"flow\",\"pid\":1,"
              "\"tid\":%u,\"ts\":%.3f,\"id\":%" PRIu64 "}",
              ring->seat,
              begin_us,
              flows);
          out += text;
          break;
        }
      }
      if (Result<void> done = flush(1 << 20); !done) return done;
    }
  }
  out += "\n]}\n";
  return flush(0);
}

}  // namespace troupe
