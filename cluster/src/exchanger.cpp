#include "receipt.hpp"

#include <troupe/cluster/exchanger.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::cluster {

namespace {

constexpr std::size_t kept_bytes_max = 256U << 20;

}  // namespace

/// One exchange under way: waits for the elements, where a device has yet to give them, then for
/// the others.
class Exchanging final : public Actor<Completed, CollectiveDone> {
 public:
  static constexpr std::string_view name = "cluster.exchange";

  Exchanging(
      std::shared_ptr<MeshExchanger> owner,
      CollectiveKey key,
      std::vector<Bytes> inputs,
      Value total,
      Ref<Receipt> sum)
      : owner_(std::move(owner)),
        key_(key),
        inputs_(std::move(inputs)),
        total_(std::move(total)),
        sum_(std::move(sum)),
        began_ns_(system().clock().now_ns()) {}
  ~Exchanging() {
    if (sum_) end(Error(ErrorCode::stopped, "the exchange was given up"));
  }

  /// In its own turn, or before anybody else has its address.
  void begin(std::size_t awaited) {
    awaited_ = awaited;
    if (awaited_ == 0) reduce();
  }

 private:
  friend ActorAccess;

  void on(const Completed& completed) {
    if (completed.failed) failed_ = true;
    if (--awaited_ > 0) return;
    if (failed_) return end(Error(ErrorCode::device_lost, "the device lost what was to be summed"));
    reduce();
  }
  void reduce() {
    owner_->contributed(key_.step, system().clock().now_ns());
    try {
      const ReduceOptions how{.dtype = total_->dtype(), .shards = owner_->shards_};
      const std::lock_guard lock(owner_->mesh_->mutex);
      // Who closes it then has the mesh leave the group; alone, a process would sum its own shards.
      owner_->check_open();
      owner_->mesh_->collectives.all_reduce(key_, std::move(inputs_), how, self());
    } catch (...) {
      end(current_error());
    }
  }
  void on(CollectiveDone&& done) {
    if (done.failed) return end(std::move(done.error));
    try {
      total_->device().write(total_, done.result.span());
    } catch (...) {
      return end(current_error());
    }
    owner_->summed(done.result.size(), began_ns_, system().clock().now_ns());
    total_.reset();
    std::exchange(sum_, nullptr)->end();
    stop();
  }
  void end(Error error) {
    total_.reset();
    std::exchange(sum_, nullptr)->fail(std::move(error));
    stop();
  }

  std::shared_ptr<MeshExchanger> owner_;
  CollectiveKey key_;
  std::vector<Bytes> inputs_;
  Value total_;
  Ref<Receipt> sum_;
  std::int64_t began_ns_;
  std::size_t awaited_ = 0;
  bool failed_ = false;
};

MeshExchanger::MeshExchanger(
    System& system, std::shared_ptr<Mesh> mesh, std::uint32_t shards, OwnTime own_time)
    : system_(system),
      mesh_(std::move(mesh)),
      shards_(shards),
      own_time_(std::move(own_time)),
      buffers_(std::make_shared<Buffers>(kept_bytes_max)) {}

Ticket MeshExchanger::exchange(
    std::uint32_t number, std::span<const Value> inputs, const Value& total) {
  CollectiveKey key;
  {
    const std::lock_guard lock(mutex_);
    if (calls_.size() <= number) calls_.resize(number + 1);
    key = {calls_[number]++, number};
  }
  // A copy, for the tensors' memory is written again in the next step, and what is on its way to a
  // peer may have to be sent again.
  const std::size_t bytes = total->meta().bytes();
  std::vector<Bytes> contributions;
  std::vector<Ticket> tickets;
  for (std::size_t i = 0; i < inputs.size();) {
    const std::shared_ptr<std::byte> block = buffers_->take(bytes);
    for (std::size_t at = 0; i < inputs.size() && (at < bytes || bytes == 0); ++i) {
      const std::size_t size = inputs[i]->meta().bytes();
      Ticket ticket =
          inputs[i]->device().read(inputs[i], [block, at](std::span<const std::byte> elements) {
            if (!elements.empty()) std::memcpy(block.get() + at, elements.data(), elements.size());
          });
      if (ticket) tickets.push_back(std::move(ticket));
      at += size;
    }
    contributions.emplace_back(std::span<const std::byte>(block.get(), bytes), block);
  }
  const auto sum = Ref<Receipt>::adopt(new Receipt(system_));
  const auto exchanging = system_.spawn<Exchanging>(
      shared_from_this(), key, std::move(contributions), total, Ref<Receipt>(sum));
  // Nobody else has its address yet.
  ActorAccess::body_if<Exchanging>(*exchanging.cell())->begin(tickets.size());
  for (const Ticket& ticket : tickets) ticket->notify(Address<Completed>(exchanging.cell()), 0);
  return Ticket::share(sum.get());
}

/// What a step takes of this process is known when the next one's first contribution is made: until
/// then there may be another one of its own.
void MeshExchanger::contributed(std::uint64_t step, std::int64_t now_ns) {
  std::uint64_t over = 0;
  std::int64_t own_ns = 0;
  {
    const std::lock_guard lock(mutex_);
    if (step != step_) {
      over = std::exchange(step_, step);
      own_ns = contributed_ns_ - begun_ns_;
      begun_ns_ = summed_ns_;
      counters_.waited_ns += summed_ns_ - contributed_ns_;
    }
    contributed_ns_ = now_ns;
    ++under_way_;
  }
  // The first step began nobody knows when.
  if (over > 0 && own_time_) own_time_(over, own_ns);
}

void MeshExchanger::summed(std::size_t bytes, std::int64_t began_ns, std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  ++counters_.exchanges;
  counters_.bytes += bytes;
  counters_.ns += now_ns - began_ns;
  summed_ns_ = now_ns;
  --under_way_;
}

void MeshExchanger::close(Error reason) {
  const std::lock_guard lock(mutex_);
  if (!closed_) closed_ = std::move(reason);
}

void MeshExchanger::check_open() const {
  const std::lock_guard lock(mutex_);
  if (closed_) throw Error(*closed_);
}

MeshExchanger::Counters MeshExchanger::counters() const {
  const std::lock_guard lock(mutex_);
  Counters counters = counters_;
  // Of the step that is not followed by one yet.
  if (under_way_ == 0 && counters.exchanges > 0) counters.waited_ns += summed_ns_ - contributed_ns_;
  return counters;
}

nn::ShardSum make_shard_sum(
    std::shared_ptr<Exchanger> exchanger, const nn::Shards& shards, std::uint64_t bucket_bytes) {
  return [=](std::span<const std::vector<Tensor>> lists) {
    std::vector<std::vector<Tensor>> contributions;
    for (const nn::ShardRange& range : nn::ranges_here(shards))
      contributions.push_back(nn::sum_of_range(range, lists, shards.first));
    const std::vector<Tensor>& like = contributions[0];
    // From the last on, for the last layers' gradients are made first.
    std::vector<Tensor> sums(like.size());
    std::uint32_t number = 0;
    for (std::size_t end = like.size(); end > 0;) {
      std::size_t begin = end;
      std::uint64_t bytes = 0;
      while (begin > 0 && like[begin - 1].dtype() == like[end - 1].dtype() &&
             (begin == end || bytes + like[begin - 1].meta().bytes() <= bucket_bytes))
        bytes += like[--begin].meta().bytes();
      std::vector<std::vector<Tensor>> bucket;
      for (const std::vector<Tensor>& contribution : contributions)
        bucket.emplace_back(
            contribution.begin() + static_cast<std::ptrdiff_t>(begin),
            contribution.begin() + static_cast<std::ptrdiff_t>(end));
      std::vector<Tensor> parts = troupe::exchange(exchanger, number++, bucket);
      std::move(parts.begin(), parts.end(), sums.begin() + static_cast<std::ptrdiff_t>(begin));
      end = begin;
    }
    return sums;
  };
}

}  // namespace troupe::cluster
