#pragma once

#include <troupe/core/stream.hpp>
#include <troupe/core/system.hpp>
#include <troupe/data/dataset.hpp>
#include <troupe/data/shards.hpp>
#include <troupe/data/text.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace troupe {
class Device;
}

namespace troupe::data {

/// Samples and their labels that are trained on together; what a loader's stream carries.
struct Batch {
  static constexpr MessageId id{300};
  static constexpr std::string_view name = "batch";

  /// Images, float32 [samples, channels, height, width], normalized; or windows of a text, int64
  /// [samples, context].
  Tensor inputs;
  Tensor labels;           ///< int64 [samples]; of a text [samples, context], the bytes that follow
  std::int64_t index = 0;  ///< place in the epoch
  std::int64_t rows = 0;   ///< samples of the whole batch, of which these may be some
  std::int64_t first_row = 0;  ///< of these, in the whole batch

  [[nodiscard]] std::int64_t samples() const { return labels.size(0); }
  [[nodiscard]] std::uint64_t bytes() const {
    return inputs.meta().bytes() + labels.meta().bytes();
  }

  template <class V>
  void fields(V& visit) {
    visit.field("index", index);
    visit.field("rows", rows);
    visit.field("first_row", first_row);
    visit.local("inputs and labels");
  }
};

/// What is done to training images at random, anew in each epoch.
struct Augment {
  std::int64_t crop_padding =
      0;              ///< cut out of the image padded by so many black pixels; 0: as it is
  bool flip = false;  ///< left and right are exchanged in half of the cases

  [[nodiscard]] bool any() const noexcept { return crop_padding > 0 || flip; }
};

struct LoaderOptions {
  std::int64_t batch_size = 128;
  bool shuffle = true;
  bool drop_last = false;  ///< leave out a last batch of fewer samples
  std::uint64_t seed = 0;
  Augment augment{};  ///< of images alone
  /// Only the first so many samples of the set; 0: all.
  std::int64_t samples_max = 0;
  /// Of each batch only the rows of those carried here are made, as they are in the whole batch.
  Shards shards{};
  unsigned workers = 2;   ///< actors that decode
  unsigned prefetch = 4;  ///< batches that `next()` has made ahead
};

/// Gives out a data set in batches, epoch after epoch, made ahead by actors:
///
///     consumer ──credit──▶ Prefetcher ──Begin──▶ Sampler ──Decode──▶ Decoder × workers
///        ▲                  │    ▲                                         │
///        └──────Batch───────┘    └─────────────────Decoded─────────────────┘
///
/// The consumer is a thread outside that calls `next()`, or an actor with a `StreamSink<Batch>`.
///
/// Order    what an epoch's batches hold depends on (seed, epoch) alone: not on workers, on threads
/// or
///          on who was faster.
/// Bound    the consumer's credit: a batch is begun only for one that may be sent.
/// Memory   a batch's memory returns when its tensors are gone and serves a later one; a steady
/// epoch
///          allocates nothing. Devices that can read host memory in place do so.
/// Threads  one at a time, outside of actors; the system and the device must outlive it.
class Loader {
 public:
  /// Throws `invalid_argument` for options out of range, for batches of fewer samples than shards,
  /// and for an empty set.
  Loader(
      Device& device,
      std::shared_ptr<const ImageSet> set,
      std::span<const float> mean,
      std::span<const float> deviation,
      LoaderOptions options = {});
  /// Windows of a text: an epoch goes through it once, in pieces of `context` bytes whose labels
  /// are the bytes that follow each. When it shuffles, each epoch begins to cut at another of the
  /// first `context` bytes. Throws `invalid_argument` for options out of range, for augmentation,
  /// and for a text without a window.
  Loader(
      Device& device,
      std::shared_ptr<const Text> text,
      std::int64_t context,
      LoaderOptions options = {});
  ~Loader();
  Loader(Loader&& other) noexcept;
  Loader& operator=(Loader&& other) noexcept;

  [[nodiscard]] const LoaderOptions& options() const noexcept;
  /// Samples and batches of one epoch.
  [[nodiscard]] std::int64_t samples() const noexcept;
  [[nodiscard]] std::int64_t batches() const noexcept;
  /// The shape of one sample: channels, height, width; or the context.
  [[nodiscard]] Shape sample_shape() const noexcept;

  /// Has the batches of epochs that are begun from now on lie on another device of the same system;
  /// what was begun before ends as it would.
  void to(Device& device);

  /// Sends an epoch's batches, from `first_batch` on, to the sink of an actor. Several epochs may
  /// be under way at one time.
  void stream_epoch(
      Address<StreamItem<Batch>> to, std::int64_t epoch, std::int64_t first_batch = 0);

  /// Turns `next()` to an epoch, from its batch `first_batch` on; what was made ahead of another is
  /// dropped.
  void begin_epoch(std::int64_t epoch, std::int64_t first_batch = 0);
  /// The epoch's next batch, or none when it is over. Waits, helping to run actors; throws what
  /// ended one of the loader's own.
  [[nodiscard]] std::optional<Batch> next();

 private:
  struct State;
  void begin(Device& device, LoaderOptions options);

  std::unique_ptr<State> state_;
};

}  // namespace troupe::data
