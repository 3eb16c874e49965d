#include "golden.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/program.hpp>
#include <troupe/core/error.hpp>
#include <troupe/nn/schedule.hpp>
#include <troupe/nn/sgd.hpp>

using namespace troupe;
using optim::Schedule;

namespace {

optim::SGD two_groups() {
  const std::vector<float> zero(1);
  optim::SGD optimizer({Parameter(Tensor::copy_of<float>(zero, {1}))}, {.lr = 0.1});
  optimizer.add_param_group({Parameter(Tensor::copy_of<float>(zero, {1}))}, {.lr = 0.4});
  return optimizer;
}

template <class Make>
void check(const std::string& name, const Make& make) {
  static const nn::test::Golden golden("schedules.txt");
  CAPTURE(name);
  optim::SGD optimizer = two_groups();
  Schedule schedule = make(optimizer);
  const nn::test::GoldenTensor& expected = golden[name];
  for (std::size_t t = 0; t < static_cast<std::size_t>(expected.shape[0]); ++t) {
    CAPTURE(t);
    for (std::size_t group = 0; group < 2; ++group) {
      const double rate = expected.numbers[2 * t + group];
      // PyTorch multiplies from step to step, which rounds a little more each time.
      CHECK(std::abs(optimizer.lr(group) - rate) <= 1e-14 + 1e-13 * rate);
    }
    schedule.step();
  }
  CHECK(schedule.last_epoch() == expected.shape[0]);
}

}  // namespace

TEST_CASE("schedules give PyTorch's rates", "[nn]") {
  test::Engine engine;
  using optim::Optimizer;
  check("step", [](Optimizer o) { return optim::StepLR(o, 5); });
  check("step_gamma", [](Optimizer o) { return optim::StepLR(o, 4, 0.5); });
  check("multi_step", [](Optimizer o) { return optim::MultiStepLR(o, {3, 10, 11}, 0.3); });
  check("exponential", [](Optimizer o) { return optim::ExponentialLR(o, 0.9); });
  check("constant", [](Optimizer o) { return optim::ConstantLR(o); });
  check("linear", [](Optimizer o) { return optim::LinearLR(o); });
  check("linear_down", [](Optimizer o) { return optim::LinearLR(o, 1.0, 0.1, 12); });
  check("polynomial", [](Optimizer o) { return optim::PolynomialLR(o, 15, 2.0); });
  check("cosine", [](Optimizer o) { return optim::CosineAnnealingLR(o, 10, 0.01); });
  check("restarts", [](Optimizer o) { return optim::CosineAnnealingWarmRestarts(o, 3, 2, 0.001); });
  check("lambda", [](Optimizer o) {
    return optim::LambdaLR(
        o, [](std::int64_t step) { return 1.0 / (1.0 + static_cast<double>(step)); });
  });
  check("warmup_cosine", [](Optimizer o) {
    return optim::SequentialLR(
        o, {optim::LinearLR(o, 0.01, 1.0, 4), optim::CosineAnnealingLR(o, 16)}, {4});
  });
  check("warmup_cosine", [](Optimizer o) { return optim::WarmupCosineLR(o, 4, 20, 0, 0.01); });
  check("sequential", [](Optimizer o) {
    return optim::SequentialLR(
        o,
        {optim::ConstantLR(o, 0.5, 3), optim::ExponentialLR(o, 0.8), optim::StepLR(o, 2, 0.1)},
        {5, 12});
  });
}

TEST_CASE("a schedule goes on where it was saved", "[nn]") {
  test::Engine engine;
  optim::SGD optimizer = two_groups();
  optim::CosineAnnealingLR schedule(optimizer, 10);
  for (int t = 0; t < 4; ++t) schedule.step();
  const io::Tree state = schedule.state_dict();

  optim::SGD other = two_groups();
  optim::CosineAnnealingLR resumed(other, 10);
  resumed.load_state_dict(state);
  CHECK(resumed.last_epoch() == 4);
  CHECK(resumed.last_lr() == schedule.last_lr());
}

TEST_CASE("schedules refuse what makes no curve", "[nn]") {
  test::Engine engine;
  const optim::SGD o = two_groups();
  CHECK_THROWS_AS(optim::StepLR(o, 0), Error);
  CHECK_THROWS_AS(optim::MultiStepLR(o, {5, 3}), Error);
  CHECK_THROWS_AS(optim::LinearLR(o, 0), Error);
  CHECK_THROWS_AS(optim::SequentialLR(o, {optim::LinearLR(o)}, {3}), Error);
  CHECK_THROWS_AS(optim::WarmupCosineLR(o, 10, 10), Error);
}

TEST_CASE("a schedule is not stepped in a function that is captured", "[nn]") {
  test::Engine engine;
  const optim::SGD optimizer = two_groups();
  optim::StepLR schedule(optimizer, 5);
  CHECK_THROWS_AS(
      Program::capture(
          [&](std::span<const Tensor>) {
            schedule.step();
            return std::vector<Tensor>{};
          },
          {}),
      Error);
  CHECK(schedule.last_epoch() == 0);
}
