#pragma once

#include "batch_memory.hpp"
#include "collate.hpp"
#include "sample_order.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/core/stream.hpp>
#include <troupe/core/system.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/tensor/device.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace troupe::data {

/// A batch that is made.
struct Decoded {
  static constexpr MessageId id{301};
  static constexpr std::string_view name = "decoded";

  Batch batch;

  template <class V>
  void fields(V& visit) {
    visit.field("batch", batch);
  }
};

/// Asks a decoder for one batch.
struct Decode {
  static constexpr MessageId id{302};
  static constexpr std::string_view name = "decode";

  std::int64_t epoch = 0;
  std::int64_t batch = 0;
  std::shared_ptr<const std::vector<std::uint32_t>> order;
  std::uint32_t first_sample = 0;  ///< in `order`
  std::uint32_t samples = 0;
  std::int64_t rows = 0;       ///< samples of the whole batch
  std::int64_t first_row = 0;  ///< of these in it
  Address<Decoded> to;

  template <class V>
  void fields(V& visit) {
    visit.field("epoch", epoch);
    visit.field("batch", batch);
    visit.field("first_sample", first_sample);
    visit.field("samples", samples);
    visit.field("rows", rows);
    visit.field("first_row", first_row);
    visit.local("order");
    visit.field("to", to);
  }
};

/// Asks the sampler to have the next batches made.
struct Begin {
  static constexpr MessageId id{303};
  static constexpr std::string_view name = "begin";

  std::int64_t batches = 0;
  Address<Decoded> to;

  template <class V>
  void fields(V& visit) {
    visit.field("batches", batches);
    visit.field("to", to);
  }
};

using DataMessages = MessageList<300, 399, Batch, Decoded, Decode, Begin>;
static_assert(DataMessages::size == 4);

/// What so many samples are, one after another.
inline Meta batch_of(std::int64_t samples, Meta sample) {
  sample.shape.insert(0, samples);
  return sample;
}

/// Makes batches: the work of a loader. One of several that share what they read.
///
/// Receives  `Decode` from the sampler of any epoch.
/// Sends     `Decoded`.
/// Stops     with what its device throws, of which the prefetchers that watch it tell.
class Decoder final : public Actor<Decode> {
 public:
  static constexpr std::string_view name = "loader.decoder";
  static constexpr bool heavy = true;

  Decoder(
      Device& device, std::shared_ptr<const Collate> collate, std::shared_ptr<BatchMemory> memory)
      : device_(&device), collate_(std::move(collate)), memory_(std::move(memory)) {}

 private:
  friend ActorAccess;

  void on(const Decode& decode) try {
    const Meta inputs = batch_of(decode.samples, collate_->input());
    const Meta labels = batch_of(decode.samples, {DType::int64, collate_->label()});
    const std::shared_ptr<std::byte> block = memory_->take();
    std::byte* labels_at = block.get() + BatchMemory::aligned(inputs.bytes());
    collate_->make(
        decode.epoch,
        std::span(*decode.order).subspan(decode.first_sample, decode.samples),
        block.get(),
        reinterpret_cast<std::int64_t*>(labels_at));
    decode.to.send(Decoded{
        {borrow(inputs, block.get(), block),
         borrow(labels, labels_at, block),
         decode.batch,
         decode.rows,
         decode.first_row}});
  } catch (const Error& error) {
    // Not thrown on, which the system would log besides.
    stop(Error(error).actor(name));
  }

  Tensor borrow(const Meta& meta, std::byte* data, const std::shared_ptr<std::byte>& owner) {
    return Tensor::constant(ValueBody::make(
        meta, device_->borrow(std::span<const std::byte>(data, meta.bytes()), owner)));
  }

  Device* device_;
  std::shared_ptr<const Collate> collate_;
  std::shared_ptr<BatchMemory> memory_;
};

/// Deals one epoch's samples out to the decoders, in batches.
///
/// Receives  `Begin` from the prefetcher, which has credit for what it asks.
/// Sends     `Decode` to the decoders in turn.
class Sampler final : public Actor<Begin> {
 public:
  static constexpr std::string_view name = "loader.sampler";

  Sampler(
      const LoaderOptions& options,
      std::size_t samples,
      std::int64_t epoch,
      std::int64_t first_batch,
      std::vector<Address<Decode>> decoders)
      : options_(options),
        samples_(samples),
        epoch_(epoch),
        next_(first_batch),
        decoders_(std::move(decoders)) {}

 private:
  friend ActorAccess;

  void on(const Begin& begin) {
    if (!order_) draw_order();
    const auto size = static_cast<std::size_t>(options_.batch_size);
    for (std::int64_t i = 0; i < begin.batches; ++i, ++next_) {
      const std::size_t first = static_cast<std::size_t>(next_) * size;
      const auto rows = static_cast<std::int64_t>(std::min(size, samples_ - first));
      const ShardRows here = options_.shards.rows_here(rows);
      decoders_[static_cast<std::size_t>(next_) % decoders_.size()].send(Decode{
          epoch_,
          next_,
          order_,
          static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(here.begin),
          static_cast<std::uint32_t>(here.end - here.begin),
          rows,
          here.begin,
          begin.to});
    }
  }

  void draw_order() {
    auto order = std::make_shared<std::vector<std::uint32_t>>(samples_);
    if (options_.shuffle)
      shuffle_samples(options_.seed, epoch_, *order);
    else
      std::iota(order->begin(), order->end(), 0u);
    order_ = std::move(order);
  }

  LoaderOptions options_;
  std::size_t samples_;
  std::int64_t epoch_;
  std::int64_t next_;
  std::vector<Address<Decode>> decoders_;
  std::shared_ptr<const std::vector<std::uint32_t>> order_;
};

/// Hands one epoch's batches out in order, however the decoders race.
///
/// Receives  `StreamCredit` from the consumer; `Decoded` in any order; `Down` when sampler or
/// decoder
///           ends.
/// Sends     `Batch`es on a stream; `Begin` to the sampler, for no more batches than there is
///           credit.
/// Stops     when the consumer was sent the end of the epoch or wants no more, or with the stream
///           failed.
class Prefetcher final : public Actor<StreamCredit, Decoded, Down> {
 public:
  static constexpr std::string_view name = "loader.prefetcher";

  Prefetcher(
      Address<StreamItem<Batch>> to,
      Address<Begin> sampler,
      std::vector<Address<>> workers,
      std::int64_t first_batch,
      std::int64_t batches)
      : out_(std::move(to), self()),
        sampler_(std::move(sampler)),
        workers_(std::move(workers)),
        next_(first_batch),
        begun_(first_batch),
        batches_(batches) {
    workers_.push_back(sampler_);
    for (const Address<>& worker : workers_) monitor(worker, self());
    end_if_done();
  }
  ~Prefetcher() {
    for (const Address<>& worker : workers_) demonitor(worker, self());
  }

  [[nodiscard]] std::string waits_for() const { return out_.waits_for(); }

 private:
  friend ActorAccess;

  void on(const StreamCredit& credit) {
    out_.on(credit);
    if (out_.cancelled() || out_.delivered()) return stop();
    const auto more = static_cast<std::int64_t>(credit.messages);
    const std::int64_t begin = std::min(more, batches_ - begun_);
    if (begin <= 0) return;
    begun_ += begin;
    make_room(static_cast<std::size_t>(begun_ - next_));
    sampler_.send(Begin{begin, self()});
  }
  void on(Decoded&& decoded) {
    slot(decoded.batch.index) = std::move(decoded.batch);
    // By place in the epoch, not by arrival: the decoders race, the batches must not.
    while (next_ < begun_ && slot(next_).inputs) out_.offer(std::exchange(slot(next_++), {}));
    end_if_done();
  }
  void on(const Down& down) {
    if (!down.failed) return;
    out_.fail(down.reason);
    stop();
  }

  void end_if_done() {
    if (next_ < batches_) return;
    out_.end();
    if (out_.delivered()) stop();  // or when credit comes for what waits
  }
  [[nodiscard]] Batch& slot(std::int64_t batch) noexcept {
    return by_place_[static_cast<std::size_t>(batch) % by_place_.size()];
  }
  /// Only the first credit, the consumer's whole window, makes it grow.
  void make_room(std::size_t batches) {
    if (batches <= by_place_.size()) return;
    std::vector<Batch> wider(batches);
    for (Batch& batch : by_place_)
      if (batch.inputs) wider[static_cast<std::size_t>(batch.index) % batches] = std::move(batch);
    by_place_ = std::move(wider);
  }

  StreamSource<Batch> out_;
  Address<Begin> sampler_;
  std::vector<Address<>> workers_;
  std::vector<Batch> by_place_;  // a ring of what is made and waits for one before it
  std::int64_t next_;
  std::int64_t begun_;
  std::int64_t batches_;
};

}  // namespace troupe::data
