#include "machine.hpp"
#include "support/trainer_bits.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/sum.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace troupe::nn {
namespace {

using test::Machine;
using vulkan::Options;

/// Images of 4 × 4 in three classes, of which each has its own bright row.
std::shared_ptr<const data::ImageSet> rows(std::int64_t count) {
  auto set = std::make_shared<data::ImageSet>();
  *set = {count, 1, 4, 4, {}, {}};
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t label = (i * 7 + i / 5) % 3;
    for (std::int64_t pixel = 0; pixel < 16; ++pixel)
      set->images.push_back(
          static_cast<std::byte>((i * 37 + pixel * 11) % 90 + (pixel / 4 == label ? 100 : 0)));
    set->labels.push_back(static_cast<std::uint8_t>(label));
  }
  return set;
}

/// A model with dropout and batch norm, so that random state and buffers count too, on the
/// machine's GPU: 8 steps an epoch.
struct Fit {
  explicit Fit(Device& device, TrainerOptions options)
      : train(device, rows(64), {}, {}, {.batch_size = 8, .seed = 9}),
        test_set(device, rows(24), {}, {}, {.batch_size = 8, .shuffle = false}),
        trainer(task(), std::move(options)) {}

  bool operator()() { return trainer.fit(train, &test_set); }
  [[nodiscard]] std::string bits() { return test::bits(trainer); }

  data::Loader train;
  data::Loader test_set;
  Trainer trainer;

 private:
  static Task task() {
    const Sequential model{
        Flatten(), Linear(16, 8), BatchNorm1d(8), ReLU(), Dropout(0.25), Linear(8, 3)};
    return {model, optim::Adam(model.parameters(), {.lr = 1e-2})};
  }
};

constexpr std::int64_t epochs = 3;

Options lost_after(std::uint64_t submissions) {
  Options options = test::vulkan_options();
  options.lost_after_submissions = submissions;
  return options;
}

/// The state after some steps on a GPU that works.
io::Archive archive_after(Door door, std::int64_t steps) {
  Machine machine(test::vulkan_options());
  machine.scope.seed(5);
  std::stop_source stop;
  struct Stop final : Callback {
    Stop(std::stop_source& source, std::int64_t at) : stop(source), step(at) {}
    void on_batch_end(Trainer&, const Progress& progress) override {
      if (progress.step == step) stop.request_stop();
    }
    std::stop_source& stop;
    std::int64_t step;
  };
  TrainerOptions options;
  options.max_epochs = epochs;
  options.door = door;
  options.stop = stop.get_token();
  options.callbacks = {std::make_shared<Stop>(stop, steps)};
  Fit fit(machine.gpu, options);
  if (steps > 0) CHECK_FALSE(fit());
  return fit.trainer.archive();
}

/// A trainer that goes on from there on the CPU.
std::string bits_gone_on_with(Door door, const io::Archive& archive) {
  Machine machine(test::vulkan_options());
  const Scope scope(machine.system, machine.cpu);
  TrainerOptions options;
  options.max_epochs = epochs;
  options.door = door;
  Fit fit(machine.cpu, options);
  fit.trainer.restore(archive);
  CHECK(fit());
  return fit.bits();
}

/// When a device is lost: after some submissions, wherever the training then is; or in the callback
/// after a step, of the training or of the test that follows it.
struct When {
  std::uint64_t submissions = 0;
  std::int64_t step = -1;
  bool testing = false;
};

/// Loses the device, and notes where the fit goes on.
class Loss final : public Callback {
 public:
  Loss(Machine& machine, const When& when) : machine_(machine), when_(when) {}
  void on_batch_end(Trainer&, const Progress& progress) override {
    if (progress.step == when_.step && progress.testing == when_.testing)
      vulkan::TestAccess::lose(machine_.gpu.queue());
  }
  void on_device_lost(Trainer& trainer, Device& lost, const Error& reason) override {
    CHECK(&lost == &machine_.gpu);
    CHECK(reason.code() == ErrorCode::device_lost);
    CHECK(&trainer.device() == &machine_.cpu);
    CHECK(committed == -1);  // told once
    committed = trainer.step();
  }

  std::int64_t committed = -1;

 private:
  Machine& machine_;
  When when_;
};

/// Trains with the CPU as fallback, and a commit each 3 steps and at the end of each epoch; what
/// comes of it must be what comes of a trainer that was restored where the fit went on.
/// @returns  the step of the commit; −1 if nothing was lost, or before there was a commit
std::int64_t check_training(Door door, bool hidden, const When& when) {
  CAPTURE(door == Door::program, hidden, when.submissions, when.step, when.testing);
  Machine machine(lost_after(when.submissions), [&](vulkan::Context& context) {
    context.hidden_memory = hidden;
  });
  machine.scope.seed(5);
  const auto loss = std::make_shared<Loss>(machine, when);
  TrainerOptions options;
  options.max_epochs = epochs;
  options.door = door;
  options.callbacks = {loss};
  options.fallback_devices = {&machine.cpu};
  options.commit_every_n_steps = 3;
  std::optional<Fit> fit;
  try {
    fit.emplace(machine.gpu, options);
    const bool finished = (*fit)();
    CHECK(finished);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::device_lost);
    return -1;
  }
  if (loss->committed < 0) return -1;
  const std::string bits = fit->bits();
  CHECK(bits == bits_gone_on_with(door, archive_after(door, loss->committed)));
  // The scope is still the GPU's; the trainer works where it is.
  CHECK(
      fit->trainer.evaluate(fit->test_set).accuracy == fit->trainer.metrics().back().test_accuracy);
  fit->trainer.restore(fit->trainer.archive());
  CHECK(fit->bits() == bits);
  return loss->committed;
}

}  // namespace

// Goal: whatever a training was doing when its GPU went, it goes on from the last commit with the
// bits of a trainer restored there: in training, in a test, in a commit; with memory that the host
// sees and with memory that it does not; through both doors.
TEST_CASE("a training whose GPU is lost goes on on the CPU", "[vulkan]") {
  const Door door = GENERATE(Door::program, Door::define_by_run);
  const bool hidden = GENERATE(false, true);
  CHECK(check_training(door, hidden, {.step = 1}) == 0);
  CHECK(check_training(door, hidden, {.step = 5}) == 3);
  CHECK(check_training(door, hidden, {.step = 6}) == 3);  // the commit of step 6 fails
  CHECK(check_training(door, hidden, {.step = 8, .testing = true}) == 6);
  CHECK(check_training(door, hidden, {.step = 10}) == 8);
  CHECK(check_training(door, hidden, {.step = 24, .testing = true}) == 22);
  // How much goes into a submission is a matter of time, and so is where these fall.
  for (std::uint64_t submissions = 1; submissions < 40; submissions += 6)
    (void)check_training(door, hidden, {.submissions = submissions});
}

// The rate of a step is sent to the device by the program itself when the step begins.
TEST_CASE("a program whose device is lost before a step fails that step", "[vulkan]") {
  Machine machine(
      test::vulkan_options(), [](vulkan::Context& context) { context.hidden_memory = true; });
  Parameter weight(Tensor::copy_of<float>(std::vector<float>{1, 2}, {2}));
  optim::Optimizer optimizer = optim::SGD({weight}, {.lr = 0.1});
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{3, 4}, {2});
  const std::vector<Meta> metas{x.meta()};
  Program program = Program::capture(
      [&](std::span<const Tensor> inputs) {
        optimizer.zero_grad();
        const Tensor loss = sum(weight.tensor() * inputs[0]);
        backward(loss);
        optimizer.step();
        return std::vector<Tensor>{loss.detach()};
      },
      metas);
  CHECK(program.run({&x, 1})[0].item() == 11);
  vulkan::TestAccess::lose(machine.gpu.queue());
  machine.system.run_ready();
  for (int i = 0; i < 2; ++i) {
    const std::vector<Tensor> outputs = program.run({&x, 1});
    const Error error = test::thrown_by([&] { return outputs[0].item(); });
    CHECK(error.code() == ErrorCode::device_lost);
  }
}

}  // namespace troupe::nn
