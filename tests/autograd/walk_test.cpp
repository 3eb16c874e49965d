#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <cmath>
#include <random>
#include <thread>
#include <vector>

using namespace troupe;

// Goal: however a graph is shaped, each edge that was counted carries exactly one gradient, so that
// nothing hangs and nothing is lost.
// Method: random graphs with branches that rejoin, unused outputs and inputs used twice, against
// derivatives carried forward as dual numbers.
TEST_CASE("random graphs give the gradients of forward differentiation", "[autograd]") {
  const int seed = GENERATE(range(0, 40));
  CAPTURE(seed);
  test::Engine engine(1u + static_cast<unsigned>(seed) % 3);
  std::mt19937 random(static_cast<unsigned>(seed));
  struct Dual {
    double value;
    std::vector<double> derivative;
  };
  constexpr std::size_t leaves = 3;
  std::vector<Tensor> tensors;
  std::vector<Dual> duals;
  for (std::size_t i = 0; i < leaves; ++i) {
    const double x = 0.3 + 0.2 * static_cast<double>(i);
    tensors.push_back(requires_grad(Tensor::copy_of<double>(std::vector<double>{x}, {})));
    duals.push_back({x, std::vector<double>(leaves, 0.0)});
    duals.back().derivative[i] = 1;
  }
  for (int op = 0; op < 30; ++op) {
    const std::size_t a = random() % tensors.size(), b = random() % tensors.size();
    Dual dual{0, std::vector<double>(leaves)};
    const Dual da = duals[a], db = duals[b];
    switch (random() % 4) {
      case 0:
        tensors.push_back(tensors[a] + tensors[b]);
        dual.value = da.value + db.value;
        for (std::size_t i = 0; i < leaves; ++i)
          dual.derivative[i] = da.derivative[i] + db.derivative[i];
        break;
      case 1:
        tensors.push_back(tensors[a] * tensors[b]);
        dual.value = da.value * db.value;
        for (std::size_t i = 0; i < leaves; ++i)
          dual.derivative[i] = da.derivative[i] * db.value + da.value * db.derivative[i];
        break;
      case 2:
        tensors.push_back(tanh(tensors[a]));
        dual.value = std::tanh(da.value);
        for (std::size_t i = 0; i < leaves; ++i)
          dual.derivative[i] = da.derivative[i] * (1 - dual.value * dual.value);
        break;
      default:
        tensors.push_back(tensors[a] * tensors[b].detach());
        dual.value = da.value * db.value;
        for (std::size_t i = 0; i < leaves; ++i) dual.derivative[i] = da.derivative[i] * db.value;
    }
    duals.push_back(dual);
  }
  const std::span<const Tensor> inputs(tensors.data(), leaves);
  const bool symbolic = seed % 2 == 0;
  const auto gradients = grad(
      std::span(&tensors.back(), 1),
      inputs,
      {},
      {.retain_graph = true, .create_graph = symbolic, .allow_unused = true});
  if (tensors.back().requires_grad()) backward(tensors.back());
  for (std::size_t i = 0; i < leaves; ++i) {
    const double expected = duals.back().derivative[i];
    const double asked = gradients[i] ? gradients[i].item() : 0;
    const Tensor kept = grad_of(tensors[i]);
    const double accumulated = kept ? kept.item() : 0;
    CHECK(std::abs(asked - expected) <= 1e-12 * (1 + std::abs(expected)));
    CHECK(asked == accumulated);
  }
}

// Goal: walks over graphs that share records do not read each other's marks.
// Method: two callers go backward at once, again and again, through graphs of one leaf.
TEST_CASE("two threads go backward over graphs that share a leaf", "[autograd]") {
  test::Engine engine(2);
  const Tensor x = requires_grad(Tensor::copy_of<double>(std::vector<double>{3}, {}));
  Tensor shared = x;
  for (int i = 0; i < 50; ++i) shared = shared * 1.0;
  constexpr int passes = 1000;
  const auto go = [&](double factor) {
    double wrong = 0;
    for (int i = 0; i < passes; ++i) {
      const Tensor y = shared * factor + x * factor;
      if (i % 2 == 0)
        wrong += grad(y, x, {.retain_graph = true}).item() != 2 * factor;
      else
        backward(y, {}, {.retain_graph = true});
    }
    return wrong;
  };
  double wrong_there = 0;
  std::thread other([&] {
    const Scope scope(engine.system);
    wrong_there = go(5);
  });
  const double wrong_here = go(7);
  other.join();
  CHECK(wrong_here == 0);
  CHECK(wrong_there == 0);
  CHECK(grad_of(x).item() == passes / 2 * 2 * (5 + 7));
}
