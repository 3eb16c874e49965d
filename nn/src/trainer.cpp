#include "shard_step.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/nn/clip_grad.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/ops/argmax.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/eq.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/sum.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <limits>
#include <span>
#include <utility>

namespace troupe::nn {

io::Tree EpochMetrics::tree() const {
  return io::Tree::Map{
      {"epoch", epoch},
      {"step", step},
      {"train_loss", train_loss},
      {"train_accuracy", train_accuracy},
      {"test_loss", test_loss},
      {"test_accuracy", test_accuracy},
      {"seconds", seconds},
      {"samples_per_second", samples_per_second}};
}

EpochMetrics EpochMetrics::from(const io::Tree& tree) {
  return {
      .epoch = tree.at("epoch").as_int(),
      .step = tree.at("step").as_int(),
      .train_loss = tree.at("train_loss").as_double(),
      .train_accuracy = tree.at("train_accuracy").as_double(),
      .test_loss = tree.at("test_loss").as_double(),
      .test_accuracy = tree.at("test_accuracy").as_double(),
      .seconds = tree.at("seconds").as_double(),
      .samples_per_second = tree.at("samples_per_second").as_double()};
}

namespace {

/// Sums over the samples of an epoch, in the order of the batches.
struct Totals {
  double loss = 0;  // each sample's
  std::int64_t correct = 0;
  std::int64_t samples = 0;

  [[nodiscard]] double mean_loss() const { return loss / static_cast<double>(samples); }
  [[nodiscard]] double accuracy() const {
    return static_cast<double>(correct) / static_cast<double>(samples);
  }
};

/// Results that are on their way, read in order and a few steps late: the step that a read would
/// wait for is then over, mostly, and the next one is running.
class Results {
 public:
  static constexpr std::size_t late = 2;  // steps

  /// @param batches  of one step, at most
  explicit Results(std::size_t batches) {
    for (Step& step : steps_) {
      step.outputs.resize(2 * batches);
      step.samples.resize(batches);
    }
  }

  /// Where the next step puts loss and number of right answers of each of its batches.
  [[nodiscard]] std::span<Tensor> outputs(std::size_t batches) {
    Step& step = steps_[(first_ + count_) % steps_.size()];
    step.batches = batches;
    return std::span(step.outputs).first(2 * batches);
  }
  [[nodiscard]] std::span<std::int64_t> samples() {
    return steps_[(first_ + count_) % steps_.size()].samples;
  }
  /// What `outputs` and `samples` gave is filled; reads a step that is old enough.
  void push(Totals& totals) {
    if (++count_ > late) read(totals);
  }
  void read_all(Totals& totals) {
    while (count_ > 0) read(totals);
  }
  /// Waits for the steps under way, whatever comes of them: after a failure, and before the trap
  /// for NaNs that they were begun with is taken away.
  void settle() noexcept {
    for (Step& step : steps_)
      for (Tensor& output : step.outputs) try {
          if (output) (void)output.value();
        } catch (...) {  // the fit has failed already
        }
    clear();
  }
  /// Forgets what a failed step left.
  void clear() noexcept {
    while (count_ > 0) drop_first();
  }
  [[nodiscard]] std::optional<double> last_loss() const noexcept { return last_loss_; }

 private:
  struct Step {
    std::vector<Tensor> outputs;
    std::vector<std::int64_t> samples;
    std::size_t batches = 0;
  };

  void read(Totals& totals) {
    Step& step = steps_[first_];
    for (std::size_t i = 0; i < step.batches; ++i) {
      const double loss = step.outputs[2 * i].item();
      last_loss_ = loss;
      totals.loss += loss * static_cast<double>(step.samples[i]);
      totals.correct += step.outputs[2 * i + 1].item<std::int64_t>();
      totals.samples += step.samples[i];
    }
    drop_first();
  }
  void drop_first() noexcept {
    for (Tensor& output : steps_[first_].outputs) output = Tensor();
    first_ = (first_ + 1) % steps_.size();
    --count_;
  }

  std::array<Step, late + 1> steps_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::optional<double> last_loss_;
};

/// Where a trainer stands, as an archive keeps it: between two steps.
struct Place {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;
  std::int64_t step = 0;
  Totals totals;             // of this epoch's training
  double seconds = 0;        // that this epoch has taken so far
  double train_seconds = 0;  // of these, in training
  std::vector<EpochMetrics> metrics{};
};

/// What a fit goes on from when its device is lost: all of it in the host's memory.
struct Commit {
  io::Archive archive;
  std::vector<io::HostTensor> buffers;  // those too that no checkpoint keeps
  std::int64_t step = 0;
};

/// Sets the NaN trap, and takes it back.
class NanTrap {
 public:
  NanTrap(Engine& engine, bool on, const Module& model)
      : engine_(engine), before_(engine.trap_nan.exchange(on || engine.trap_nan)) {
    if (!engine.trap_nan) return;
    check(Scope::current().device());
    for (const Parameter& parameter : model.parameters()) check(parameter.device());
  }
  ~NanTrap() {
    engine_.trap_nan = before_;
    engine_.step = -1;
  }
  NanTrap(const NanTrap&) = delete;
  NanTrap& operator=(const NanTrap&) = delete;

 private:
  void check(const Device& device) {
    if (device.reads_at_once()) return;
    engine_.trap_nan = before_;
    throw Error(
        ErrorCode::unsupported,
        "detect_nan looks at every value as it is made, which " + std::string(device.name()) +
            " does not offer")
        .hint("look for the NaN on the device \"cpu\"");
  }

  Engine& engine_;
  bool before_;
};

/// Puts the model into a mode, and back.
class ModeChange {
 public:
  ModeChange(const Module& model, bool training) : model_(model), before_(model.training()) {
    model_.train(training);
  }
  ~ModeChange() { model_.train(before_); }
  ModeChange(const ModeChange&) = delete;
  ModeChange& operator=(const ModeChange&) = delete;

 private:
  Module model_;
  bool before_;
};

void check(bool good, const char* message, const char* hint) {
  if (!good) throw Error(ErrorCode::invalid_argument, message).hint(hint);
}

/// Throws unless the batch holds the rows of the shards that are carried here.
void check_rows(const data::Batch& batch, const Shards& shards) {
  const data::ShardRows wanted = shards.rows_here(batch.rows);
  const std::int64_t end = batch.first_row + batch.samples();
  if (batch.first_row <= wanted.begin && wanted.end <= end) return;
  throw Error(
      ErrorCode::invalid_argument,
      "the loader gives rows " + std::to_string(batch.first_row) + " to " +
          std::to_string(end - 1) + " of a batch of " + std::to_string(batch.rows) +
          ", but what is computed here takes rows " + std::to_string(wanted.begin) + " to " +
          std::to_string(wanted.end - 1))
      .hint("give a train loader the trainer's shards in its options, and a test loader none");
}

[[noreturn]] void refuse(
    const std::string& name, const std::string& value, const std::string& why) {
  throw Error(ErrorCode::file_mismatch, "'" + name + "' is " + value + ", " + why)
      .hint("no trainer saves that: was the file edited?");
}

/// More than any run comes to, and what a double still counts exactly, as rules and schedules do.
constexpr std::int64_t count_max = std::int64_t{1} << 53;

std::int64_t count_at(const io::Tree& tree, const char* name, std::int64_t max = count_max) {
  const std::int64_t count = tree.at(name).as_int();
  if (count < 0 || count > max)
    refuse(name, std::to_string(count), "but can be from 0 to " + std::to_string(max));
  return count;
}

double seconds_at(const io::Tree& tree, const char* name) {
  const double seconds = tree.at(name).as_double();
  if (!(std::isfinite(seconds) && seconds >= 0))
    refuse(name, std::to_string(seconds), "but can be no less than 0, and finite");
  return seconds;
}

Place place_of(const io::Tree& meta) {
  const io::Tree& totals = meta.at("totals");
  Place place{
      .epoch = count_at(meta, "epoch"),
      // Loaders number samples by 32 bits.
      .batch = count_at(meta, "batch", std::numeric_limits<std::uint32_t>::max()),
      .step = count_at(meta, "step"),
      .totals = {.loss = totals.at("loss").as_double(), .samples = count_at(totals, "samples")},
      .seconds = seconds_at(totals, "seconds"),
      .train_seconds = seconds_at(totals, "train_seconds")};
  place.totals.correct = count_at(totals, "correct", place.totals.samples);
  for (const io::Tree& line : meta.at("metrics").as_list()) {
    place.metrics.push_back(EpochMetrics::from(line));
    if (place.metrics.back().epoch != static_cast<std::int64_t>(place.metrics.size()))
      refuse("metrics", io::to_json(line), "but lines are numbered from 1");
  }
  if (place.epoch != static_cast<std::int64_t>(place.metrics.size()))
    refuse(
        "epoch",
        std::to_string(place.epoch),
        "but there are " + std::to_string(place.metrics.size()) + " lines of metrics");
  return place;
}

/// Does a part of a restore; its errors name the file that the part came from.
template <class Part>
void from_file(const std::string& path, Part&& part) {
  try {
    part();
  } catch (const Error& error) {
    if (path.empty()) throw;
    throw Error(error.code(), path + ": " + error.message()).hint(error.hint());
  }
}

[[nodiscard]] double seconds_between(std::int64_t from_ns, std::int64_t to_ns) {
  return static_cast<double>(to_ns - from_ns) * 1e-9;
}

}  // namespace

struct Trainer::State : Place {
  State(Task given, TrainerOptions chosen)
      : task(std::move(given)),
        options(std::move(chosen)),
        results(static_cast<std::size_t>(options.accumulate_grad_batches)),
        train_program(training(), options.program),
        test_program(testing(), options.program) {
    inputs.reserve(2 * static_cast<std::size_t>(options.accumulate_grad_batches));
    rows.reserve(static_cast<std::size_t>(options.accumulate_grad_batches));
  }

  void score(const Tensor& batch_inputs, const Tensor& labels, Tensor& loss, Tensor& correct) const;
  void whole_batches(std::span<const Tensor> inputs, std::span<Tensor> outputs);
  void train_step(std::span<const Tensor> inputs, std::span<Tensor> outputs);
  [[nodiscard]] bool in_shards() const { return options.shards.of > 1 || options.shard_sum; }
  [[nodiscard]] std::uint64_t key_of_rows();
  void test_step(std::span<const Tensor> inputs, std::span<Tensor> outputs) const;
  bool gather(
      data::Loader& loader,
      const Shards& shards,
      std::span<std::int64_t> samples,
      std::size_t batches);
  void run_step(std::span<Tensor> outputs);
  bool train_epoch(Trainer& trainer, data::Loader& train);
  bool test_epoch(Trainer* trainer, data::Loader& test, Totals& totals);
  void end_epoch(Trainer& trainer, const Totals* tested);
  void tell(Trainer& trainer, const Progress& progress) const;
  bool run(Trainer& trainer, data::Loader& train, data::Loader* test);
  void commit(Trainer& trainer);
  void move(Trainer& trainer, data::Loader& train, data::Loader* test, const Error& reason);
  [[nodiscard]] bool may_move() const { return fallbacks_used < options.fallback_devices.size(); }
  [[nodiscard]] Device& device() const { return moved_to ? *moved_to : Scope::current().device(); }
  [[nodiscard]] GraphFunction training();
  [[nodiscard]] GraphFunction testing();
  [[nodiscard]] bool stopped() const { return options.stop.stop_requested(); }
  [[nodiscard]] static std::int64_t now() { return Scope::current().system().clock().now_ns(); }

  Task task;
  TrainerOptions options;

  std::vector<Tensor> inputs;
  std::vector<BatchRows> rows;  // of the batches in `inputs`
  std::vector<std::vector<BatchRows>> known_rows;
  Results results;
  CompiledFunction train_program;
  CompiledFunction test_program;

  std::optional<Commit> committed;
  std::size_t fallbacks_used = 0;
  Device* moved_to = nullptr;
};

GraphFunction Trainer::State::training() {
  return [this](std::span<const Tensor> inputs) {
    std::vector<Tensor> outputs(inputs.size());
    train_step(inputs, outputs);
    return outputs;
  };
}

GraphFunction Trainer::State::testing() {
  return [this](std::span<const Tensor> inputs) {
    std::vector<Tensor> outputs(inputs.size());
    test_step(inputs, outputs);
    return outputs;
  };
}

void Trainer::State::score(
    const Tensor& batch_inputs, const Tensor& labels, Tensor& loss, Tensor& correct) const {
  const Autocast products(options.precision);
  const Tensor scores = task.model(batch_inputs);
  if (task.loss)
    loss = task.loss(scores, labels);
  else if (scores.rank() <= 2)
    loss = cross_entropy(scores, labels);
  else  // of whose dimensions cross_entropy takes the second for the classes
    loss = cross_entropy(reshape(scores, {-1, scores.size(-1)}), reshape(labels, {-1}));
  const NoGrad no_grad;
  correct = sum(eq(argmax(scores, -1), labels));
}

/// Goes backward through a step's batches, one after another.
void Trainer::State::whole_batches(std::span<const Tensor> batches, std::span<Tensor> outputs) {
  for (std::size_t i = 0; i < batches.size(); i += 2) {
    Tensor loss;
    score(batches[i], batches[i + 1], loss, outputs[i + 1]);
    outputs[i] = loss.detach();
    // One step's gradient is the mean over its batches.
    const auto count = static_cast<std::int64_t>(batches.size() / 2);
    backward(count == 1 ? loss : loss / count);
  }
}

void Trainer::State::train_step(std::span<const Tensor> batches, std::span<Tensor> outputs) {
  task.optimizer.zero_grad();
  if (in_shards())
    ShardStep(
        options.shards,
        options.shard_sum,
        [this](const Tensor& some, const Tensor& labels, Tensor& loss, Tensor& correct) {
          score(some, labels, loss, correct);
        })
        .run(task.model, task.optimizer, batches, rows, outputs);
  else
    whole_batches(batches, outputs);
  if (options.gradient_clip_val > 0)
    (void)clip_grad_norm_(task.model.parameters(), options.gradient_clip_val);
  task.optimizer.step();
}

void Trainer::State::test_step(std::span<const Tensor> batch, std::span<Tensor> outputs) const {
  const NoGrad no_grad;
  score(batch[0], batch[1], outputs[0], outputs[1]);
}

/// Takes the batches of one step; false when the epoch is over.
bool Trainer::State::gather(
    data::Loader& loader,
    const Shards& shards,
    std::span<std::int64_t> samples,
    std::size_t batches) {
  inputs.clear();
  rows.clear();
  for (std::size_t i = 0; i < batches; ++i) {
    std::optional<data::Batch> next = loader.next();
    if (!next) break;
    check_rows(*next, shards);
    rows.push_back({next->rows, next->first_row});
    samples[i] = next->labels.elements() / next->samples() * next->rows;
    inputs.push_back(std::move(next->inputs));
    inputs.push_back(std::move(next->labels));
  }
  return !inputs.empty();
}

/// A number for how the batches at hand are cut, which their shapes alone do not tell where some of
/// their rows are elsewhere.
std::uint64_t Trainer::State::key_of_rows() {
  if (!in_shards()) return 0;
  auto known = std::find(known_rows.begin(), known_rows.end(), rows);
  if (known == known_rows.end()) known = known_rows.insert(known, rows);
  return static_cast<std::uint64_t>(known - known_rows.begin());
}

void Trainer::State::run_step(std::span<Tensor> outputs) {
  const RandomState random_before = Scope::current().random();
  std::vector<std::int64_t> counts_before;
  if (options.shard_sum)
    for (std::size_t i = 0; i < task.optimizer.groups(); ++i)
      counts_before.push_back(task.optimizer.steps(i));
  try {
    if (options.door == Door::program)
      train_program.program(inputs, key_of_rows()).run(inputs, outputs);
    else
      train_step(inputs, outputs);
    // What others have a part in is done when it is over: if they are lost, the trainer stands as
    // if the step had not been begun.
    if (options.shard_sum)
      for (const Tensor& output : outputs) (void)output.value();
  } catch (...) {
    if (options.shard_sum) Scope::current().random() = random_before;
    for (std::size_t i = 0; i < counts_before.size(); ++i)
      task.optimizer.set_steps(counts_before[i], i);
    throw;
  }
}

void Trainer::State::tell(Trainer& trainer, const Progress& progress) const {
  for (const auto& callback : options.callbacks) callback->on_batch_end(trainer, progress);
}

/// @returns  false when a stop was asked for before the epoch's end.
bool Trainer::State::train_epoch(Trainer& trainer, data::Loader& train) {
  Engine& engine = Engine::of(Scope::current().system());
  const ModeChange mode(task.model, true);
  const std::int64_t began = now();
  const double seconds_before = seconds;
  const double train_seconds_before = train_seconds;
  std::int64_t samples_here = 0;
  const auto account = [&] {
    const double here = seconds_between(began, now());
    seconds = seconds_before + here;
    train_seconds = train_seconds_before + here;
    return here;
  };

  if (batch > train.batches())
    throw Error(
        ErrorCode::file_mismatch,
        "the epoch was left after batch " + std::to_string(batch) + ", but has " +
            std::to_string(train.batches()) + " in this loader")
        .hint("go on with the data and the batch size that it was begun with");
  const std::int64_t first_batch = batch;
  train.begin_epoch(epoch, batch);
  const auto batches = static_cast<std::size_t>(options.accumulate_grad_batches);
  while (gather(train, options.shards, results.samples(), batches)) {
    const std::size_t count = inputs.size() / 2;
    const std::span<Tensor> outputs = results.outputs(count);
    for (std::size_t i = 0; i < count; ++i) samples_here += results.samples()[i];
    engine.step = step + 1;
    run_step(outputs);
    inputs.clear();
    ++step;
    batch += static_cast<std::int64_t>(count);
    if (task.schedule && options.schedule_interval == ScheduleInterval::step) task.schedule->step();
    results.push(totals);
    // There already, and not to be lost with a step that fails.
    if (options.shard_sum) results.read_all(totals);

    const double seconds_here = account();
    tell(
        trainer,
        {.epoch = epoch,
         .max_epochs = options.max_epochs,
         .batch = batch,
         .first_batch = first_batch,
         .batches = train.batches(),
         .step = step,
         .samples = samples_here,
         .loss = results.last_loss(),
         .seconds = seconds_here,
         .samples_per_second = static_cast<double>(samples_here) / seconds_here});
    if (stopped()) break;
    if (may_move() && step - committed->step >= options.commit_every_n_steps) commit(trainer);
  }
  results.read_all(totals);
  account();
  return batch >= train.batches();
}

/// @returns  false when a stop was asked for before its end.
bool Trainer::State::test_epoch(Trainer* trainer, data::Loader& test, Totals& tested) {
  const ModeChange mode(task.model, false);
  const NoGrad no_grad;
  const std::int64_t began = now();
  Results late(1);
  std::int64_t done = 0;
  std::int64_t samples = 0;
  test.begin_epoch(0);
  while (gather(test, {}, late.samples(), 1)) {
    samples += late.samples()[0];
    const std::span<Tensor> outputs = late.outputs(1);
    if (options.door == Door::program)
      test_program.program(inputs).run(inputs, outputs);
    else
      test_step(inputs, outputs);
    inputs.clear();
    late.push(tested);
    if (!trainer) continue;
    const double seconds_here = seconds_between(began, now());
    tell(
        *trainer,
        {.epoch = epoch,
         .max_epochs = options.max_epochs,
         .batch = ++done,
         .batches = test.batches(),
         .step = step,
         .samples = samples,
         .loss = late.last_loss(),
         .seconds = seconds_here,
         .samples_per_second = static_cast<double>(samples) / seconds_here,
         .testing = true});
    if (stopped() && done < test.batches()) return false;
  }
  late.read_all(tested);
  if (trainer) seconds += seconds_between(began, now());
  return true;
}

void Trainer::State::end_epoch(Trainer& trainer, const Totals* tested) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const EpochMetrics line{
      .epoch = epoch + 1,
      .step = step,
      .train_loss = totals.mean_loss(),
      .train_accuracy = totals.accuracy(),
      .test_loss = tested ? tested->mean_loss() : nan,
      .test_accuracy = tested ? tested->accuracy() : nan,
      .seconds = seconds,
      .samples_per_second = static_cast<double>(totals.samples) / train_seconds};
  metrics.push_back(line);
  ++epoch;
  batch = 0;
  totals = {};
  seconds = train_seconds = 0;
  if (task.schedule && options.schedule_interval == ScheduleInterval::epoch) task.schedule->step();
  for (const auto& callback : options.callbacks) callback->on_epoch_end(trainer, line);
  if (may_move()) commit(trainer);
}

bool Trainer::State::run(Trainer& trainer, data::Loader& train, data::Loader* test) {
  while (epoch < options.max_epochs) {
    if (stopped() || !train_epoch(trainer, train)) return false;
    Totals tested;
    if (test && !test_epoch(&trainer, *test, tested)) return false;
    end_epoch(trainer, test ? &tested : nullptr);
  }
  return true;
}

/// The one before stays until this one is whole: the device may be lost on the way.
void Trainer::State::commit(Trainer& trainer) {
  Commit made{trainer.archive(), {}, step};
  StateDict buffers;
  for (const auto& [name, buffer] : task.model.named_buffers())
    buffers.emplace_back(name, buffer.tensor());
  made.buffers = to_host(buffers);
  committed = std::move(made);
}

/// To the next fallback device, where the last commit is restored.
void Trainer::State::move(
    Trainer& trainer, data::Loader& train, data::Loader* test, const Error& reason) {
  Device& lost = device();
  Device& next = *options.fallback_devices[fallbacks_used++];
  moved_to = &next;
  const OnDevice there(next);
  inputs.clear();
  // With the memory on the lost device that their tables keep.
  train_program = CompiledFunction(training(), options.program);
  test_program = CompiledFunction(testing(), options.program);
  train.to(next);
  if (test) test->to(next);
  task.model.to_empty(next);
  trainer.restore(committed->archive);
  const StateDict buffers = from_host(committed->buffers);
  for (auto& [name, buffer] : task.model.named_buffers()) buffer.set(*find(buffers, name));
  for (const auto& callback : options.callbacks) callback->on_device_lost(trainer, lost, reason);
}

Trainer::Trainer(Task task, TrainerOptions options) {
  check(options.max_epochs >= 0, "max_epochs is negative", "give the number of epochs to train");
  check(
      options.accumulate_grad_batches > 0,
      "accumulate_grad_batches is below 1",
      "1: no accumulation");
  options.shards.check();
  check(
      options.shards.all() || options.shard_sum,
      "some shards are carried elsewhere, but nothing adds them up",
      "give a shard_sum that knows the others, or carry all shards here");
  check(options.gradient_clip_val >= 0, "gradient_clip_val is negative", "0: no clipping");
  check(options.commit_every_n_steps > 0, "commit_every_n_steps is below 1", "1: each step");
  check(
      options.precision == DType::float32 || options.precision == DType::bfloat16,
      "precision is neither float32 nor bfloat16",
      "DType::bfloat16: mixed precision");
  for (const Device* device : options.fallback_devices)
    check(device != nullptr, "a fallback device is null", "give devices that are attached");
  state_ = std::make_unique<State>(std::move(task), std::move(options));
}

Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

Program Trainer::capture_training_step(std::span<const Meta> batches) {
  State& state = *state_;
  const ModeChange mode(state.task.model, true);
  std::vector<Meta> here(batches.begin(), batches.end());
  state.rows.clear();
  for (std::size_t i = 0; i < here.size(); ++i) {
    const std::int64_t rows = here[i].shape[0];
    const data::ShardRows carried = state.options.shards.rows_here(rows);
    here[i].shape[0] = carried.end - carried.begin;
    if (i % 2 == 0) state.rows.push_back({rows, carried.begin});
  }
  return Program::capture(state.training(), here, state.options.program);
}

Program Trainer::capture_test_step(std::span<const Meta> batch) {
  const ModeChange mode(state_->task.model, false);
  return Program::capture(state_->testing(), batch, state_->options.program);
}

void Trainer::measure(bool on) {
  if (on && state_->options.door != Door::program)
    throw Error(
        ErrorCode::unsupported, "only the steps of a program are measured, not define-by-run ones")
        .hint("train through the other door: the bits are the same");
  if (on && !device().reads_at_once())
    throw Error(
        ErrorCode::unsupported,
        "ops are measured one by one, which " + std::string(device().name()) +
            " does not offer: it runs them behind the caller")
        .hint("train on the device \"cpu\" to see where the time goes there");
  state_->train_program.measure(on);
}
ProgramProfile Trainer::profile() const { return state_->train_program.profile(); }

const std::vector<EpochMetrics>& Trainer::metrics() const noexcept { return state_->metrics; }
std::int64_t Trainer::step() const noexcept { return state_->step; }
const Task& Trainer::task() const noexcept { return state_->task; }
Device& Trainer::device() const { return state_->device(); }

bool Trainer::fit(data::Loader& train, data::Loader* test) {
  State& state = *state_;
  for (const Device* fallback : state.options.fallback_devices)
    if (&fallback->system() != &Scope::current().system())
      throw Error(ErrorCode::device_mismatch, "a fallback device is another system's");
  state.options.shards.check_batch(std::min(train.options().batch_size, train.samples()));
  struct Settle {
    Results& results;
    int exceptions = std::uncaught_exceptions();
    ~Settle() {
      if (std::uncaught_exceptions() > exceptions) results.settle();
    }
  };
  // As a supervisor does: what was lost is begun anew elsewhere, while there is a place for it.
  std::optional<Error> lost;
  state.committed.reset();
  while (true) {
    try {
      if (lost) state.move(*this, train, test, *lost);
      const OnDevice here(state.device());
      const NanTrap trap(
          Engine::of(Scope::current().system()), state.options.detect_nan, state.task.model);
      state.results.clear();
      const Settle settle{state.results};
      if (!lost) {
        for (const auto& callback : state.options.callbacks) callback->on_fit_start(*this);
        if (state.may_move()) state.commit(*this);
      }
      const bool finished = state.run(*this, train, test);
      state.committed.reset();  // as much as the model and its optimizer states
      return finished;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::device_lost || !state.committed || !state.may_move()) throw;
      lost = error;
    }
  }
}

Evaluation Trainer::evaluate(data::Loader& loader) {
  const OnDevice here(state_->device());
  const NanTrap trap(
      Engine::of(Scope::current().system()), state_->options.detect_nan, state_->task.model);
  Totals totals;
  (void)state_->test_epoch(nullptr, loader, totals);
  return {totals.mean_loss(), totals.accuracy(), totals.samples};
}

io::Archive Trainer::archive(io::Tree about) {
  State& state = *state_;
  state.results.read_all(state.totals);
  const optim::OptimizerState optimizer = state.task.optimizer.state_dict();
  const RandomState& random = Scope::current().random();

  io::Archive archive;
  archive.tensors = to_host(state.task.model.state_dict(), "model.");
  for (io::HostTensor& tensor : to_host(optimizer.tensors, "optimizer."))
    archive.tensors.push_back(std::move(tensor));

  io::Tree::List lines;
  for (const EpochMetrics& line : state.metrics) lines.push_back(line.tree());
  archive.meta = io::Tree::Map{
      {"format", 1},
      {"about", std::move(about)},
      {"epoch", state.epoch},
      {"batch", state.batch},
      {"step", state.step},
      {"totals",
       io::Tree::Map{
           {"loss", state.totals.loss},
           {"correct", state.totals.correct},
           {"samples", state.totals.samples},
           {"seconds", state.seconds},
           {"train_seconds", state.train_seconds}}},
      {"random", io::Tree::Map{{"seed", random.seed}, {"calls", random.calls}}},
      {"optimizer", optimizer.settings},
      {"schedule", state.task.schedule ? state.task.schedule->state_dict() : io::Tree()},
      {"metrics", std::move(lines)}};
  return archive;
}

void Trainer::restore(const io::Archive& archive) {
  State& state = *state_;
  const OnDevice here(state.device());
  const io::Tree& meta = archive.meta;
  Place place;
  RandomState random;
  from_file(archive.meta_path, [&] {
    if (meta.at("format").as_int() != 1)
      throw Error(ErrorCode::file_mismatch, "the checkpoint is of a newer format")
          .hint("load it with the version of Troupe that wrote it");
    const io::Tree& schedule = meta.at("schedule");
    if (schedule.is_null() != !state.task.schedule)
      throw Error(
          ErrorCode::file_mismatch,
          schedule.is_null() ? "the checkpoint has no schedule, the trainer one"
                             : "the checkpoint has a schedule, the trainer none");
    if (state.task.schedule) (void)count_at(schedule, "last_epoch");
    place = place_of(meta);
    random = {meta.at("random").at("seed").as_uint(), meta.at("random").at("calls").as_uint()};
  });

  // The model first: of what does not fit, its shapes tell most.
  const StateDict before = state.task.model.state_dict();
  from_file(archive.tensors_path, [&] {
    state.task.model.load_state_dict(from_host(archive.tensors, "model."));
  });
  from_file(archive.meta_path, [&] {
    try {
      state.task.optimizer.load_state_dict(
          {meta.at("optimizer"), from_host(archive.tensors, "optimizer.")});
    } catch (...) {
      state.task.model.load_state_dict(before);
      throw;
    }
    if (state.task.schedule) state.task.schedule->load_state_dict(meta.at("schedule"));
  });
  static_cast<Place&>(state) = std::move(place);
  Scope::current().random() = random;
}

}  // namespace troupe::nn
