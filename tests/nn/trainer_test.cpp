#include "support/engine.hpp"
#include "support/trainer_bits.hpp"

#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/gpt.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/sum.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace troupe::nn {
namespace {

using Catch::Approx;
using test::bits;

/// Images of 4 × 4 in three classes: one bright row each, among noise.
std::shared_ptr<const data::ImageSet> rows(std::int64_t count, std::uint64_t seed) {
  auto set = std::make_shared<data::ImageSet>();
  *set = {count, 1, 4, 4, {}, {}};
  const auto noise = test::numbers(static_cast<std::size_t>(count) * 16, seed);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::uint8_t>((i * 7 + i / 5) % 3);
    for (std::size_t pixel = 0; pixel < 16; ++pixel) {
      const float bright = pixel / 4 == label ? 60 : 0;
      const float value = 90 + 80 * noise[static_cast<std::size_t>(i) * 16 + pixel] + bright;
      set->images.push_back(static_cast<std::byte>(value));
    }
    set->labels.push_back(label);
  }
  return set;
}

/// Calls a function after each step.
class Watch final : public Callback {
 public:
  explicit Watch(std::function<void(Trainer&, const Progress&)> each) : each_(std::move(each)) {}
  void on_batch_end(Trainer& trainer, const Progress& progress) override {
    each_(trainer, progress);
  }

 private:
  std::function<void(Trainer&, const Progress&)> each_;
};

/// 10 batches an epoch, the last of which is smaller; dropout and batch norm, so that the random
/// state and the buffers count too.
struct Fixture {
  explicit Fixture(unsigned threads = 1) : engine(threads) { engine.scope.seed(5); }

  [[nodiscard]] Task task(bool with_schedule = true) const {
    const Sequential model{
        Flatten(), Linear(16, 12), BatchNorm1d(12), ReLU(), Dropout(0.25), Linear(12, 3)};
    Task task{.model = model, .optimizer = optim::Adam(model.parameters(), {.lr = 1e-2})};
    if (with_schedule) task.schedule = optim::CosineAnnealingLR(task.optimizer, 30);
    return task;
  }
  [[nodiscard]] data::Loader loader(
      std::int64_t count, bool shuffle, std::int64_t batch = 16) const {
    return {
        engine.device,
        rows(count, shuffle ? 1 : 2),
        {},
        {},
        {.batch_size = batch, .shuffle = shuffle, .seed = 9}};
  }

  test::Engine engine;
  data::Loader train = loader(150, true);
  data::Loader test_set = loader(60, false);
};

std::string bits_of_fit(unsigned threads, TrainerOptions options) {
  Fixture fixture(threads);
  Trainer trainer(fixture.task(), std::move(options));
  CHECK(trainer.fit(fixture.train, &fixture.test_set));
  return bits(trainer);
}

const auto doors = {Door::program, Door::define_by_run};

/// Calls a function with the tree as it is when one of its leaves is another: for each leaf, and
/// each of the values in its place. `where` names the leaf, as "totals.samples".
void each_change(
    const io::Tree& tree,
    const std::vector<io::Tree>& values,
    const std::function<void(const std::string& where, const io::Tree& changed)>& call,
    const std::string& where = "") {
  if (tree.kind() == "map") {
    const io::Tree::Map& entries = tree.as_map();
    for (std::size_t i = 0; i < entries.size(); ++i)
      each_change(
          entries[i].second,
          values,
          [&](const std::string& place, const io::Tree& changed) {
            io::Tree::Map copy = entries;
            copy[i].second = changed;
            call(place, copy);
          },
          where + "." + entries[i].first);
  } else if (tree.kind() == "list") {
    const io::Tree::List& entries = tree.as_list();
    for (std::size_t i = 0; i < entries.size(); ++i)
      each_change(
          entries[i],
          values,
          [&](const std::string& place, const io::Tree& changed) {
            io::Tree::List copy = entries;
            copy[i] = changed;
            call(place, copy);
          },
          where + "." + std::to_string(i));
  } else {
    for (const io::Tree& value : values) call(where.substr(1), value);
  }
}

}  // namespace

TEST_CASE("a fit learns, and tells what each epoch came to", "[nn]") {
  Fixture fixture(2);
  Trainer trainer(fixture.task(), {.max_epochs = 8, .schedule_interval = ScheduleInterval::epoch});
  CHECK(trainer.fit(fixture.train, &fixture.test_set));
  REQUIRE(trainer.metrics().size() == 8);
  const EpochMetrics& first = trainer.metrics().front();
  const EpochMetrics& last = trainer.metrics().back();
  CHECK(first.epoch == 1);
  CHECK(first.step == 10);
  CHECK(last.epoch == 8);
  CHECK(last.step == 80);
  CHECK(last.train_loss < first.train_loss);
  CHECK(last.test_accuracy > 0.8);
  CHECK(last.seconds > 0);
  CHECK(last.samples_per_second > 0);
  CHECK(EpochMetrics::from(last.tree()).tree() == last.tree());

  // The last epoch's test, once more; and the mode the model was left in.
  const Evaluation found = trainer.evaluate(fixture.test_set);
  CHECK(found.loss == last.test_loss);
  CHECK(found.accuracy == last.test_accuracy);
  CHECK(found.samples == 60);
  CHECK(trainer.task().model.training());
}

// Goal: bits depend on neither door nor threads.
TEST_CASE("both doors give the same bits on any number of threads", "[nn]") {
  const auto accumulate = GENERATE(1, 3);
  const auto options = [&](Door door) {
    return TrainerOptions{
        .max_epochs = 3,
        .gradient_clip_val = 0.5,
        .accumulate_grad_batches = accumulate,
        .door = door,
        .schedule_interval = ScheduleInterval::step};
  };
  const std::string expected = bits_of_fit(1, options(Door::program));
  for (const unsigned threads : {1u, 2u, 4u})
    for (const Door door : doors) {
      CAPTURE(threads, static_cast<int>(door));
      CHECK(bits_of_fit(threads, options(door)) == expected);
    }
}

// Goal: mixed precision learns as well, keeps everything in float32, and is as reproducible.
TEST_CASE("in bfloat16 a fit learns as in float32, with its own bits", "[nn]") {
  const auto options = [](DType precision, Door door) {
    return TrainerOptions{.max_epochs = 3, .door = door, .precision = precision};
  };
  const std::string expected = bits_of_fit(1, options(DType::bfloat16, Door::program));
  CHECK(expected != bits_of_fit(1, options(DType::float32, Door::program)));
  for (const unsigned threads : {1u, 2u, 4u})
    for (const Door door : doors) {
      CAPTURE(threads, static_cast<int>(door));
      CHECK(bits_of_fit(threads, options(DType::bfloat16, door)) == expected);
    }

  Fixture fixture(2);
  TrainerOptions longer = options(DType::bfloat16, Door::program);
  longer.max_epochs = 8;
  Trainer trainer(fixture.task(), longer);
  CHECK(trainer.fit(fixture.train, &fixture.test_set));
  CHECK(trainer.metrics().back().test_accuracy > 0.8);
  CHECK(trainer.evaluate(fixture.test_set).loss == trainer.metrics().back().test_loss);
  for (const io::HostTensor& tensor : trainer.archive().tensors)
    CHECK(tensor.dtype() != DType::bfloat16);
  // Outside of the fit nothing has changed.
  CHECK(Scope::current().product_dtype() == DType::float32);
}

// Goal: a fit that was stopped after any step, saved, and gone on with in a new process is the same
// fit. Method: the archive goes through its file forms into a trainer of another system.
TEST_CASE("a stopped fit goes on with the same bits", "[nn]") {
  const Door door = GENERATE(Door::program, Door::define_by_run);
  const TrainerOptions plain{
      .max_epochs = 3, .door = door, .schedule_interval = ScheduleInterval::step};
  const std::string expected = bits_of_fit(1, plain);
  for (const std::int64_t stop_after : {1, 7, 9, 10, 11, 25, 29}) {
    CAPTURE(stop_after);
    io::Archive saved;
    {
      Fixture fixture;
      std::stop_source stop;
      TrainerOptions options = plain;
      options.stop = stop.get_token();
      options.callbacks = {std::make_shared<Watch>([&](Trainer&, const Progress& progress) {
        if (progress.step == stop_after) stop.request_stop();
      })};
      Trainer trainer(fixture.task(), options);
      CHECK_FALSE(trainer.fit(fixture.train, &fixture.test_set));
      CHECK(trainer.step() == stop_after);
      saved = trainer.archive();
    }
    saved.meta = io::parse_json(io::to_json(saved.meta), "meta").value();
    Fixture fixture(2);
    fixture.engine.scope.seed(1234);  // the archive brings the random state
    std::set<std::int64_t> first_batches;
    TrainerOptions watched = plain;
    watched.callbacks = {std::make_shared<Watch>(
        [&](Trainer&, const Progress& progress) { first_batches.insert(progress.first_batch); })};
    Trainer trainer(fixture.task(), watched);
    trainer.restore(saved);
    CHECK(trainer.step() == stop_after);
    CHECK(trainer.fit(fixture.train, &fixture.test_set));
    CHECK(first_batches == std::set<std::int64_t>{0, stop_after % 10});
    CHECK(bits(trainer) == expected);
  }
}

TEST_CASE("two batches accumulated are one of twice the size", "[nn]") {
  const auto weights = [](std::int64_t batch, std::int64_t accumulate) {
    const Fixture fixture;
    const Sequential model{Flatten(), Linear(16, 3)};
    data::Loader loader = fixture.loader(128, true, batch);
    Trainer trainer(
        {model, optim::SGD(model.parameters(), {.lr = 0.1})},
        {.accumulate_grad_batches = accumulate});
    CHECK(trainer.fit(loader));
    CHECK(trainer.step() == 8);
    return model.parameters()[0].tensor().to_vector<float>();
  };
  const auto whole = weights(16, 1);
  const auto halves = weights(8, 2);
  // Sums of 16 terms in another order: a few units in the last place of float32.
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(halves[i] == Approx(whole[i]).margin(1e-5));
}

TEST_CASE("clipping bounds the step that the weights make", "[nn]") {
  const Fixture fixture;
  const Sequential model{Flatten(), Linear(16, 3)};
  const auto before = model.parameters()[0].tensor().to_vector<float>();
  data::Loader loader = fixture.loader(16, true);
  Trainer trainer({model, optim::SGD(model.parameters(), {.lr = 1})}, {.gradient_clip_val = 1e-3});
  CHECK(trainer.fit(loader));
  const auto after = model.parameters()[0].tensor().to_vector<float>();
  double square = 0;
  for (std::size_t i = 0; i < after.size(); ++i) square += std::pow(after[i] - before[i], 2);
  CHECK(std::sqrt(square) > 1e-4);
  CHECK(std::sqrt(square) < 1.001e-3);
}

TEST_CASE("progress counts batches, steps and samples", "[nn]") {
  Fixture fixture;
  std::vector<Progress> seen;
  Trainer trainer(
      fixture.task(),
      {.max_epochs = 2,
       .accumulate_grad_batches = 4,
       .callbacks = {std::make_shared<Watch>(
           [&](Trainer&, const Progress& progress) { seen.push_back(progress); })}});
  CHECK(trainer.fit(fixture.train, &fixture.test_set));
  // Each epoch: 10 batches in steps of 4, 4 and 2; then 4 of the test.
  REQUIRE(seen.size() == 2 * (3 + 4));
  CHECK(seen[0].batch == 4);
  CHECK(seen[2].batch == 10);
  CHECK(seen[2].batches == 10);
  CHECK(seen[2].samples == 150);
  CHECK(seen[2].step == 3);
  CHECK(seen[2].fraction() == 1);
  CHECK_FALSE(seen[2].testing);
  CHECK(seen[3].testing);
  CHECK(seen[6].batch == 4);
  CHECK(seen[6].samples == 60);
  CHECK(seen[13].epoch == 1);
  CHECK(seen[13].loss.has_value());
  CHECK_FALSE(seen[0].loss.has_value());  // losses are read two steps late
  CHECK(seen[9].samples_per_second > 0);
}

TEST_CASE("steps of a fit are measured where they are a program's", "[nn]") {
  Fixture fixture;
  const auto watch = std::make_shared<Watch>([](Trainer& trainer, const Progress& progress) {
    if (progress.step == 3) trainer.measure(true);
    if (progress.step == 6) trainer.measure(false);
  });
  Trainer trainer(fixture.task(), {.callbacks = {watch}});
  CHECK(trainer.fit(fixture.train));
  const ProgramProfile profile = trainer.profile();
  CHECK(profile.steps == 3);
  CHECK(profile.ops.back().late);
  CHECK(profile.seconds > 0);

  Trainer calling(fixture.task(), {.door = Door::define_by_run});
  CHECK_NOTHROW(calling.measure(false));
  try {
    calling.measure(true);
    FAIL("it would measure what is no program");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(!error.hint().empty());
  }
}

TEST_CASE("without a test loader the test's metrics are no numbers", "[nn]") {
  Fixture fixture;
  Trainer trainer(fixture.task(), {});
  CHECK(trainer.fit(fixture.train));
  CHECK(std::isnan(trainer.metrics()[0].test_loss));
  CHECK(std::isnan(EpochMetrics::from(trainer.metrics()[0].tree()).test_accuracy));
}

TEST_CASE("what a callback throws ends the fit, which can go on", "[nn]") {
  Fixture fixture;
  bool broken = true;
  Trainer trainer(
      fixture.task(),
      {.callbacks = {std::make_shared<Watch>([&](Trainer&, const Progress& progress) {
         if (broken && progress.step == 4) throw std::runtime_error("planted");
       })}});
  CHECK_THROWS_AS(trainer.fit(fixture.train), std::runtime_error);
  broken = false;
  CHECK(trainer.fit(fixture.train));
  CHECK(trainer.step() == 10);
}

TEST_CASE("a NaN ends the fit with step and op, and the trap is taken back", "[nn]") {
  const Door door = GENERATE(Door::program, Door::define_by_run);
  const unsigned threads = GENERATE(1u, 2u);
  Fixture fixture(threads);
  Task task = fixture.task();
  // A step of this length takes the weights past what float32 holds.
  task.optimizer = optim::SGD(task.model.parameters(), {.lr = 1e38});
  task.schedule.reset();
  Trainer trainer(task, {.door = door, .detect_nan = true});
  try {
    (void)trainer.fit(fixture.train);
    FAIL("ended well");
  } catch (const Error& error) {
    CAPTURE(error.what());
    CHECK(error.code() == ErrorCode::nan_found);
    // The second layer's batch norm is the first to meet a difference of infinities.
    CHECK(error.op().starts_with("batch_norm"));
    CHECK(error.step() == 2);
    CHECK(error.line() > 0);
  }
  CHECK_FALSE(Engine::of(fixture.engine.system).trap_nan);
}

TEST_CASE("a NaN of the update itself is found before it is written", "[nn]") {
  const Door door = GENERATE(Door::program, Door::define_by_run);
  const unsigned threads = GENERATE(1u, 2u);
  const Fixture fixture(threads);
  const Sequential model{Flatten(), Linear(16, 3)};
  const auto weights = [&] {
    std::vector<std::vector<float>> all;
    for (const Parameter& parameter : model.parameters())
      all.push_back(parameter.tensor().to_vector<float>());
    return all;
  };
  const auto before = weights();
  data::Loader loader = fixture.loader(48, true);
  // A rate past what float32 holds: infinite, and times a gradient of 0 no number.
  Task task{.model = model, .optimizer = optim::SGD(model.parameters(), {.lr = 1e39})};
  task.loss = [](const Tensor& scores, const Tensor&) { return sum(scores) * 0.0f; };
  Trainer trainer(task, {.door = door, .detect_nan = true});
  try {
    (void)trainer.fit(loader);
    FAIL("ended well");
  } catch (const Error& error) {
    CAPTURE(error.what());
    CHECK(error.code() == ErrorCode::nan_found);
    CHECK(error.op() == "sgd_update");
    CHECK(error.step() == 1);
    CHECK(error.file().ends_with("trainer.cpp"));
  }
  CHECK(weights() == before);
}

TEST_CASE("archives of other models, optimizers and schedules are refused", "[nn]") {
  Fixture fixture;
  Trainer trainer(fixture.task(), {});
  const io::Archive archive = trainer.archive(io::Tree("mine"));
  CHECK(archive.meta.at("about").as_string() == "mine");
  const auto code = [&](Task task) {
    try {
      Trainer(std::move(task)).restore(archive);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  const Sequential other{Flatten(), Linear(16, 3)};
  Task other_model{.model = other, .optimizer = optim::Adam(other.parameters())};
  other_model.schedule = optim::CosineAnnealingLR(other_model.optimizer, 30);
  CHECK(code(other_model) == ErrorCode::file_mismatch);

  Task other_optimizer = fixture.task();
  other_optimizer.optimizer = optim::SGD(other_optimizer.model.parameters(), {.momentum = 0.9});
  other_optimizer.schedule = optim::CosineAnnealingLR(other_optimizer.optimizer, 30);
  CHECK(code(other_optimizer) == ErrorCode::file_mismatch);
  CHECK(code(fixture.task(false)) == ErrorCode::file_mismatch);
  CHECK(code(fixture.task()) == ErrorCode::internal);  // fits
}

TEST_CASE("numbers that no trainer saves are refused, naming file and number", "[nn]") {
  Fixture fixture;
  Trainer trainer(fixture.task(), {});
  CHECK(trainer.fit(fixture.train));
  io::Archive archive = trainer.archive();
  archive.meta_path = "save-000001/meta.json";
  archive.tensors_path = "save-000001/state.safetensors";
  const std::string before = bits(trainer);
  const auto message = [&] {
    try {
      trainer.restore(archive);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::file_mismatch);
      CHECK(bits(trainer) == before);
      return error.message();
    }
    return std::string("was accepted");
  };

  const io::Tree meta = archive.meta;
  const auto expect = [&](const std::string& leaf, const io::Tree& value) {
    bool found = false;
    each_change(meta, {value}, [&](const std::string& where, const io::Tree& changed) {
      if (where != leaf) return;
      found = true;
      archive.meta = changed;
      const std::string told = message();
      CAPTURE(where, told);
      CHECK(told.starts_with("save-000001/meta.json: "));
      CHECK(told.find("'" + leaf.substr(leaf.rfind('.') + 1) + "'") != std::string::npos);
    });
    CAPTURE(leaf);
    CHECK(found);
  };
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  expect("batch", std::int64_t{1} << 62);
  expect("batch", -1);
  expect("step", most);
  expect("epoch", 2);
  expect("epoch", -1);
  expect("totals.samples", -3);
  expect("totals.correct", 1);  // of no samples
  expect("totals.seconds", "NaN");
  expect("totals.train_seconds", -1.0);
  expect("optimizer.groups.0.lr", "NaN");
  expect("optimizer.groups.0.lr", "Infinity");
  expect("optimizer.groups.0.initial_lr", -0.5);
  expect("optimizer.groups.0.step", -10);
  expect("optimizer.groups.0.step", most);
  expect("optimizer.groups.0.settings.beta1", 1.5);
  expect("optimizer.groups.0.settings.eps", "Infinity");
  expect("schedule.last_epoch", -1);

  archive.meta = meta;
  archive.tensors.erase(archive.tensors.begin());
  CHECK(message().starts_with("save-000001/state.safetensors: the state does not fit"));
}

TEST_CASE("a place past the end of the epoch is refused when the loader is known", "[nn]") {
  Fixture fixture;
  Trainer trainer(fixture.task(), {});
  io::Archive archive = trainer.archive();
  archive.meta["batch"] = 11;
  trainer.restore(archive);
  try {
    (void)trainer.fit(fixture.train);
    FAIL("went on");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::file_mismatch);
    CHECK(error.message().find("after batch 11, but has 10") != std::string::npos);
  }
}

// Goal: whatever a checkpoint's tree says, restoring it ends with a typed error and changes
// nothing, or with a trainer that can fit and save. Method: each leaf of the tree in turn becomes
// each of the values that break programs.
TEST_CASE("no change to an archive brings a trainer down", "[nn]") {
  Fixture fixture;
  std::stop_source stop;
  Trainer first(
      fixture.task(),
      {.max_epochs = 2,
       .stop = stop.get_token(),
       .callbacks = {std::make_shared<Watch>([&](Trainer&, const Progress& progress) {
         if (progress.step == 13) stop.request_stop();
       })}});
  CHECK_FALSE(first.fit(fixture.train));
  const io::Archive saved = first.archive();

  const std::vector<io::Tree> values{
      io::Tree(),
      -1,
      0,
      1,
      std::int64_t{1} << 53,
      std::numeric_limits<std::int64_t>::max(),
      std::numeric_limits<std::int64_t>::min(),
      ~std::uint64_t{0},
      1e308,
      "NaN",
      "Infinity",
      "x",
      io::Tree::List(),
      io::Tree::Map()};
  Trainer trainer(fixture.task(), {.max_epochs = 2});
  std::string before = bits(trainer);
  int refused = 0;
  int accepted = 0;
  each_change(saved.meta, values, [&](const std::string& where, const io::Tree& changed) {
    CAPTURE(where, io::to_json(changed));
    io::Archive archive{changed, saved.tensors, "meta.json", "state.safetensors"};
    try {
      trainer.restore(archive);
    } catch (const Error& error) {
      ++refused;
      CHECK(error.code() == ErrorCode::file_mismatch);
      CHECK(error.message().starts_with("meta.json: "));
      CHECK(bits(trainer) == before);
      return;
    }
    ++accepted;
    try {
      CHECK(trainer.fit(fixture.train));
    } catch (const Error& error) {
      // Only the loader knows how many batches there are.
      CHECK(error.code() == ErrorCode::file_mismatch);
      CHECK(where == "batch");
    }
    before = bits(trainer);
  });
  CHECK(refused > 100);
  CHECK(accepted > 20);
}

namespace {

/// Throws what a lost device would, once after the step it is told, and leaves nothing on the
/// device that could be read by mistake.
class Loss final : public Callback {
 public:
  explicit Loss(std::function<bool(const Progress&)> when) : when_(std::move(when)) {}
  void on_batch_end(Trainer& trainer, const Progress& progress) override {
    if (!when_ || !when_(progress)) return;
    when_ = nullptr;
    for (Parameter& parameter : trainer.task().model.parameters()) spoil(parameter);
    for (Parameter& buffer : trainer.task().model.buffers()) spoil(buffer);
    throw Error(ErrorCode::device_lost, "planted");
  }
  void on_device_lost(Trainer& trainer, Device& lost, const Error& reason) override {
    CHECK(reason.message() == "planted");
    told.push_back({&lost, &trainer.device(), trainer.step()});
  }

  struct Told {
    const Device* lost;
    const Device* next;
    std::int64_t step;
  };
  std::vector<Told> told;

 private:
  static void spoil(Parameter& parameter) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    if (!is_floating(parameter.dtype())) return parameter.set(parameter.tensor() * 0);
    parameter.set(parameter.tensor() * nan);
    std::vector<Tensor> states = parameter.states();
    for (Tensor& state : states) state = state * nan;
    parameter.set_states(states);
  }

  std::function<bool(const Progress&)> when_;
};

TrainerOptions options_of(Door door, std::int64_t max_epochs = 3, std::int64_t shards = 1) {
  TrainerOptions options;
  options.max_epochs = max_epochs;
  options.door = door;
  options.shards.of = shards;
  options.schedule_interval = ScheduleInterval::step;
  return options;
}

/// A fit that is stopped after a step, saved, and gone on with by another trainer.
std::string bits_of_stopped_fit(Door door, std::int64_t stop_after, std::int64_t shards) {
  io::Archive saved;
  {
    Fixture fixture;
    std::stop_source stop;
    TrainerOptions options = options_of(door, 3, shards);
    options.stop = stop.get_token();
    options.callbacks = {std::make_shared<Watch>([&](Trainer&, const Progress& progress) {
      if (progress.step == stop_after) stop.request_stop();
    })};
    Trainer trainer(fixture.task(), options);
    if (stop_after > 0) CHECK_FALSE(trainer.fit(fixture.train, &fixture.test_set));
    saved = trainer.archive();
  }
  Fixture fixture;
  Trainer trainer(fixture.task(), options_of(door, 3, shards));
  trainer.restore(saved);
  CHECK(trainer.fit(fixture.train, &fixture.test_set));
  return bits(trainer);
}

}  // namespace

// Goal: wherever a loss falls, the fit goes on from the last commit before it with the bits of a
// trainer that was restored from there, and reads nothing from the device that is lost.
TEST_CASE("a fit whose device is lost goes on elsewhere from the last commit", "[nn]") {
  struct Case {
    std::int64_t lost_after;  // steps
    bool testing;             // in the test that follows it
    std::int64_t committed;
  };
  const Door door = GENERATE(Door::program, Door::define_by_run);
  // 10 steps an epoch, a commit each 4 and at the end of each.
  const auto [lost_after, testing, committed] = GENERATE(
      Case{1, false, 0},
      Case{6, false, 4},
      Case{8, false, 4},  // before it was committed itself
      Case{10, true, 8},
      Case{13, false, 10},
      Case{30, true, 28});
  const std::int64_t shards = GENERATE(1, 3);
  CAPTURE(door == Door::program, lost_after, testing, shards);
  Fixture fixture;
  Device& second = cpu::attach(fixture.engine.system);
  const auto loss = std::make_shared<Loss>(
      [lost_after = lost_after, testing = testing](const Progress& progress) {
        return progress.step == lost_after && progress.testing == testing;
      });
  TrainerOptions options = options_of(door, 3, shards);
  options.callbacks = {loss};
  options.fallback_devices = {&second};
  options.commit_every_n_steps = 4;
  Trainer trainer(fixture.task(), options);
  CHECK(&trainer.device() == &fixture.engine.device);
  CHECK(trainer.fit(fixture.train, &fixture.test_set));

  REQUIRE(loss->told.size() == 1);
  CHECK(loss->told[0].lost == &fixture.engine.device);
  CHECK(loss->told[0].next == &second);
  CHECK(loss->told[0].step == committed);
  CHECK(&trainer.device() == &second);
  for (const Parameter& parameter : trainer.task().model.parameters())
    CHECK(&parameter.device() == &second);
  CHECK(bits(trainer) == bits_of_stopped_fit(door, committed, shards));
}

TEST_CASE("each loss takes the next fallback device, and the last ends the fit", "[nn]") {
  const bool enough = GENERATE(true, false);
  Fixture fixture;
  Device& second = cpu::attach(fixture.engine.system);
  Device& third = cpu::attach(fixture.engine.system);
  const auto in_step = [](std::int64_t step) {
    return std::make_shared<Loss>([=](const Progress& progress) { return progress.step == step; });
  };
  const auto first_loss = in_step(3);
  const auto second_loss = in_step(15);
  TrainerOptions options = options_of(Door::program, 2);
  options.callbacks = {first_loss, second_loss};
  options.fallback_devices = {&second};
  if (enough) options.fallback_devices.push_back(&third);
  Trainer trainer(fixture.task(), options);
  if (!enough) {
    CHECK_THROWS_AS(trainer.fit(fixture.train, &fixture.test_set), Error);
    CHECK(&trainer.device() == &second);
    return;
  }
  CHECK(trainer.fit(fixture.train, &fixture.test_set));
  CHECK(&trainer.device() == &third);
  REQUIRE(second_loss->told.size() == 2);
  CHECK(second_loss->told[1].lost == &second);
  CHECK(second_loss->told[1].step == 10);
  CHECK(bits(trainer) == bits_of_fit(1, options_of(Door::program, 2)));
}

TEST_CASE("without a fallback device a loss ends the fit, as does any other error with", "[nn]") {
  Fixture fixture;
  Device& second = cpu::attach(fixture.engine.system);
  const bool with = GENERATE(true, false);
  const ErrorCode code = with ? ErrorCode::out_of_memory : ErrorCode::device_lost;
  TrainerOptions options;
  options.callbacks = {
      std::make_shared<Watch>([code](Trainer&, const Progress&) { throw Error(code, "planted"); })};
  if (with) options.fallback_devices = {&second};
  Trainer trainer(fixture.task(), options);
  try {
    (void)trainer.fit(fixture.train);
    FAIL("ended well");
  } catch (const Error& error) {
    CHECK(error.code() == code);
  }
  CHECK(&trainer.device() == &fixture.engine.device);
}

namespace {

/// Counts its calls in a buffer that no checkpoint keeps.
struct Counting : Layer<Counting> {
  Counting() : Layer("Counting") {}
  Parameter calls =
      register_buffer("calls", Tensor::copy_of<float>(std::vector<float>{0}, {1}), false);
  Tensor forward(const Operand& input) const {
    Parameter count = calls;
    const NoGrad no_grad;
    count.set(count.tensor() + 1);
    return input.tensor();
  }
};

}  // namespace

TEST_CASE("a commit keeps the buffers too that no checkpoint keeps", "[nn]") {
  Fixture fixture;
  Device& second = cpu::attach(fixture.engine.system);
  const Counting counting;
  const Sequential model{Flatten(), counting, Linear(16, 3)};
  Trainer trainer(
      {model, optim::SGD(model.parameters(), {.lr = 0.1})},
      {.callbacks = {std::make_shared<Loss>(
           [](const Progress& progress) { return progress.step == 7; })},
       .fallback_devices = {&second},
       .commit_every_n_steps = 2});
  CHECK(trainer.fit(fixture.train));
  CHECK(counting.calls.tensor().to_vector<float>() == std::vector<float>{10});
}

namespace {

/// "ab4ab0ab9…", with digits that nobody can know.
std::shared_ptr<const data::Text> text_of(std::int64_t bytes, std::uint64_t seed) {
  auto text = std::make_shared<data::Text>();
  const auto noise = test::numbers(static_cast<std::size_t>(bytes), seed);
  for (std::size_t i = 0; i < noise.size(); ++i) {
    const std::string next = "ab" + std::to_string(static_cast<int>(std::floor(5 + 5 * noise[i])));
    text->bytes.push_back(static_cast<std::byte>(next[i % 3]));
  }
  return text;
}

/// 14 batches an epoch of 16 windows of 8 bytes, the last of which is smaller.
struct TextFixture {
  explicit TextFixture(unsigned threads = 1) : engine(threads) { engine.scope.seed(5); }

  [[nodiscard]] static Task task(bool tied) {
    const GPT model(
        {.vocab_size = 128,
         .context_length = 8,
         .num_layers = 1,
         .embed_dim = 16,
         .num_heads = 2,
         .dropout = 0.1,
         .tied = tied});
    return {.model = model, .optimizer = optim::AdamW(model.parameters(), {.lr = 1e-2})};
  }
  [[nodiscard]] data::Loader loader(std::int64_t bytes, bool shuffle) const {
    return {
        engine.device,
        text_of(bytes, shuffle ? 1 : 2),
        8,
        {.batch_size = 16, .shuffle = shuffle, .seed = 9}};
  }

  test::Engine engine;
  data::Loader train = loader(1800, true);
  data::Loader test_set = loader(200, false);
};

}  // namespace

TEST_CASE("a language model learns what can be known of its text", "[nn]") {
  TextFixture fixture(2);
  std::int64_t samples = 0;
  Trainer trainer(
      TextFixture::task(/*tied=*/false),
      {.max_epochs = 6,
       .callbacks = {std::make_shared<Watch>(
           [&](Trainer&, const Progress& progress) { samples = progress.samples; })}});
  CHECK(trainer.fit(fixture.train, &fixture.test_set));
  CHECK(samples == 24 * 8);  // each byte of a window counts
  // Two bytes in three can be known, and the third is one of ten; by some chance of the 64 tested.
  const EpochMetrics& last = trainer.metrics().back();
  CAPTURE(last.test_loss);
  CHECK(last.test_loss > std::log(10.0) / 3 - 0.05);
  CHECK(last.test_loss < std::log(10.0) / 3 + 0.15);
  CHECK(last.test_accuracy > 0.6);
  const Evaluation found = trainer.evaluate(fixture.test_set);
  CHECK(found.loss == last.test_loss);
  CHECK(found.samples == 24 * 8);
}

// Goal: for a language model as for a classifier of images, bits depend on neither door nor threads
// nor on a stop in the middle of an epoch.
TEST_CASE("a language model's bits depend on nothing but the seed", "[nn]") {
  const auto fit = [](unsigned threads, Door door, std::int64_t stop_after) {
    io::Archive saved;
    if (stop_after > 0) {
      TextFixture fixture;
      std::stop_source stop;
      Trainer trainer(
          TextFixture::task(/*tied=*/true),
          {.max_epochs = 2,
           .door = door,
           .stop = stop.get_token(),
           .callbacks = {std::make_shared<Watch>([&](Trainer&, const Progress& progress) {
             if (progress.step == stop_after) stop.request_stop();
           })}});
      CHECK_FALSE(trainer.fit(fixture.train, &fixture.test_set));
      saved = trainer.archive();
    }
    TextFixture fixture(threads);
    Trainer trainer(TextFixture::task(/*tied=*/true), {.max_epochs = 2, .door = door});
    if (stop_after > 0) trainer.restore(saved);
    CHECK(trainer.fit(fixture.train, &fixture.test_set));
    return bits(trainer);
  };
  const std::string expected = fit(1, Door::program, 0);
  for (const Door door : doors) {
    CAPTURE(static_cast<int>(door));
    for (const unsigned threads : {1u, 2u, 4u}) CHECK(fit(threads, door, 0) == expected);
    for (const std::int64_t stop_after : {3, 14, 20}) CHECK(fit(2, door, stop_after) == expected);
  }
}

TEST_CASE("options out of range are refused at the call", "[nn]") {
  const Fixture fixture;
  CHECK_THROWS_AS(Trainer(fixture.task(), {.max_epochs = -1}), Error);
  CHECK_THROWS_AS(Trainer(fixture.task(), {.gradient_clip_val = -1}), Error);
  CHECK_THROWS_AS(Trainer(fixture.task(), {.accumulate_grad_batches = 0}), Error);
  CHECK_THROWS_AS(Trainer(fixture.task(), {.precision = DType::float16}), Error);
  CHECK_THROWS_AS(Trainer(fixture.task(), {.fallback_devices = {nullptr}}), Error);
  CHECK_THROWS_AS(Trainer(fixture.task(), {.commit_every_n_steps = 0}), Error);
}

TEST_CASE("a fallback device of another system is refused before a step is done", "[nn]") {
  System other(System::Options{.threads = 1});
  Device& elsewhere = cpu::attach(other);
  Fixture fixture;
  Trainer trainer(fixture.task(), {.fallback_devices = {&elsewhere}});
  CHECK_THROWS_AS(trainer.fit(fixture.train), Error);
  CHECK(trainer.step() == 0);
}

}  // namespace troupe::nn
