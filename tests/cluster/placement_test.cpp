#include "lent_pair.hpp"
#include "support/engine.hpp"
#include "support/trainer_bits.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/error.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/clip_grad.hpp>
#include <troupe/nn/conv2d.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/loss.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/pooling.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/ops/relu.hpp>
#include <troupe/tensor/record.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

namespace troupe::testing {

namespace {

Tensor images(std::uint64_t seed, std::int64_t count) {
  return test::drawn({count, 1, 8, 8}, seed);
}

Tensor labels(std::uint64_t seed, std::int64_t count) {
  std::vector<std::int64_t> classes;
  for (const float x : test::numbers(static_cast<std::size_t>(count), seed))
    classes.push_back(x < -0.3F ? 0 : x < 0.3F ? 1 : 2);
  return Tensor::copy_of<std::int64_t>(classes, {count});
}

/// A model whose layers `from` to `to`, that one not, go elsewhere.
struct Model {
  nn::Sequential layers;
  std::size_t from, to;
};

Model make_mlp() {
  return {
      nn::Sequential{
          nn::Flatten(),
          nn::Linear(64, 32),
          nn::ReLU(),
          nn::Linear(32, 48),
          nn::Tanh(),
          nn::Linear(48, 3)},
      2,
      5};
}

Model make_cnn() {
  return {
      nn::Sequential{
          nn::Conv2d(1, 4, 3),
          nn::BatchNorm2d(4),
          nn::ReLU(),
          nn::MaxPool2d(2),
          nn::Flatten(),
          nn::Dropout(0.3),
          nn::Linear(36, 3)},
      1,
      4};
}

/// All bits that training left.
struct Outcome {
  std::vector<float> losses;
  std::vector<std::vector<float>> state;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Ends a fit after so many steps.
class StopAfter final : public nn::Callback {
 public:
  StopAfter(std::int64_t steps, std::stop_source stop) : steps_(steps), stop_(std::move(stop)) {}
  void on_batch_end(nn::Trainer&, const nn::Progress& progress) override {
    if (progress.step == steps_) stop_.request_stop();
  }

 private:
  std::int64_t steps_;
  std::stop_source stop_;
};

constexpr std::int64_t batch = 6;

/// Trains a model, part of it on `elsewhere` if that is given.
Outcome train(
    Scope& scope,
    const std::function<Model()>& make,
    bool compiled,
    Device* elsewhere,
    int steps = 5) {
  scope.seed(11);
  const Model model = make();
  if (elsewhere) {
    nn::place(model.layers, scope.device());
    for (std::size_t i = model.from; i < model.to; ++i) nn::place(model.layers[i], *elsewhere);
  }
  const optim::Adam adam(model.layers.parameters());
  nn::CrossEntropyLoss loss_of;
  const GraphFunction step = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    optim::Optimizer optimizer = adam;
    optimizer.zero_grad();
    const Tensor loss = loss_of(model.layers(in[0]), in[1]);
    backward(loss);
    (void)nn::clip_grad_norm_(model.layers.parameters(), 0.5);
    optimizer.step();
    return {loss};
  };
  std::optional<CompiledFunction> program;
  if (compiled) program.emplace(step);
  Outcome outcome;
  for (int i = 0; i < steps; ++i) {
    const std::vector<Tensor> in{
        images(static_cast<std::uint64_t>(i), batch), labels(static_cast<std::uint64_t>(i), batch)};
    outcome.losses.push_back((program ? (*program)(in) : step(in))[0].item<float>());
  }
  for (const auto& [name, tensor] : model.layers.state_dict())
    if (tensor.dtype() == DType::float32) outcome.state.push_back(tensor.to_vector<float>());
  for (const auto& [name, tensor] : adam.state_dict().tensors)
    outcome.state.push_back(tensor.to_vector<float>());
  return outcome;
}

}  // namespace

// Goal: where a part of a model is changes no bit of its training. Method: the middle layers of an
// MLP, and of a CNN with batch norm, pooling, dropout and clipping, on a peer; by either door, on
// one thread and on several.
TEST_CASE("a model whose middle is on a peer learns the same bits", "[cluster][device]") {
  const bool compiled = GENERATE(false, true);
  const auto make = GENERATE(&make_mlp, &make_cnn);
  const unsigned threads = GENERATE(1U, 3U);
  CAPTURE(compiled, make == &make_cnn, threads);
  LendingNode there("there", {}, threads);
  BorrowingNode here(there, threads);
  const Outcome want = train(here.scope, make, compiled, nullptr);
  CHECK(there.host->counters().launches == 0);
  const Outcome got = train(here.scope, make, compiled, here.remote);
  CHECK(there.host->counters().launches > 0);
  CHECK(got == want);
  here.wait([&] { return there.host->counters().values == 0; });
}

// Goal: a whole fit, its tests, shards and checkpoint included, does not see where parts are.
// Method: two epochs in shards; the same stopped after five steps, saved, and gone on with by
// another trainer, whose model lies elsewhere.
TEST_CASE("a trainer fits, saves and restores a model in parts", "[cluster][device]") {
  const nn::Door door = GENERATE(nn::Door::program, nn::Door::define_by_run);
  CAPTURE(door == nn::Door::program);
  LendingNode there("there");
  BorrowingNode here(there);
  const auto set = [](std::int64_t count, std::uint64_t seed) {
    auto made = std::make_shared<data::ImageSet>();
    *made = {count, 1, 8, 8, {}, {}};
    for (const float x : test::numbers(static_cast<std::size_t>(count) * 64, seed))
      made->images.push_back(static_cast<std::byte>(128 + 100 * x));
    for (std::int64_t i = 0; i < count; ++i)
      made->labels.push_back(static_cast<std::uint8_t>(i % 3));
    return made;
  };
  const auto loader = [&](bool train) {
    return data::Loader(
        here.local,
        set(train ? 40 : 20, train ? 1 : 2),
        {},
        {},
        {.batch_size = 10, .shuffle = train, .seed = 9, .shards = {.of = train ? 2U : 1U}});
  };
  const auto trainer = [&](bool apart, std::int64_t stop_after = -1) {
    here.scope.seed(5);
    const Model model = make_cnn();
    if (apart) {
      nn::place(model.layers, here.local);
      for (std::size_t i = model.from; i < model.to; ++i) nn::place(model.layers[i], *here.remote);
    }
    const nn::Task task{
        .model = model.layers, .optimizer = optim::Adam(model.layers.parameters(), {.lr = 1e-2})};
    nn::TrainerOptions options{
        .max_epochs = 2, .gradient_clip_val = 0.5, .shards = {.of = 2}, .door = door};
    std::stop_source stop;
    options.stop = stop.get_token();
    options.callbacks = {std::make_shared<StopAfter>(stop_after, stop)};
    return nn::Trainer(task, options);
  };
  const auto fit = [&](nn::Trainer& one) {
    data::Loader train = loader(true);
    data::Loader test = loader(false);
    return one.fit(train, &test);
  };
  nn::Trainer local = trainer(false);
  CHECK(fit(local));
  CHECK(there.host->counters().launches == 0);
  const std::string want = test::bits(local);
  nn::Trainer apart = trainer(true);
  CHECK(fit(apart));
  CHECK(there.host->counters().launches > 0);
  CHECK((test::bits(apart) == want));
  nn::Trainer first = trainer(true, 5);
  CHECK_FALSE(fit(first));
  const io::Archive saved = first.archive();
  for (const bool back : {false, true}) {
    CAPTURE(back);
    nn::Trainer second = trainer(!back);
    second.restore(saved);
    CHECK(fit(second));
    CHECK((test::bits(second) == want));
  }
}

TEST_CASE("a placed module says where it is, and goes back", "[cluster][device]") {
  LendingNode there("there");
  BorrowingNode here(there);
  const nn::Linear layer(4, 2);
  const Tensor x = Tensor::copy_of<float>(test::numbers(8, 1), {2, 4});
  const std::vector<float> want = layer(x).to_vector<float>();
  CHECK(layer.placement() == nullptr);

  cluster::place(layer, *here.network, "there", "cpu");
  CHECK(layer.placement() == here.remote);
  CHECK(&layer.weight().device() == here.remote);
  const Tensor y = layer(x);
  CHECK(&y.record()->device() == here.remote);
  CHECK(y.to_vector<float>() == want);

  nn::place(layer, "cpu");
  CHECK(&layer(to(x, *here.remote)).record()->device() == &here.local);
  layer.to(*here.remote);
  CHECK(layer.placement() == nullptr);
}

TEST_CASE("a tensor that goes to two peers goes to both", "[cluster][device]") {
  LendingNode there("there");
  LendingNode yonder("yonder");
  BorrowingNode here(there);
  (void)here.network->connect(yonder.at).get();
  Device& other = cluster::remote_device(here.system, *here.network, "yonder", "cpu");
  const Meta meta{DType::float32, {4}};
  Program program = Program::capture(
      [&](std::span<const Tensor> in) -> std::vector<Tensor> {
        return {relu(to(in[0], *here.remote)), relu(to(in[0], other))};
      },
      {&meta, 1});
  const Tensor x = Tensor::copy_of<float>(test::numbers(4, 1), {4});
  const std::vector<Tensor> out = program.run({&x, 1});
  CHECK(&out[0].record()->device() == here.remote);
  CHECK(&out[1].record()->device() == &other);
  for (const Tensor& tensor : out) CHECK(tensor.to_vector<float>() == relu(x).to_vector<float>());
  CHECK(yonder.host->counters().launches == 1);
}

TEST_CASE("a state is loaded wherever the parameters are", "[cluster][device]") {
  LendingNode there("there");
  BorrowingNode here(there);
  const nn::Linear from(4, 2);
  const nn::Linear to(4, 2);
  nn::place(to, *here.remote);
  (void)to.load_state_dict(from.state_dict());
  CHECK(to.weight().tensor().to_vector<float>() == from.weight().tensor().to_vector<float>());
}

TEST_CASE("a step whose peer dies ends with an error that names it", "[cluster][device]") {
  const bool compiled = GENERATE(false, true);
  CAPTURE(compiled);
  auto there = std::make_unique<LendingNode>("there");
  BorrowingNode here(*there);
  std::thread killer([&] {
    while (there->host->counters().launches < 60)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    there->end();
  });
  std::optional<Error> error;
  try {
    (void)train(here.scope, &make_mlp, compiled, here.remote, 100'000);
  } catch (const Error& thrown) {
    error = thrown;
  }
  killer.join();
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::peer_down);
  CHECK(error->message().find("node 'there'") != std::string::npos);
  CHECK_FALSE(error->op().empty());
}

}  // namespace troupe::testing
