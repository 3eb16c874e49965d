#include "shard_step.hpp"

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
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/gt.hpp>
#include <troupe/tensor/ops/logical_not.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace troupe::nn {
namespace {

using Catch::Approx;
using test::bits;

const auto doors = {Door::program, Door::define_by_run};

/// Images of 4 × 4 in three classes: one bright row each, among noise.
std::shared_ptr<const data::ImageSet> images(std::int64_t count) {
  auto set = std::make_shared<data::ImageSet>();
  *set = {count, 1, 4, 4, {}, {}};
  const auto noise = test::numbers(static_cast<std::size_t>(count) * 16, 3);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::uint8_t>((i * 7 + i / 5) % 3);
    for (std::size_t pixel = 0; pixel < 16; ++pixel)
      set->images.push_back(static_cast<std::byte>(
          90 + 80 * noise[static_cast<std::size_t>(i) * 16 + pixel] + (pixel / 4 == label) * 60));
    set->labels.push_back(label);
  }
  return set;
}

/// Sees a trainer after each step.
class Watch final : public Callback {
 public:
  explicit Watch(std::function<void(Trainer&)> each) : each_(std::move(each)) {}
  void on_batch_end(Trainer& trainer, const Progress&) override { each_(trainer); }

 private:
  std::function<void(Trainer&)> each_;
};

/// 7 batches an epoch, the last of which is smaller; dropout and batch norm, so that the random
/// state and the buffers count too.
struct Process {
  explicit Process(unsigned threads = 1) : engine(threads) { engine.scope.seed(5); }

  [[nodiscard]] static Task task() {
    const Sequential model{
        Flatten(), Linear(16, 12), BatchNorm1d(12), ReLU(), Dropout(0.25), Linear(12, 3)};
    return {.model = model, .optimizer = optim::Adam(model.parameters(), {.lr = 1e-2})};
  }
  [[nodiscard]] data::Loader loader(const Shards& shards = {}, std::int64_t count = 106) const {
    return {
        engine.device,
        images(count),
        {},
        {},
        {.batch_size = 16, .seed = 9, .augment = {.crop_padding = 1}, .shards = shards}};
  }
  /// Two epochs, by a loader that makes the trainer's rows alone.
  [[nodiscard]] std::string bits_of_fit(TrainerOptions options) const {
    options.max_epochs = 2;
    data::Loader train = loader(options.shards);
    Trainer trainer(task(), std::move(options));
    CHECK(trainer.fit(train));
    return bits(trainer);
  }

  test::Engine engine;
};

TrainerOptions in_shards(const Shards& shards, ShardSum sum = {}, Door door = Door::program) {
  TrainerOptions options;
  options.gradient_clip_val = 0.5;
  options.accumulate_grad_batches = 2;
  options.door = door;
  options.shards = shards;
  options.shard_sum = std::move(sum);
  return options;
}

// --- other processes
// ------------------------------------------------------------------------------

/// Tensors in memory that no system owns.
using HostList = std::vector<io::HostTensor>;
struct Partial {
  ShardRange range;
  HostList sums;
};

HostList to_host_list(const std::vector<Tensor>& tensors) {
  StateDict named;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    named.emplace_back(std::to_string(i), tensors[i]);
  return to_host(named);
}

std::vector<Tensor> from_host_list(const HostList& list) {
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : from_host(list)) tensors.push_back(tensor);
  return tensors;
}

/// The sums over all shards, where those over some ranges are known.
std::vector<Tensor> joined(
    std::int64_t of, const std::vector<std::pair<ShardRange, std::vector<Tensor>>>& known) {
  std::vector<Tensor> sums;
  for (std::size_t i = 0; i < known[0].second.size(); ++i)
    sums.push_back(sum_by_tree(
        ShardRange{0, of},
        [&](ShardRange range) -> std::optional<Tensor> {
          for (const auto& [one, tensors] : known)
            if (one == range) return tensors[i];
          return std::nullopt;
        },
        [](const Tensor& a, const Tensor& b) { return a + b; }));
  return sums;
}

/// Where processes, on a thread each, leave each other what they added up by themselves.
class Meeting {
 public:
  explicit Meeting(std::size_t processes) : processes_(processes) {}

  /// The sum of a process that carries some shards: waits in each step until all others have come.
  [[nodiscard]] ShardSum sum_of(const Shards& here) {
    return [this, here, step = std::size_t{0}](std::span<const std::vector<Tensor>> lists) mutable {
      std::vector<Partial> mine;
      for (const ShardRange& range : ranges_here(here))
        mine.push_back({range, to_host_list(sum_of_range(range, lists, here.first))});
      std::vector<std::pair<ShardRange, std::vector<Tensor>>> known;
      for (const Partial& partial : wait(step++, std::move(mine)))
        known.emplace_back(partial.range, from_host_list(partial.sums));
      return joined(here.of, known);
    };
  }
  /// All that came, step by step.
  [[nodiscard]] const std::vector<std::vector<Partial>>& steps() const { return partials_; }

 private:
  std::vector<Partial> wait(std::size_t step, std::vector<Partial> mine) {
    std::unique_lock lock(mutex_);
    if (partials_.size() == step) {
      partials_.emplace_back();
      came_.push_back(0);
    }
    for (Partial& partial : mine) partials_[step].push_back(std::move(partial));
    ++came_[step];
    all_here_.notify_all();
    all_here_.wait(lock, [&] { return came_[step] == processes_; });
    return partials_[step];
  }

  std::size_t processes_;
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<std::vector<Partial>> partials_;  // of each step
  std::vector<std::size_t> came_;
};

/// The bits of a fit by several processes, each of which carries some of four shards.
std::vector<std::string> bits_of_processes(const std::vector<Shards>& carried, Meeting& meeting) {
  std::vector<std::string> found(carried.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < carried.size(); ++i)
    threads.emplace_back([&, i] {
      const Process process;
      found[i] = process.bits_of_fit(
          in_shards(carried[i], meeting.sum_of(carried[i]), Door::define_by_run));
    });
  for (std::thread& thread : threads) thread.join();
  return found;
}

std::string message_of(const std::function<void()>& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.message();
  }
  return "was taken";
}

/// What one step's `ShardSum` was given and what became of it, with one batch of the loader.
struct OneStep {
  std::vector<std::vector<std::vector<float>>> lists;  // of each shard, as floats
  std::vector<std::vector<float>> buffers;
  double loss = 0;
};

OneStep one_step(
    const Task& task,
    const std::shared_ptr<const data::ImageSet>& set,
    TrainerOptions options,
    std::int64_t batch_size) {
  OneStep seen;
  options.door = Door::define_by_run;
  if (!options.shard_sum)
    options.shard_sum = [&](std::span<const std::vector<Tensor>> lists) {
      for (const std::vector<Tensor>& list : lists) {
        seen.lists.emplace_back();
        for (const Tensor& tensor : list)
          seen.lists.back().push_back(cast(tensor, DType::float32).to_vector<float>());
      }
      return sum_of_shards(lists);
    };
  Device& device = Scope::current().device();
  data::Loader loader(device, set, {}, {}, {.batch_size = batch_size, .shuffle = false});
  Trainer trainer(task, std::move(options));
  CHECK(trainer.fit(loader));
  for (const Parameter& buffer : task.model.buffers())
    seen.buffers.push_back(cast(buffer.tensor(), DType::float32).to_vector<float>());
  seen.loss = trainer.metrics()[0].train_loss;
  return seen;
}

}  // namespace

// Goal: whoever carries the shards, bits are the same. Method: processes on threads of their own,
// which exchange what they added up by themselves, against one that carries all.
TEST_CASE("bits do not depend on who carries the shards", "[nn]") {
  const std::string expected = Process().bits_of_fit(in_shards({.of = 4}));
  CHECK(expected != Process().bits_of_fit(in_shards({.of = 2})));
  CHECK(expected != Process().bits_of_fit(in_shards({})));
  const auto carried = GENERATE(
      std::vector<Shards>{{.of = 4, .count = 2}, {.of = 4, .first = 2}},
      std::vector<Shards>{
          {.of = 4, .count = 1}, {.of = 4, .first = 1, .count = 2}, {.of = 4, .first = 3}},
      std::vector<Shards>{
          {.of = 4, .count = 1},
          {.of = 4, .first = 1, .count = 1},
          {.of = 4, .first = 2, .count = 1},
          {.of = 4, .first = 3}});
  Meeting meeting(carried.size());
  for (const std::string& found : bits_of_processes(carried, meeting)) CHECK(found == expected);

  // The same as programs, one process at a time: the others' sums enter by parameters, which hold
  // what was exchanged before.
  const auto& steps = meeting.steps();
  REQUIRE(steps.size() == 2 * 4);
  for (const Shards& here : carried) {
    const Process process;
    const auto own = [&](const Partial& partial) {
      return partial.range.begin >= here.first && partial.range.end <= here.end();
    };
    std::vector<std::pair<ShardRange, std::vector<Parameter>>> others;
    // The last step of an epoch has another list, for its one batch.
    const auto enter = [&](std::size_t step) {
      for (const Partial& partial : steps[step % steps.size()]) {
        if (own(partial)) continue;
        const std::vector<Tensor> sums = from_host_list(partial.sums);
        auto known = std::find_if(others.begin(), others.end(), [&](const auto& other) {
          return other.first == partial.range && other.second.size() == sums.size();
        });
        if (known == others.end()) {
          others.emplace_back(partial.range, std::vector<Parameter>());
          known = others.end() - 1;
          for (const Tensor& sum : sums) known->second.emplace_back(sum, false);
        }
        for (std::size_t i = 0; i < sums.size(); ++i) known->second[i].set(sums[i]);
      }
    };
    TrainerOptions options = in_shards(here, [&](std::span<const std::vector<Tensor>> lists) {
      std::vector<std::pair<ShardRange, std::vector<Tensor>>> known;
      for (const ShardRange& range : ranges_here(here))
        known.emplace_back(range, sum_of_range(range, lists, here.first));
      for (const auto& [range, parameters] : others) {
        if (parameters.size() != lists[0].size()) continue;
        std::vector<Tensor> sums;
        for (const Parameter& parameter : parameters) sums.push_back(parameter.tensor());
        known.emplace_back(range, std::move(sums));
      }
      return joined(here.of, known);
    });
    options.callbacks = {std::make_shared<Watch>(
        [&](Trainer& trainer) { enter(static_cast<std::size_t>(trainer.step())); })};
    enter(0);
    CHECK(process.bits_of_fit(options) == expected);
  }
}

// Goal: a program is of one cut. Method: the first of two shards has 4 rows of a batch of 9 and of
// the last one, of 8, so shapes do not tell that it weighs more there.
TEST_CASE("batches of other sizes are other programs, whatever the rows here", "[nn]") {
  const auto fit = [](Door door) {
    const Process process;
    const Shards half{.of = 2, .count = 1};
    data::Loader loader(
        process.engine.device, images(17), {}, {}, {.batch_size = 9, .seed = 9, .shards = half});
    Trainer trainer(
        Process::task(),
        {.max_epochs = 2,
         .shards = half,
         .shard_sum = [](std::span<const std::vector<Tensor>> lists) { return lists[0]; },
         .door = door});
    CHECK(trainer.fit(loader));
    return bits(trainer);
  };
  CHECK(fit(Door::program) == fit(Door::define_by_run));
}

// Goal: one shard is the whole batch, to the last bit.
TEST_CASE("one shard has the bits of none", "[nn]") {
  const Door door = GENERATE(Door::program, Door::define_by_run);
  const std::string plain = Process().bits_of_fit(in_shards({}, {}, door));
  CHECK(Process().bits_of_fit(in_shards({}, sum_of_shards, door)) == plain);
}

TEST_CASE("shards give the same bits through both doors, on any threads, by any passes", "[nn]") {
  const DType precision = GENERATE(DType::float32, DType::bfloat16);
  TrainerOptions options = in_shards({.of = 3});
  options.precision = precision;
  const std::string expected = Process().bits_of_fit(options);
  for (const unsigned threads : {1u, 2u, 4u})
    for (const Door door : doors) {
      CAPTURE(threads, static_cast<int>(door));
      options.door = door;
      CHECK(Process(threads).bits_of_fit(options) == expected);
    }
  options.door = Door::program;
  options.program.passes = Passes::none();
  CHECK(Process(2).bits_of_fit(options) == expected);
  options.program = {.steps_in_flight = 3};
  CHECK(Process(2).bits_of_fit(options) == expected);
}

TEST_CASE("a language model has the same bits in shards through both doors", "[nn]") {
  const auto fit = [](unsigned threads, Door door, std::int64_t of) {
    test::Engine engine(threads);
    engine.scope.seed(5);
    auto text = std::make_shared<data::Text>();
    for (int i = 0; i < 1000; ++i) text->bytes.push_back(static_cast<std::byte>(i * i % 11));
    const GPT model(
        {.vocab_size = 11,
         .context_length = 8,
         .num_layers = 1,
         .embed_dim = 16,
         .num_heads = 2,
         .dropout = 0.1,
         .tied = true});
    data::Loader loader(engine.device, text, 8, {.batch_size = 16, .seed = 9});
    Trainer trainer(
        {.model = model, .optimizer = optim::AdamW(model.parameters(), {.lr = 1e-2})},
        {.shards = {.of = of}, .door = door});
    CHECK(trainer.fit(loader));
    CHECK(trainer.metrics()[0].train_loss < 2.4);
    return bits(trainer);
  };
  const std::string expected = fit(1, Door::program, 4);
  CHECK(fit(2, Door::define_by_run, 4) == expected);
  CHECK(fit(1, Door::program, 1) != expected);
}

TEST_CASE("a stopped fit in shards goes on with the same bits", "[nn]") {
  const Door door = GENERATE(Door::program, Door::define_by_run);
  const std::string expected = Process().bits_of_fit(in_shards({.of = 4}, {}, door));
  io::Archive saved;
  {
    const Process process;
    std::stop_source stop;
    TrainerOptions options = in_shards({.of = 4}, {}, door);
    options.max_epochs = 2;
    options.stop = stop.get_token();
    options.callbacks = {std::make_shared<Watch>([&](Trainer& trainer) {
      if (trainer.step() == 5) stop.request_stop();
    })};
    data::Loader loader = process.loader();
    Trainer trainer(Process::task(), options);
    CHECK_FALSE(trainer.fit(loader));
    saved = trainer.archive();
  }
  const Process process(2);
  Scope::current().seed(77);  // the archive brings the random state
  TrainerOptions options = in_shards({.of = 4}, {}, door);
  options.max_epochs = 2;
  data::Loader loader = process.loader();
  Trainer trainer(Process::task(), options);
  trainer.restore(saved);
  CHECK(trainer.fit(loader));
  CHECK(bits(trainer) == expected);
}

// Goal: without batch statistics and dropout shards change rounding alone, also where the last
// batch has fewer rows than there are shards.
TEST_CASE("the gradient of shards is the batch's gradient", "[nn]") {
  const auto fit = [](const Shards& shards, Door door) {
    const Process process;
    const Sequential model{Flatten(), Linear(16, 12), ReLU(), Linear(12, 3)};
    data::Loader loader = process.loader({}, 16 + 3);
    Trainer trainer(
        {model, optim::SGD(model.parameters(), {.lr = 0.5})},
        {.max_epochs = 3, .shards = shards, .door = door});
    CHECK(trainer.fit(loader));
    std::vector<float> found = model.parameters()[0].tensor().to_vector<float>();
    for (const EpochMetrics& line : trainer.metrics()) {
      found.push_back(static_cast<float>(line.train_loss));
      found.push_back(static_cast<float>(line.train_accuracy));
    }
    return found;
  };
  const auto whole = fit({}, Door::program);
  for (const std::int64_t of : {2, 4, 5, 16}) {
    CAPTURE(of);
    const auto parts = fit({.of = of}, Door::program);
    REQUIRE(parts.size() == whole.size());
    // Six steps, whose sums of 16 terms go another way.
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(parts[i] == Approx(whole[i]).margin(1e-5));
    CHECK(fit({.of = of}, Door::define_by_run) == parts);
  }
}

// Goal: each shard draws its own numbers, which depend on nothing but its own number.
TEST_CASE("dropout differs between shards", "[nn]") {
  // Eight times the same image: only dropout tells rows and shards apart.
  auto set = std::make_shared<data::ImageSet>(*images(1));
  for (int i = 1; i < 8; ++i) {
    set->images.insert(set->images.end(), set->images.begin(), set->images.begin() + 16);
    set->labels.push_back(set->labels[0]);
  }
  set->count = 8;
  const auto losses = [&](const Shards& shards, std::int64_t batch) {
    test::Engine own;
    own.scope.seed(5);
    const Sequential model{Flatten(), Dropout(0.5), Linear(16, 3)};
    const Task task{model, optim::SGD(model.parameters(), {.lr = 0.1})};
    const OneStep seen = one_step(task, set, in_shards(shards), batch);
    std::vector<double> found;
    for (const auto& list : seen.lists)
      found.push_back(list[list.size() - 2][0] * static_cast<double>(shards.of));
    // The weight's bias, and each shard makes one random call: they count once.
    CHECK(own.scope.random().calls == 2 + 8 / static_cast<std::uint64_t>(batch));
    return found;
  };
  const auto two = losses({.of = 2}, 8);
  REQUIRE(two.size() == 2);
  CHECK(two[0] != two[1]);
  const auto four = losses({.of = 4}, 8);
  for (std::size_t a = 0; a < 4; ++a)
    for (std::size_t b = 0; b < a; ++b) CHECK(four[a] != four[b]);
}

TEST_CASE("running statistics are the weighted mean of the shards'", "[nn]") {
  const test::Engine engine;
  auto set = std::make_shared<data::ImageSet>();
  *set = {5, 1, 1, 1, {}, {}};
  for (const int pixel : {0, 255, 51, 153, 255})
    set->images.push_back(static_cast<std::byte>(pixel));
  set->labels = {0, 1, 0, 1, 0};
  const Sequential model{Flatten(), BatchNorm1d(1), Linear(1, 2)};
  const Task task{model, optim::SGD(model.parameters(), {.lr = 0.1})};
  const OneStep seen = one_step(task, set, {.shards = {.of = 2}}, 5);
  // Shard 0: 0, 1, of mean 0.5 and variance 0.5. Shard 1: 0.2, 0.6, 1, of mean 0.6 and variance
  // 0.16. From mean 0 and variance 1, each goes a tenth of the way; 2 and 3 of 5 rows.
  REQUIRE(seen.buffers.size() == 3);
  CHECK(seen.buffers[0][0] == Approx(0.4 * 0.05 + 0.6 * 0.06));
  CHECK(seen.buffers[1][0] == Approx(0.4 * (0.9 + 0.05) + 0.6 * (0.9 + 0.016)));
  CHECK(seen.buffers[2][0] == 1);
}

TEST_CASE("a count of batches counts each batch once", "[nn]") {
  const Process process;
  const Task task = Process::task();
  data::Loader loader = process.loader();
  Trainer trainer(task, in_shards({.of = 3}));
  CHECK(trainer.fit(loader));
  CHECK(task.model.buffers()[2].tensor().item<std::int64_t>() == 7);
}

TEST_CASE("a shard's list is gradients, buffers, losses and right answers", "[nn]") {
  const test::Engine engine;
  const Sequential model{Flatten(), Linear(16, 4), BatchNorm1d(4), Linear(4, 3)};
  const Task task{model, optim::SGD(model.parameters(), {.lr = 0.1})};
  const OneStep seen = one_step(task, images(8), {.shards = {.of = 2}}, 8);
  REQUIRE(seen.lists.size() == 2);
  for (const auto& list : seen.lists) {
    REQUIRE(list.size() == 6 + 3 + 2);
    CHECK(list[0].size() == 64);  // the first weight
    CHECK(list[8][0] == 4);       // rows × a batch
  }
  CHECK(seen.loss == static_cast<double>(seen.lists[0][9][0] + seen.lists[1][9][0]));
}

namespace {

/// Writes a buffer of booleans, or leaves its parameter out where there are two rows.
class Odd final : public Layer<Odd> {
 public:
  enum class Way { boolean_buffer, skips_parameter };
  explicit Odd(Way way) : Layer("Odd"), way_(way) {
    shift_ = register_parameter("shift", Tensor::copy_of<float>(test::numbers(3, 1), {3}));
    flag_ = register_buffer("flag", shift_.tensor() > 0);
  }
  [[nodiscard]] Tensor forward(const Operand& input) const {
    const Tensor& x = input.tensor();
    if (way_ == Way::skips_parameter) return x.size(0) == 2 ? x : x + shift_.tensor();
    Parameter flag = flag_;
    flag.set(logical_not(flag.tensor()));
    return x + shift_.tensor();
  }

 private:
  Way way_;
  Parameter shift_;
  Parameter flag_;
};

}  // namespace

TEST_CASE("what shards cannot add up is refused", "[nn]") {
  const Process process;
  const auto fault_of = [&](Odd::Way way) {
    const Sequential model{Flatten(), Linear(16, 3), Odd(way)};
    data::Loader loader = process.loader({}, 5);
    Trainer trainer({model, optim::SGD(model.parameters(), {.lr = 0.1})}, {.shards = {.of = 2}});
    return message_of([&] { (void)trainer.fit(loader); }, ErrorCode::unsupported);
  };
  CHECK(
      fault_of(Odd::Way::skips_parameter) ==
      "the loss depends on a parameter float32[3] in some shards only");
  CHECK(
      fault_of(Odd::Way::boolean_buffer) ==
      "a forward pass writes a buffer bool[3], of which shards have no mean");
}

TEST_CASE("trainers of shards out of range are refused", "[nn]") {
  const Process process;
  const auto fault_of = [&](const TrainerOptions& options, data::Loader loader) {
    return message_of(
        [&] {
          Trainer trainer(Process::task(), options);
          (void)trainer.fit(loader);
        },
        ErrorCode::invalid_argument);
  };
  CHECK(fault_of({.shards = {.of = 0}}, process.loader()).find("0 shards") != std::string::npos);
  CHECK(
      fault_of({.shards = {.of = 17}}, process.loader()) ==
      "a batch of 16 samples cannot be cut into 17 shards");
  CHECK(
      fault_of({.shards = {.of = 4}}, process.loader({}, 3)) ==
      "a batch of 3 samples cannot be cut into 4 shards");
  CHECK(
      fault_of({.shards = {.of = 4, .count = 2}}, process.loader()) ==
      "some shards are carried elsewhere, but nothing adds them up");
  CHECK(
      fault_of(
          in_shards({.of = 4, .first = 2}, sum_of_shards), process.loader({.of = 4, .count = 2}))
          .find("rows 0 to 7 of a batch of 16, but what is computed here takes rows 8 to 15") !=
      std::string::npos);
  CHECK(
      fault_of(
          in_shards(
              {.of = 2},
              [](std::span<const std::vector<Tensor>> lists) {
                return std::vector<Tensor>(lists[0].begin(), lists[0].end() - 1);
              }),
          process.loader())
          .find("the sum of the shards has") == 0);
  // A test is never of some rows.
  data::Loader half = process.loader({.of = 2, .count = 1});
  Trainer trainer(Process::task());
  CHECK(
      message_of([&] { (void)trainer.evaluate(half); }, ErrorCode::invalid_argument)
          .find("rows 0 to 7 of a batch of 16") != std::string::npos);
}

}  // namespace troupe::nn
