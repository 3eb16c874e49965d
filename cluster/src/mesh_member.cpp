#include "mesh_member.hpp"

#include <troupe/core/clock.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace troupe::cluster {

namespace {

constexpr std::size_t ended_max = 4096;
// What a kept piece costs beside its bytes; so empty ones have a bound too.
constexpr std::uint64_t piece_overhead_bytes = 1024;
// Of a reason that another process gives.
constexpr std::size_t quoted_max = 300;

std::uint64_t cost_of(const MeshPiece& piece) { return piece.data.size() + piece_overhead_bytes; }
std::uint64_t cost_of(const MeshAbort& abort) {
  return abort.reason.message().size() + piece_overhead_bytes;
}

void count(std::atomic<std::uint64_t>& counter) noexcept {
  counter.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

MeshMember::MeshMember(const MeshOptions& options, std::shared_ptr<MeshCounters> counters)
    : options_(options),
      counters_(std::move(counters)),
      buffers_(std::make_shared<Buffers>(options.kept_bytes_max)) {
  group_.epoch = 0;
}

MeshMember::~MeshMember() {
  if (timer_ != 0) system().cancel(timer_);
  end_all(Error(ErrorCode::stopped, "this rank's collectives were stopped"));
}

std::string MeshMember::waits_for() const {
  std::string text;
  for (const auto& [key, entry] : entries_) {
    if (!entry.operation) continue;
    if (!text.empty()) text += "; ";
    text += named(key, entry.kind) + ": " + called(entry.operation->waits_for());
  }
  return text.empty() ? "a message" : text;
}

// --- calls of this process

void MeshMember::on(BeginCollective&& begin) {
  CollectiveCall& call = begin.call;
  const auto twice = [] {
    return Error(ErrorCode::invalid_argument, "its key was used before")
        .hint("a key serves once in an epoch: count the step or the bucket on");
  };
  if (const auto ended = ended_.find(call.key); ended != ended_.end())
    return answer(call, ended->second ? *ended->second : twice());
  if (lost_) return answer(call, *lost_);
  const auto at = entry_of(call.key);
  Entry& entry = at->second;
  if (entry.operation) return answer(call, twice());

  const auto ranks = static_cast<std::uint32_t>(group_.members.size());
  MeshOperation::Setting setting;
  setting.rank = group_.rank;
  setting.ranks = ranks;
  setting.fan_out = options_.fan_out;
  setting.terms = MeshOperation::terms_of(call, ranks, options_);
  if (call.shards != 0) setting.plan = plan_of(call.shards);
  try {
    entry.operation =
        std::make_unique<MeshOperation>(std::move(setting), std::move(call.inputs), *buffers_);
  } catch (const std::bad_alloc&) {
    const Error full(
        ErrorCode::out_of_memory,
        "no memory for a result of inputs of " + std::to_string(call.bytes) + " bytes");
    answer(call, full);
    return fail(at, full, Tell::others);
  }
  entry.kind = call.kind;
  entry.to = std::move(call.to);
  const std::int64_t now_ns = system().clock().now_ns();
  if (call.deadline_ns != 0) {
    entry.deadline_ns = call.deadline_ns;
    if (call.deadline_ns <= now_ns)
      return fail(at, Error(ErrorCode::timed_out, "its deadline had passed already"), Tell::others);
    arm(entry.deadline_ns);
  } else {
    entry.deadline_ns = now_ns + options_.timeout_ns;
    arm(entry.deadline_ns);
  }
  // Each in a turn of its own, like those to come.
  for (MeshPiece& piece : entry.early) self().send(std::move(piece));
  early_bytes_ -= entry.early_bytes;
  entry.early = {};
  entry.early_bytes = 0;
  advance(at);
}

void MeshMember::on(CancelCollective cancel) {
  const auto at = entries_.find(cancel.key);
  if (at == entries_.end() || !at->second.operation) return;
  fail(at, Error(ErrorCode::stopped, "it was canceled"), Tell::others);
}

void MeshMember::on(EnterGroup&& enter) {
  end_all(Error(
      ErrorCode::fenced,
      "the group of epoch " + std::to_string(group_.epoch) + " is over, that of epoch " +
          std::to_string(enter.group.epoch) + " has begun"));
  for (const GroupMember& member : group_.members)
    if (member.address != group_.members[group_.rank].address) demonitor(member.address, self());
  ended_.clear();
  ended_order_.clear();
  plans_.clear();
  lost_.reset();
  group_ = std::move(enter.group);
  windows_.assign(group_.members.size(), options_.window_bytes / options_.piece_bytes);
  for (const GroupMember& member : group_.members)
    if (member.address != group_.members[group_.rank].address) monitor(member.address, self());

  early_bytes_ = 0;
  for (auto& early : std::exchange(of_later_epochs_, {}))
    std::visit([&](auto& message) { self().send(std::move(message)); }, early);
}

// --- what other ranks send

/// Whether a message belongs to the group of now, and to one of its other members. Counts it, or
/// keeps it for a later group, if not.
template <class M>
bool MeshMember::is_of_this_epoch(M& message) {
  if (message.epoch < group_.epoch) {
    count(counters_->other_epoch);
    return false;
  }
  if (message.epoch == group_.epoch) return true;
  if constexpr (!std::is_same_v<M, const MeshTaken>) {
    if (early_bytes_ + cost_of(message) > options_.early_bytes_max) {
      count(counters_->dropped);
    } else {
      early_bytes_ += cost_of(message);
      of_later_epochs_.emplace_back(std::move(message));
    }
  } else {
    count(counters_->refused);  // nothing was sent in that epoch that could have been taken
  }
  return false;
}

void MeshMember::on(MeshPiece&& piece) {
  if (!is_of_this_epoch(piece)) return;
  if (ended_.contains(piece.key) || lost_) return count(counters_->late);
  const auto at = entry_of(piece.key);
  Entry& entry = at->second;
  if (!is_another(piece.from)) {
    count(counters_->refused);
    return fail(
        at,
        Error(
            ErrorCode::wire_corrupt,
            "a piece says that it is of rank " + std::to_string(piece.from) + " of " +
                std::to_string(group_.members.size())),
        Tell::others);
  }
  if (!entry.operation) {
    if (early_bytes_ + cost_of(piece) > options_.early_bytes_max) {
      count(counters_->dropped);
      return fail(
          at,
          Error(
              ErrorCode::overload,
              called(piece.from) + " is too far ahead: more than " +
                  std::to_string(options_.early_bytes_max) +
                  " bytes of operations that have not begun here"),
          Tell::others);
    }
    early_bytes_ += cost_of(piece);
    entry.early_bytes += cost_of(piece);
    entry.early.push_back(std::move(piece));
    return;
  }
  if (const auto fits = entry.operation->check(piece); !fits) {
    count(counters_->refused);
    return fail(at, blaming(piece.from, fits.error()), Tell::others);
  }
  entry.operation->take(piece);
  if (const std::uint64_t pieces = entry.operation->acknowledgement(piece.from, piece.phase))
    group_.members[piece.from].address.send(
        MeshTaken{group_.epoch, group_.rank, piece.key, piece.phase, pieces});
  advance(at);
}

void MeshMember::on(const MeshTaken& taken) {
  if (!is_of_this_epoch(taken)) return;
  const auto at = entries_.find(taken.key);
  if (at == entries_.end()) return count(counters_->late);
  if (!is_another(taken.from) || !at->second.operation) return count(counters_->refused);
  if (const auto fits =
          at->second.operation->acknowledged(taken.from, taken.phase, taken.pieces, windows_);
      !fits) {
    count(counters_->refused);
    return fail(at, blaming(taken.from, fits.error()), Tell::others);
  }
  advance(at);
}

void MeshMember::on(MeshAbort&& abort) {
  if (!is_of_this_epoch(abort)) return;
  if (!is_another(abort.from)) return count(counters_->refused);
  if (ended_.contains(abort.key) || lost_) return count(counters_->late);
  const Error reason(
      abort.reason.code(), "gave up: " + abort.reason.message().substr(0, quoted_max));
  fail(entry_of(abort.key), blaming(abort.from, reason), Tell::nobody);
}

void MeshMember::on(const Down& down) {
  for (std::uint32_t rank = 0; rank < group_.members.size(); ++rank) {
    if (rank == group_.rank || Address<>(group_.members[rank].address) != down.actor) continue;
    const std::string why =
        down.failed ? ": " + down.reason.message().substr(0, quoted_max) : " as it wished";
    lost_ = Error(ErrorCode::peer_down, called(rank) + " has ended" + why);
    return end_all(*lost_);
  }
}

void MeshMember::on(MeshTick) {
  timer_ = 0;
  const std::int64_t now_ns = system().clock().now_ns();
  std::int64_t next_ns = std::numeric_limits<std::int64_t>::max();
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto due = at++;  // the others stay where they are when one goes
    const auto& [key, entry] = *due;
    if (entry.deadline_ns > now_ns) {
      next_ns = std::min(next_ns, entry.deadline_ns);
    } else if (entry.operation) {
      const Error late(ErrorCode::timed_out, "is waited for, and the deadline has passed");
      fail(due, blaming(entry.operation->waits_for(), late), Tell::others);
    } else {
      fail(due, Error(ErrorCode::timed_out, "this rank did not begin it in time"), Tell::others);
    }
  }
  if (!entries_.empty()) arm(next_ns);
}

// --- an operation's life

MeshMember::Entries::iterator MeshMember::entry_of(const CollectiveKey& key) {
  const auto [at, fresh] = entries_.try_emplace(key);
  if (fresh) {
    at->second.deadline_ns = system().clock().now_ns() + options_.timeout_ns;
    arm(at->second.deadline_ns);
  }
  return at;
}

void MeshMember::advance(Entries::iterator at) {
  auto& [key, entry] = *at;
  while (auto next = entry.operation->next(windows_))
    group_.members[next->to].address.send(MeshPiece{
        group_.epoch,
        group_.rank,
        key,
        entry.operation->terms(),
        next->phase,
        next->index,
        std::move(next->data)});
  if (!entry.operation->done()) return;
  entry.to.send(CollectiveDone{key, entry.kind, false, {}, entry.operation->result()});
  end(at, std::nullopt);
}

void MeshMember::fail(Entries::iterator at, Error reason, Tell tell) {
  auto& [key, entry] = *at;
  if (tell == Tell::others)
    for (std::uint32_t rank = 0; rank < group_.members.size(); ++rank)
      if (rank != group_.rank)
        group_.members[rank].address.send(MeshAbort{group_.epoch, group_.rank, key, reason});
  if (entry.operation) {
    entry.to.send(CollectiveDone{key, entry.kind, true, about(key, entry.kind, reason), {}});
    end(at, std::nullopt);
  } else {
    end(at, std::move(reason));
  }
}

void MeshMember::end(Entries::iterator at, std::optional<Error> reason) {
  early_bytes_ -= at->second.early_bytes;
  if (at->second.operation) at->second.operation->leave(windows_);
  if (ended_.size() == ended_max) {
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
  }
  ended_order_.push_back(at->first);
  ended_.emplace(at->first, std::move(reason));
  entries_.erase(at);
}

void MeshMember::end_all(const Error& reason) {
  for (auto& [key, entry] : entries_) {
    if (!entry.operation) continue;
    entry.to.send(CollectiveDone{key, entry.kind, true, about(key, entry.kind, reason), {}});
  }
  // What came for later groups stays.
  for (const auto& [key, entry] : entries_) early_bytes_ -= entry.early_bytes;
  entries_.clear();
}

void MeshMember::answer(const CollectiveCall& call, const Error& reason) {
  call.to.send(CollectiveDone{call.key, call.kind, true, about(call.key, call.kind, reason), {}});
}

std::string MeshMember::named(const CollectiveKey& key, CollectiveKind kind) {
  return std::string(name_of(kind)) + " of step " + std::to_string(key.step) + ", bucket " +
         std::to_string(key.bucket);
}

std::string MeshMember::called(std::uint32_t rank) const {
  return "rank " + std::to_string(rank) + " (" + group_.members[rank].name + ")";
}

Error MeshMember::blaming(std::uint32_t rank, const Error& reason) const {
  return Error(reason.code(), called(rank) + " " + reason.message()).hint(reason.hint());
}

Error MeshMember::about(const CollectiveKey& key, CollectiveKind kind, const Error& reason) {
  return Error(reason.code(), named(key, kind) + ": " + reason.message())
      .op(name_of(kind))
      .step(static_cast<std::int64_t>(key.step))
      .hint(reason.hint());
}

bool MeshMember::is_another(std::uint32_t rank) const noexcept {
  return rank < group_.members.size() && rank != group_.rank;
}

// One timer for all, set anew only for an earlier deadline: with equal time-outs, once in as long
// as one lasts.
void MeshMember::arm(std::int64_t due_ns) {
  if (timer_ != 0 && timer_due_ns_ <= due_ns) return;
  if (timer_ != 0) system().cancel(timer_);
  timer_due_ns_ = due_ns;
  timer_ =
      system().after(due_ns - system().clock().now_ns(), Address<MeshTick>(self()), MeshTick{});
}

std::shared_ptr<const ReductionPlan> MeshMember::plan_of(std::uint32_t shards) {
  auto& plan = plans_[shards];
  if (!plan)
    plan = std::make_shared<const ReductionPlan>(
        static_cast<std::uint32_t>(group_.members.size()), shards);
  return plan;
}

}  // namespace troupe::cluster
