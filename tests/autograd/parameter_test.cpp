#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <vector>

using namespace troupe;

namespace {

Tensor scalar(double x) { return Tensor::copy_of<double>(std::vector<double>{x}, {}); }
Tensor learning_rate(double lr, double step = 1) {
  return Tensor::copy_of<double>(std::vector<double>{lr, step}, {2});
}

}  // namespace

TEST_CASE("a parameter is read once per version", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(scalar(3));
  const Tensor before = w.tensor();
  CHECK(w.tensor().record() == before.record());
  w.set(scalar(5));
  CHECK(w.tensor().record() != before.record());
  CHECK(before.item() == 3);
  CHECK(w.tensor().item() == 5);
}

TEST_CASE("an update waits for the passes announced before it", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u, 4u));
  Parameter w(scalar(10));
  const OpRef sgd = make_op(SgdUpdate{});
  double expected = 10;
  for (int step = 0; step < 50; ++step) {
    w.zero_grad();
    backward(w.tensor() * w.tensor());  // d/dw = 2w
    w.apply(sgd, 0, learning_rate(0.1));
    expected -= 0.1 * (expected + expected);
  }
  CHECK(w.tensor().item() == Catch::Approx(expected).epsilon(1e-13));
}

TEST_CASE("gradients accumulate until zero_grad", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(scalar(2));
  backward(w.tensor() * 3.0);
  backward(w.tensor() * 4.0);
  CHECK(w.grad().item() == 7);
  w.zero_grad();
  CHECK_FALSE(w.grad().defined());
  w.set_grad(scalar(5));
  CHECK(w.grad().item() == 5);
}

TEST_CASE("an update without a gradient changes nothing", "[autograd]") {
  test::Engine engine;
  Parameter w(scalar(2));
  w.apply(make_op(SgdUpdate{}), 0, learning_rate(0.1));
  CHECK(w.tensor().item() == 2);
}

TEST_CASE("a frozen parameter gets no gradient", "[autograd]") {
  test::Engine engine;
  Parameter w(scalar(2)), frozen(scalar(3), false);
  const Tensor y = w.tensor() * frozen.tensor();
  backward(y);
  CHECK(w.grad().item() == 3);
  CHECK_FALSE(frozen.grad().defined());
  CHECK_FALSE(frozen.tensor().requires_grad());
}

TEST_CASE("the states of an update rule are kept and can be restored", "[autograd]") {
  test::Engine engine;
  SgdUpdate update;
  update.momentum = 0.9;
  const OpRef momentum = make_op(update);
  Parameter a(scalar(1)), b(scalar(1));
  const auto step = [&](Parameter& w, int number) {
    w.zero_grad();
    backward(w.tensor() * w.tensor());
    w.apply(momentum, 1, learning_rate(0.01, number));
  };
  CHECK(a.states().empty());
  for (int i = 1; i <= 3; ++i) step(a, i);
  b.set(a.tensor());
  b.set_states(a.states());
  for (int i = 4; i <= 6; ++i) {
    step(a, i);
    step(b, i);
  }
  CHECK(a.tensor().item() == b.tensor().item());
}

TEST_CASE("a value of another shape is refused", "[autograd]") {
  test::Engine engine;
  Parameter w(scalar(1));
  CHECK_THROWS_AS(w.set(Tensor::copy_of<double>(std::vector<double>{1, 2}, {2})), Error);
  CHECK_THROWS_AS(w.set_grad(Tensor::copy_of<float>(std::vector<float>{1}, {})), Error);
}

TEST_CASE("a vjp that throws is told to the next reader, and the value stays", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(scalar(2));
  const Tensor y = w.tensor() * 2.0;
  register_hook(y, [](const Tensor&) -> Tensor { throw Error(ErrorCode::op_failed, "planted"); });
  backward(sum(y));
  w.apply(make_op(SgdUpdate{}), 0, learning_rate(0.1));
  CHECK_THROWS_AS(w.tensor().item(), Error);
  w.zero_grad();
  CHECK(w.tensor().item() == 2);
  backward(w.tensor() * 3.0);
  w.apply(make_op(SgdUpdate{}), 0, learning_rate(1));
  CHECK(w.tensor().item() == -1);
}
