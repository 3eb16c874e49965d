#include "case.hpp"
#include "support/engine.hpp"
#ifdef TROUPE_VULKAN
#include "support/vulkan.hpp"
#endif

#include <troupe/autograd/capture.hpp>
#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

// Goal: an update whose prologue makes its gradient gives the formula's numbers. Method: steps of a
// program, held against plain loops in double; one of each rule's branches on each dtype.
namespace troupe {
namespace {

#ifdef TROUPE_VULKAN
Device& attach(System& system) {
  return test::on_vulkan() ? test::attach_vulkan(system) : cpu::attach(system);
}
#else
Device& attach(System& system) { return cpu::attach(system); }
#endif

constexpr double rate = 0.05;
constexpr double factor = 0.375;

/// Value and states of a parameter.
struct State {
  std::vector<std::vector<double>> of;
};

void step(const AdamUpdate& op, State& state, const std::vector<double>& g, double number) {
  const double correction1 = 1 - std::pow(op.beta1, number);
  const double correction2 = 1 - std::pow(op.beta2, number);
  for (std::size_t i = 0; i < g.size(); ++i) {
    double& w = state.of[0][i];
    double d = op.maximize ? -g[i] : g[i];
    if (op.decoupled)
      w -= rate * op.weight_decay * w;
    else
      d += op.weight_decay * w;
    const double first = state.of[1][i] = op.beta1 * state.of[1][i] + (1 - op.beta1) * d;
    double spread = state.of[2][i] = op.beta2 * state.of[2][i] + (1 - op.beta2) * d * d;
    if (op.amsgrad) spread = state.of[3][i] = std::max(state.of[3][i], spread);
    w -= rate / correction1 * first / (std::sqrt(spread) / std::sqrt(correction2) + op.eps);
  }
}
void step(const SgdUpdate& op, State& state, const std::vector<double>& g, double number) {
  for (std::size_t i = 0; i < g.size(); ++i) {
    double& w = state.of[0][i];
    double d = (op.maximize ? -g[i] : g[i]) + op.weight_decay * w;
    if (op.momentum != 0) {
      double& momentum = state.of[1][i];
      momentum = number == 1 ? d : op.momentum * momentum + (1 - op.dampening) * d;
      d = op.nesterov ? d + op.momentum * momentum : momentum;
    }
    w -= rate * d;
  }
}
std::uint32_t states_of(const AdamUpdate& op) { return op.amsgrad ? 3 : 2; }
std::uint32_t states_of(const SgdUpdate& op) { return op.momentum == 0 ? 0 : 1; }

template <class T>
Tensor tensor_of(const std::vector<double>& numbers, const Shape& shape) {
  return Tensor::copy_of<T>(std::vector<T>(numbers.begin(), numbers.end()), shape);
}

std::vector<double> doubles(std::int64_t count, std::uint64_t seed) {
  const std::vector<float> numbers = test::numbers(static_cast<std::size_t>(count), seed);
  return {numbers.begin(), numbers.end()};
}

/// The worst error of value and states after three steps by the gradient factor · x + y, in units
/// of the largest number there.
template <class T, class Op>
double worst_error(const Op& op, std::int64_t count) {
  const Shape shape{count};
  const std::vector<double> x = doubles(count, 2), y = doubles(count, 3);
  Parameter parameter(tensor_of<T>(doubles(count, 1), shape));
  const Tensor clip = tensor_of<T>({factor}, {});
  double steps = 0;
  const Meta metas[] = {parameter.meta(), parameter.meta()};
  Program program = Program::capture(
      [&](std::span<const Tensor> in) -> std::vector<Tensor> {
        parameter.zero_grad();
        parameter.set_grad(in[0] * clip + in[1]);
        const Tensor scalars = Capture::current()->scalars(
            [&](std::span<double> numbers) {
              numbers[0] = rate;
              numbers[1] = ++steps;
            },
            2);
        parameter.apply(make_op(op), states_of(op), scalars);
        return {sum(in[0])};
      },
      metas);
  const std::vector<Graph::Op>& ops = program.graph().ops;
  CHECK(std::any_of(ops.begin(), ops.end(), [](const Graph::Op& one) {
    return one.info().id == FusedUpdate::id;
  }));
  State expected;
  expected.of.assign(1 + states_of(op), std::vector<double>(static_cast<std::size_t>(count), 0));
  expected.of[0] = doubles(count, 1);
  const Tensor inputs[] = {tensor_of<T>(x, shape), tensor_of<T>(y, shape)};
  for (int i = 1; i <= 3; ++i) {
    (void)program.run(inputs);
    std::vector<double> gradient;
    for (std::size_t k = 0; k < x.size(); ++k) gradient.push_back(x[k] * factor + y[k]);
    step(op, expected, gradient, i);
  }
  std::vector<Tensor> found{parameter.tensor()};
  for (const Tensor& state : parameter.states()) found.push_back(state);
  REQUIRE(found.size() == expected.of.size());
  double worst = 0;
  for (std::size_t k = 0; k < found.size(); ++k) {
    const std::vector<T> numbers = found[k].template to_vector<T>();
    double largest = 0;
    for (const double number : expected.of[k]) largest = std::max(largest, std::abs(number));
    for (std::size_t i = 0; i < numbers.size(); ++i)
      worst = std::max(worst, std::abs(numbers[i] - expected.of[k][i]) / largest);
  }
  return worst;
}

template <class T>
void check_rules(double bound) {
  const std::vector<std::variant<AdamUpdate, SgdUpdate>> rules{
      AdamUpdate{},
      AdamUpdate{{}, 0.9, 0.999, 1e-8, 0.01, false, false, true},
      AdamUpdate{{}, 0.8, 0.95, 1e-3, 0.1, true, true, false},
      SgdUpdate{},
      SgdUpdate{{}, 0, 0, 0.1, false, true},
      SgdUpdate{{}, 0.9, 0.2, 0.1, false, false},
      SgdUpdate{{}, 0.9, 0, 0, true, false}};
  for (std::size_t r = 0; r < rules.size(); ++r)
    // A tile and its neighbours, and a chunk's; fewer on a GPU, where they are all alike.
    for (const std::int64_t count : {1, 31, 1023, 2048, 2049, 40'000}) {
      CAPTURE(r, count);
      CHECK(
          std::visit([&](const auto& op) { return worst_error<T>(op, count); }, rules[r]) < bound);
    }
}

}  // namespace

TEST_CASE("updates that make their gradients match their formulas", "[conformance]") {
  System system(System::Options{.threads = 2});
  Device& device = attach(system);
  const Scope scope(system, device);
  // 1 − beta2 = 0.001 is rounded to float32, and divides at the first step.
  check_rules<float>(3e-5);
  if (device.can_fuse(*make_op(Mul{}), DType::float64)) check_rules<double>(1e-12);
}

}  // namespace troupe
