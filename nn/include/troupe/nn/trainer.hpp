#pragma once

#include <troupe/autograd/program.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/io/checkpoint.hpp>
#include <troupe/io/tree.hpp>
#include <troupe/nn/any_module.hpp>
#include <troupe/nn/optimizer.hpp>
#include <troupe/nn/schedule.hpp>
#include <troupe/nn/shards.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace troupe {
class Device;
}

namespace troupe::nn {

class Trainer;

/// How a step is run: as a graph captured once, or as calls anew in each step. Both give the same
/// bits.
enum class Door : std::uint8_t { program, define_by_run };

/// Where a fit stands, after each step.
struct Progress {
  std::int64_t epoch = 0;  ///< counted from 0
  std::int64_t max_epochs = 0;
  std::int64_t batch = 0;         ///< batches done in this epoch
  std::int64_t first_batch = 0;   ///< those done before it was gone on with here
  std::int64_t batches = 0;       ///< of the epoch
  std::int64_t step = 0;          ///< optimizer steps done since the fit's first
  std::int64_t samples = 0;       ///< labels done in this epoch: images, or places of sequences
  std::optional<double> loss{};   ///< of the last batch whose loss is known: a few steps ago
  double seconds = 0;             ///< since this epoch began here
  double samples_per_second = 0;  ///< in this epoch, since it began here
  bool testing = false;           ///< the batches are the test loader's

  /// Of the epoch, from 0 to 1.
  [[nodiscard]] double fraction() const noexcept {
    return batches > 0 ? static_cast<double>(batch) / static_cast<double>(batches) : 0;
  }
};

/// What an epoch came to.
struct EpochMetrics {
  std::int64_t epoch = 0;  ///< counted from 1, as people do
  std::int64_t step = 0;   ///< optimizer steps done since the first epoch's beginning
  double train_loss = 0;   ///< mean over the labels, each seen by the weights of its own step
  double train_accuracy = 0;
  double test_loss = 0;  ///< NaN without a test loader, as is the accuracy
  double test_accuracy = 0;
  double seconds = 0;             ///< of the whole epoch, the test included
  double samples_per_second = 0;  ///< labels of its training alone

  /// The fields under their own names, in this order.
  [[nodiscard]] io::Tree tree() const;
  [[nodiscard]] static EpochMetrics from(const io::Tree& tree);
};

/// What `Trainer::evaluate` found.
struct Evaluation {
  double loss = 0;
  double accuracy = 0;
  std::int64_t samples = 0;  ///< labels
};

/// Told of a fit's progress; derive and override what is of interest. Called on the thread that
/// fits, outside of actors; what it throws ends the fit.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_fit_start(Trainer&) {}
  /// After each step, also of the test; must be quick, for the next step waits for it.
  virtual void on_batch_end(Trainer&, const Progress&) {}
  /// When the epoch's metrics are known; `Trainer::archive` here is the state between two epochs.
  virtual void on_epoch_end(Trainer&, const EpochMetrics&) {}
  /// When the fit goes on elsewhere: `trainer.device()` is the next device, and the trainer stands
  /// where the last commit left it. What was done since is done, and told, again.
  virtual void on_device_lost(Trainer&, Device& /*lost*/, const Error& /*reason*/) {}
};

/// Loss of a batch's outputs and its labels: a scalar, the mean over the batch's labels.
using LossFunction = std::function<Tensor(const Tensor& output, const Tensor& labels)>;

/// When a schedule's `step()` is called.
enum class ScheduleInterval : std::uint8_t { epoch, step };

struct TrainerOptions {
  std::int64_t max_epochs = 1;
  double gradient_clip_val = 0;              ///< bound on the gradients' norm; 0: none
  std::int64_t accumulate_grad_batches = 1;  ///< batches whose gradients make one step
  /// Logical shards, `{.of = 4}`, that each batch is cut into: each goes forward and backward by
  /// itself, with batch statistics and random numbers of its own, and what they give is added up
  /// by a fixed tree. The bits depend on their number, never on which of them are carried here: the
  /// others' sums then come from `shard_sum`.
  Shards shards{};
  ShardSum shard_sum{};  ///< `sum_of_shards` when empty
  Door door = Door::program;
  /// What models and losses compute their products in: bfloat16 is `Autocast`'s mixed precision, of
  /// which weights, gradients and optimizer states notice nothing; else float32.
  DType precision = DType::float32;
  ScheduleInterval schedule_interval = ScheduleInterval::epoch;
  bool detect_nan =
      false;  ///< the first NaN ends the fit, naming step and op; costs a look at every value
  std::stop_token stop{};  ///< asked after each step
  std::vector<std::shared_ptr<Callback>> callbacks{};
  /// Where a fit goes on, in this order, when the device that it is on is lost. None: it ends with
  /// that error.
  std::vector<Device*> fallback_devices{};
  /// Steps after which the state is committed: copied to the host's memory, which is what a
  /// fallback goes on from. A commit waits for the device; it is made when a fit begins and at each
  /// epoch's end besides, and never without fallback devices.
  std::int64_t commit_every_n_steps = 100;
  ProgramOptions program{};  ///< how captured steps are compiled and run
};

/// What is trained, by what, towards what. All are handles; the trainer shares them with the
/// caller.
struct Task {
  AnyModule model;  ///< a batch's inputs to scores [..., classes], for labels [...]
  optim::Optimizer optimizer;
  std::optional<optim::Schedule> schedule{};
  LossFunction loss{};  ///< cross entropy when empty
};

/// Trains a classifier, of images or of what comes next in a text: the loop that everybody writes,
/// with its names from Lightning. Runs in the current scope, on the caller's thread, which helps to
/// run the steps.
///
///     nn::Trainer trainer({model, optimizer}, {.max_epochs = 5});
///     trainer.fit(train_loader, &test_loader);
///
/// Pipeline   losses are read two steps late, so that reading one never makes the next step wait.
/// Bits       weights and metrics are the same through both doors, for any number of threads,
///            whoever carries which shards, and when a fit was stopped, saved, loaded and gone on
///            with.
/// Errors     what the model, the loaders and the callbacks throw; `nan_found`. The trainer stays
/// as the
///            last step left it.
/// Lost       a device that is lost, `device_lost`, ends the fit unless there is a fallback device:
///            then model, optimizer, loaders and graph move there, nothing is read from the lost
///            one, and the fit goes on from the last commit, with the bits of a trainer that was
///            restored there. What else the model or the loss hold must not lie on a device.
/// Memory     a steady step allocates nothing here, unless it is one of several shards that are
///            called anew in each step.
class Trainer {
 public:
  explicit Trainer(Task task, TrainerOptions options = {});
  ~Trainer();
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;

  /// Trains until `max_epochs` are done or a stop is asked for; then saving keeps all that is
  /// needed to go on. Called again, or after `restore`, goes on where it was. Throws
  /// `device_mismatch` for a fallback device of another system; `invalid_argument` for batches of
  /// fewer samples than shards, and for a loader that does not make the rows of the shards here.
  /// @returns  whether all epochs are done.
  bool fit(data::Loader& train, data::Loader* test = nullptr);
  /// Loss and accuracy over one epoch of a loader, with the model in eval mode and without
  /// gradients.
  [[nodiscard]] Evaluation evaluate(data::Loader& loader);

  /// A step on batches of these dtypes and shapes, inputs and labels in turn, as `fit` captures it,
  /// to be looked at or timed. Of several shards, those of whole batches; the step takes the rows
  /// of those carried here.
  [[nodiscard]] Program capture_training_step(std::span<const Meta> batches);
  /// The same for one batch of `evaluate`.
  [[nodiscard]] Program capture_test_step(std::span<const Meta> batch);

  /// Whether the training steps from the next on are measured, op by op; they keep their bits, see
  /// `Program::measure`. Throws `unsupported` where they are no programs (`Door::define_by_run`),
  /// or run on a GPU.
  void measure(bool on);
  /// Of the steps that were measured and are over.
  [[nodiscard]] ProgramProfile profile() const;

  /// One line for each epoch that is done.
  [[nodiscard]] const std::vector<EpochMetrics>& metrics() const noexcept;
  /// Steps done.
  [[nodiscard]] std::int64_t step() const noexcept;
  [[nodiscard]] const Task& task() const noexcept;
  /// Where it trains: the scope's device, or the fallback that took its place.
  [[nodiscard]] Device& device() const;

  /// All that an exact resume needs: weights, optimizer, schedule, random state, place in the
  /// epoch, metrics so far. `about` comes along, to be compared on loading: what was trained on
  /// what.
  [[nodiscard]] io::Archive archive(io::Tree about = {});
  /// Throws `file_mismatch`, naming the file if the archive came from one, when it is of another
  /// model or optimizer or holds what no trainer saved; then nothing was changed.
  void restore(const io::Archive& archive);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace troupe::nn
