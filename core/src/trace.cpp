#include "actor_extra.hpp"
#include "seat.hpp"

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <span>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace troupe {

namespace {

struct Event {
  std::uint64_t began;
  std::uint64_t key;  // step; of a chunk, phase and number; `span_key`
  const char* name;
  const MessageType* type;  // null: a chunk of a kernel, or a span
  std::uint32_t actor;      // tells actors apart: the lower part of its address, in blocks
  std::uint32_t lasted;     // both in units of `tick_unit` ticks, and at most all ones
  std::uint32_t waited;
  std::uint16_t name_length;
  std::uint16_t sender;  // its seat
};
static_assert(sizeof(Event) == 48);
constexpr std::uint64_t span_key = ~std::uint64_t{0};

// A message remembers when it was sent in the upper bits and from which seat in the lower ones:
// then sending records nothing. Ticks are counted from the start, so 52 bits last for weeks.
constexpr unsigned seat_bits = 12;
constexpr std::uint16_t outside = (1u << seat_bits) - 1;
// Durations of up to 10 s, to 3 ns, where the counter runs at 3 GHz. Simulated ticks are counted in
// the same unit, so each reading is one unit later.
constexpr std::uint64_t tick_unit = 8;
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

std::uint32_t units(std::uint64_t began, std::uint64_t ended) noexcept {
  // A clock that was set to 0 meanwhile, by start(), shows nothing rather than an age.
  if (ended <= began) return 0;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>((ended - began) / tick_unit, ~std::uint32_t{0}));
}

std::uint32_t actor_number(const void* address) noexcept {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(address) / 16);
}

/// To three places, and with a point in every locale.
void append_number(std::string& out, double value) {
  char text[64];
  const std::to_chars_result end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 3);
  out.append(text, end.ptr);
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
      : seat(its_seat),
        events(std::make_unique_for_overwrite<Event[]>(events_max)),
        capacity(events_max) {}

  void add(const Event& event) noexcept {
    events[next] = event;
    if (++next == capacity) next = 0;
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  const std::uint32_t seat;
  const std::unique_ptr<Event[]> events;
  const std::size_t capacity;
  std::size_t next = 0;  // count % capacity, without the division
  std::atomic<std::uint64_t> count{0};
  std::uint64_t first = 0;  // the count when recording began; only the tracer's
};

Tracer::Tracer(System& system) : system_(system), simulated_(!system.clock().runs_by_itself()) {}

Tracer::~Tracer() = default;

bool Tracer::on() const noexcept {
  return system_.scheduler().tracer_.load(std::memory_order_relaxed) == this;
}

std::uint64_t Tracer::now() noexcept {
  // Simulated, every reading is a tick later than the one before: the order is what can be known.
  if (simulated_)
    return simulated_ticks_.fetch_add(tick_unit, std::memory_order_relaxed) + tick_unit;
  return real_ticks() - started_ticks_.load(std::memory_order_relaxed);
}

void Tracer::start(std::size_t events_max) {
  stop();
  const std::lock_guard lock(mutex_);
  Scheduler& scheduler = system_.scheduler();
  // Rings stay for the system's life and are not emptied, for a thread that is late may still write
  // to one: only what comes from now on counts.
  for (const std::unique_ptr<TraceRing>& ring : rings_)
    ring->first = ring->count.load(std::memory_order_acquire);
  events_max_.store(std::max<std::size_t>(events_max, 2 * late_events), std::memory_order_relaxed);
  // When a message ended while tracing was on before tells nothing now.
  const std::uint32_t seats = scheduler.seat_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < seats; ++i)
    scheduler.seats_[i]
        .load(std::memory_order_acquire)
        ->trace_tick.store(0, std::memory_order_relaxed);
  started_ns_ = real_ns();
  started_ticks_.store(real_ticks(), std::memory_order_relaxed);
  scheduler.tracer_.store(this, std::memory_order_release);
}

void Tracer::stop() noexcept { system_.scheduler().tracer_.store(nullptr); }

TraceRing* Tracer::ring_of(Seat& seat) noexcept {
  const std::size_t events_max = events_max_.load(std::memory_order_relaxed);
  if (seat.trace && seat.trace->capacity == events_max) [[likely]]
    return seat.trace;
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<TraceRing>& ring : rings_)
    if (ring->seat == seat.number && ring->capacity == events_max) return seat.trace = ring.get();
  rings_.push_back(std::make_unique<TraceRing>(seat.number, events_max));
  return seat.trace = rings_.back().get();
}

std::string_view Tracer::keep(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(name);
  return found != names_.end() ? *found : *names_.emplace(name).first;
}

void Tracer::sent(Message& message) noexcept {
  const Seat* seat = system_.scheduler().seat_of_this_thread();
  const std::uint64_t began = seat && seat->running.load(std::memory_order_relaxed)
                                  ? seat->trace_tick.load(std::memory_order_relaxed)
                                  : 0;
  message.trace_id_ = (began ? began : now()) << seat_bits | (seat ? seat->number : outside);
}

std::uint64_t Tracer::begin(Seat& seat) noexcept {
  if (const std::uint64_t tick = seat.trace_tick.load(std::memory_order_relaxed)) return tick;
  const std::uint64_t tick = now();
  seat.trace_tick.store(tick, std::memory_order_relaxed);
  return tick;
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
  seat.trace_tick.store(ended, std::memory_order_relaxed);
  const std::uint64_t sent = message.trace_id_ >> seat_bits;
  // Sent before tracing began, this time or another.
  const bool known = message.trace_id_ != 0 && sent <= began;
  ring_of(seat)->add(
      {.began = began,
       .key = type.trace_key ? type.trace_key(message) : 0,
       .name = name.data(),
       .type = &type,
       .actor = actor_number(&cell),
       .lasted = units(began, ended),
       .waited = known ? units(sent, began) : 0,
       .name_length = static_cast<std::uint16_t>(name.size()),
       .sender = static_cast<std::uint16_t>(known ? message.trace_id_ & outside : outside)});
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
       .key = std::uint64_t{phase} << 32 | chunk,
       .name = name.data(),
       .type = nullptr,
       .actor = actor_number(&work),
       .lasted = units(began, now()),
       .waited = 0,
       .name_length = static_cast<std::uint16_t>(name.size()),
       .sender = outside});
}

void Tracer::span(std::string_view name, std::uint64_t began) noexcept {
  Seat* seat = on() ? system_.scheduler().seat_of_this_thread() : nullptr;
  if (!seat) return;
  ring_of(*seat)->add(
      {.began = began,
       .key = span_key,
       .name = name.data(),
       .type = nullptr,
       .actor = 0,
       .lasted = units(began, now()),
       .waited = 0,
       .name_length = static_cast<std::uint16_t>(name.size()),
       .sender = outside});
}

Result<void> Tracer::write(Disk& disk, const std::string& path) {
  stop();
  const std::lock_guard lock(mutex_);
  // The counter's frequency, from how far it came while the clock ran. A simulated tick is shown as
  // a microsecond.
  const double us_per_tick = simulated_
                                 ? 1.0 / static_cast<double>(tick_unit)
                                 : static_cast<double>(real_ns() - started_ns_) / 1e3 /
                                       static_cast<double>(std::max<std::uint64_t>(now(), 1));
  Result<std::unique_ptr<DiskFile>> opened = disk.create(path);
  if (!opened) return std::move(opened).error();
  DiskFile& file = *opened.value();

  std::string out =
      "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
      "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"tid\":0,"
      "\"args\":{\"name\":\"troupe\"}}";
  const auto flush = [&](std::size_t when) -> Result<void> {
    if (out.size() < when) return {};
    Result<void> done = file.append(std::as_bytes(std::span(out)));
    out.clear();
    return done;
  };
  const auto begin = [&](std::string_view phase, std::uint32_t seat, double begin_us) {
    out += ",\n{\"ph\":\"";
    out += phase;
    out += "\",\"pid\":1,\"tid\":" + std::to_string(seat) + ",\"ts\":";
    append_number(out, begin_us);
  };
  std::uint64_t flows = 0;
  for (const std::unique_ptr<TraceRing>& ring : rings_) {
    const std::uint64_t count = ring->count.load(std::memory_order_acquire);
    if (count == ring->first) continue;  // of another size, or of a thread that did nothing
    const std::string seat = std::to_string(ring->seat);
    out += ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":" + seat +
           ",\"args\":{\"name\":\"seat " + seat + "\"}}";
    std::uint64_t i = ring->first;
    if (count - i > ring->capacity - late_events) i = count - ring->capacity + late_events;
    for (; i < count; ++i) {
      const Event& event = ring->events[i % ring->capacity];
      const double begin_us = static_cast<double>(event.began) * us_per_tick;
      const double us_per_unit = us_per_tick * static_cast<double>(tick_unit);
      begin("X", ring->seat, begin_us);
      out += ",\"dur\":";
      append_number(out, event.lasted * us_per_unit);
      out += ",\"name\":\"";
      append_escaped(out, {event.name, event.name_length});
      if (!event.type && event.key == span_key) {
        out += "\",\"cat\":\"span\"}";
      } else if (!event.type) {
        out += "\",\"cat\":\"kernel\",\"args\":{\"phase\":" + std::to_string(event.key >> 32) +
               ",\"chunk\":" + std::to_string(static_cast<std::uint32_t>(event.key)) + "}}";
      } else {
        const double waited_us = event.waited * us_per_unit;
        char actor[32];
        std::snprintf(actor, sizeof actor, "0x%" PRIx64, std::uint64_t{event.actor} * 16);
        out += ": ";
        append_escaped(out, event.type->name);
        out += "\",\"cat\":\"message\",\"args\":{\"actor\":\"";
        out += actor;
        out += "\",\"step\":" + std::to_string(event.key) + ",\"waited_us\":";
        append_number(out, waited_us);
        out += "}}";
        if (event.sender != outside) {
          // An arrow from the turn in which it was sent.
          const std::string id =
              ",\"name\":\"send\",\"cat\":\"flow\",\"id\":" + std::to_string(++flows) + "}";
          begin("s", event.sender, begin_us - waited_us);
          out += id;
          begin("f", ring->seat, begin_us);
          out += ",\"bp\":\"e\"" + id;
        }
      }
      if (Result<void> done = flush(1 << 20); !done) return done;
    }
  }
  out += "\n]}\n";
  return flush(0);
}

}  // namespace troupe
