#include "loader_actors.hpp"
#include "text_windows.hpp"

#include <troupe/data/loader.hpp>
#include <troupe/tensor/device.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::data {

struct Loader::State {
  System* system;
  LoaderOptions options;
  std::int64_t samples;
  std::int64_t batches;
  std::shared_ptr<const Collate> collate;
  std::shared_ptr<BatchMemory> memory;
  std::vector<Address<Decode>> decoders;
  std::optional<StreamReader<Batch>> epoch;  // that next() reads
};

namespace {

void check(bool good, const char* message, const char* hint) {
  if (!good) throw Error(ErrorCode::invalid_argument, message).hint(hint);
}

}  // namespace

Loader::Loader(
    Device& device,
    std::shared_ptr<const ImageSet> set,
    std::span<const float> mean,
    std::span<const float> deviation,
    LoaderOptions options)
    : state_(std::make_unique<State>()) {
  check(set && set->count > 0, "a loader was given no images", "open a data set that has some");
  state_->collate = std::make_shared<const ImageCollate>(
      std::move(set), mean, deviation, options.augment, options.seed);
  begin(device, options);
}

Loader::Loader(
    Device& device, std::shared_ptr<const Text> text, std::int64_t context, LoaderOptions options)
    : state_(std::make_unique<State>()) {
  check(!options.augment.any(), "a text was to be cropped or flipped", "leave `augment` out");
  state_->collate = std::make_shared<const TextWindows>(
      std::move(text), context, /*moving=*/options.shuffle, options.seed);
  begin(device, options);
}

/// What all constructors do once there is a collate.
void Loader::begin(Device& device, LoaderOptions options) {
  check(options.batch_size > 0, "the batch size is not positive", "use 128, say");
  check(options.workers > 0, "a loader without workers makes no batch", "workers = 1 or more");
  check(options.prefetch > 0, "a loader without prefetch makes no batch", "prefetch = 1 or more");
  check(options.samples_max >= 0, "samples_max is negative", "0 stands for all samples");
  options.shards.check();

  State& state = *state_;
  System& system = device.system();
  state.system = &system;
  state.options = options;
  state.samples = state.collate->samples();
  if (options.samples_max > 0) state.samples = std::min(options.samples_max, state.samples);
  state.batches = options.drop_last ? state.samples / options.batch_size
                                    : (state.samples - 1) / options.batch_size + 1;
  check(state.batches > 0, "not one batch is full", "a smaller batch size, or drop_last = false");

  options.shards.check_batch(std::min(options.batch_size, state.samples));
  const std::int64_t batch =
      options.shards.rows_here_max(std::min(options.batch_size, state.samples));
  state.memory = std::make_shared<BatchMemory>(
      system,
      BatchMemory::aligned(batch_of(batch, state.collate->input()).bytes()) +
          batch_of(batch, {DType::int64, state.collate->label()}).bytes());
  to(device);
}

Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

const LoaderOptions& Loader::options() const noexcept { return state_->options; }
std::int64_t Loader::samples() const noexcept { return state_->samples; }
std::int64_t Loader::batches() const noexcept { return state_->batches; }
Shape Loader::sample_shape() const noexcept { return state_->collate->input().shape; }

void Loader::to(Device& device) {
  State& state = *state_;
  if (&device.system() != state.system)
    throw Error(ErrorCode::device_mismatch, "a loader cannot move to another system's device");
  state.decoders.clear();
  for (unsigned i = 0; i < state.options.workers; ++i)
    state.decoders.push_back(state.system->spawn<Decoder>(device, state.collate, state.memory));
}

void Loader::stream_epoch(
    Address<StreamItem<Batch>> to, std::int64_t epoch, std::int64_t first_batch) {
  check(epoch >= 0 && first_batch >= 0, "a negative epoch or batch", "both are counted from 0");
  State& state = *state_;
  const auto sampler = state.system->spawn<Sampler>(
      state.options, static_cast<std::size_t>(state.samples), epoch, first_batch, state.decoders);
  // It lives by its stream: the consumer's end holds its address, and it ends with the epoch.
  (void)state.system->spawn<Prefetcher>(
      std::move(to),
      sampler,
      std::vector<Address<>>(state.decoders.begin(), state.decoders.end()),
      first_batch,
      state.batches);
}

void Loader::begin_epoch(std::int64_t epoch, std::int64_t first_batch) {
  State& state = *state_;
  StreamReader<Batch> reader(*state.system, {.messages = state.options.prefetch});
  stream_epoch(reader.address(), epoch, first_batch);
  state.epoch.emplace(std::move(reader));
}

std::optional<Batch> Loader::next() {
  check(
      state_->epoch.has_value(),
      "a batch was asked for before an epoch was begun",
      "call begin_epoch first");
  return state_->epoch->next();
}

}  // namespace troupe::data
