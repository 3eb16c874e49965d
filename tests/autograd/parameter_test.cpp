#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/op_info.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <stdexcept>
#include <string>
#include <vector>

using namespace troupe;

namespace {

Tensor scalar(double x) { return Tensor::copy_of<double>(std::vector<double>{x}, {}); }
/// An update rule that throws when it runs.
struct BrokenUpdate : OpDefaults {
  static constexpr OpId id{65'700};
  static constexpr std::string_view name = "broken_update";
  static constexpr std::int8_t donates = 0;
  void infer(std::span<const Meta> in, Metas& out) const {
    for (std::size_t i = 0; i + 2 < in.size(); ++i) out.push_back(in[i]);
  }
};

/// What reading a tensor throws, as text; empty if it does not.
std::string failure_of(const Tensor& tensor) {
  try {
    (void)tensor.value();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

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

TEST_CASE("a value that is on another device is refused", "[autograd]") {
  test::Engine engine;
  Device& second = cpu::attach(engine.system);
  Parameter w(Tensor::copy_of<float>(std::vector<float>{1, 2}, {2}));
  const OnDevice there(second);
  const Tensor other = Tensor::copy_of<float>(std::vector<float>{3, 4}, {2});
  const auto code_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  CHECK(code_of([&] { w.set(other); }) == ErrorCode::device_mismatch);
  CHECK(code_of([&] { w.set_grad(other); }) == ErrorCode::device_mismatch);
  CHECK(code_of([&] { w.set_states({other}); }) == ErrorCode::device_mismatch);
  CHECK(w.tensor().to_vector<float>() == std::vector<float>{1, 2});
  w.to(second);
  w.set(other);
  CHECK(w.tensor().to_vector<float>() == std::vector<float>{3, 4});
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

TEST_CASE("a parameter outlives a hook that throws", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(scalar(2));
  bool broken = true;
  w.register_hook([&](const Tensor&) -> Tensor {
    if (broken) throw std::runtime_error("planted");
    return {};
  });
  backward(w.tensor() * 3.0);
  w.apply(make_op(SgdUpdate{}), 0, learning_rate(1));
  CHECK(failure_of(w.tensor()).find("planted") != std::string::npos);
  w.zero_grad();
  broken = false;
  CHECK(w.tensor().item() == 2);
  backward(w.tensor() * 3.0);
  w.apply(make_op(SgdUpdate{}), 0, learning_rate(1));
  CHECK(w.tensor().item() == -1);
}

TEST_CASE("a hook's gradient of another shape is refused with both shapes", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(Tensor::copy_of<double>(std::vector<double>{1, 2}, {2}));
  w.register_hook([](const Tensor&) {
    return Tensor::copy_of<double>(std::vector<double>{1, 2, 3}, {3});
  });
  backward(sum(w.tensor() * 3.0));
  backward(sum(w.tensor() * 3.0));
  std::string text;
  try {
    (void)w.grad();
  } catch (const Error& error) {
    text = error.what();
  }
  CHECK(text.find("float64[3]") != std::string::npos);
  CHECK(text.find("float64[2]") != std::string::npos);
  w.apply(make_op(SgdUpdate{}), 0, learning_rate(1));
  (void)failure_of(w.tensor());
  w.forget_read();
  CHECK(w.tensor().to_vector<double>() == std::vector<double>{1, 2});
}

TEST_CASE("an update rule that throws leaves value and states", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  cpu::add_kernel(
      engine.device,
      OpInfoOf<BrokenUpdate>::info,
      [](const void*, std::span<const cpu::HostTensor> in, std::span<const cpu::HostTensor> out) {
        // Halfway done, in place if it may.
        out[0].as<double>()[0] = in[0].as<double>()[0] + 100;
        throw std::runtime_error("planted");
      });
  Parameter w(scalar(2));
  w.set_states({scalar(5)});
  w.set_grad(scalar(1));
  w.apply(make_op(BrokenUpdate{}), 1, learning_rate(1));
  const std::string text = failure_of(w.tensor());
  CHECK(text.find("planted") != std::string::npos);
  CHECK(text.find("broken_update") != std::string::npos);
  CHECK(text.find("parameter_test.cpp") != std::string::npos);
  w.forget_read();
  CHECK(w.tensor().item() == 2);
  CHECK(w.states().at(0).item() == 5);
}

TEST_CASE("states and scalars that do not fit a rule are refused at the call", "[autograd]") {
  test::Engine engine;
  Parameter w(scalar(2));
  SgdUpdate momentum;
  momentum.momentum = 0.9;
  const Tensor lr = learning_rate(1);
  CHECK_THROWS_AS(w.apply(make_op(BrokenUpdate{}), 4, lr), Error);
  CHECK_THROWS_AS(w.apply(make_op(momentum), 0, lr), Error);
  CHECK_THROWS_AS(w.apply(make_op(SgdUpdate{}), 0, Tensor()), Error);
  CHECK_THROWS_AS(w.apply(make_op(SgdUpdate{}), 0, scalar(1)), Error);
  CHECK_THROWS_AS(w.set_states({scalar(1), scalar(1), scalar(1), scalar(1)}), Error);
  CHECK_THROWS_AS(w.set_states({Tensor::copy_of<double>(std::vector<double>{1, 2}, {2})}), Error);
  CHECK(w.tensor().item() == 2);
}

TEST_CASE("a value that fails on its way is not taken", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(scalar(2));
  Awaiting late = make_awaiting(engine.device, w.meta(), nullptr, 0, Where::here());
  w.set(late.tensor);
  Address<Input>(late.cell).send(
      Input{0, ValueBody::failed(engine.system, Error(ErrorCode::op_failed, "planted"))});
  CHECK(failure_of(w.tensor()).find("planted") != std::string::npos);
  w.forget_read();
  CHECK(w.tensor().item() == 2);
}

// Goal: invariant 6 through the define-by-run door.
TEST_CASE("a step in which one gradient fails updates no parameter", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u, 4u));
  Parameter first(scalar(2)), second(scalar(3)), third(scalar(4));
  bool broken = true;
  second.register_hook([&](const Tensor&) -> Tensor {
    if (broken) throw std::runtime_error("planted");
    return {};
  });
  const OpRef rule = make_op(SgdUpdate{});
  const auto step = [&] {
    for (Parameter* p : {&first, &second, &third}) p->zero_grad();
    const Tensor loss = first.tensor() * second.tensor() * third.tensor();
    backward(loss);
    const ParameterUpdate updates[] = {
        {first, rule, 0, learning_rate(1)},
        {second, rule, 0, learning_rate(1)},
        {third, rule, 0, learning_rate(1)}};
    apply_together(updates);
    return loss;
  };
  CHECK(step().item() == 24);
  for (const Parameter* p : {&first, &second, &third})
    CHECK(failure_of(p->tensor()).find("planted") != std::string::npos);
  for (Parameter* p : {&first, &second, &third}) p->forget_read();
  CHECK(first.tensor().item() == 2);
  CHECK(second.tensor().item() == 3);
  CHECK(third.tensor().item() == 4);
  broken = false;
  CHECK(step().item() == 24);
  CHECK(first.tensor().item() == 2 - 12);
  CHECK(second.tensor().item() == 3 - 8);
  CHECK(third.tensor().item() == 4 - 6);
}

TEST_CASE("a step that was lost is told once, and those after it go on", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(scalar(2));
  int calls = 0;
  w.register_hook([&](const Tensor&) -> Tensor {
    if (++calls == 1) throw std::runtime_error("planted");
    return {};
  });
  std::vector<bool> failed;
  for (int i = 0; i < 4; ++i) {
    w.zero_grad();
    const Tensor loss = w.tensor() * 3.0;
    backward(loss);
    w.apply(make_op(SgdUpdate{}), 0, learning_rate(1));
    failed.push_back(!failure_of(loss).empty());
  }
  CHECK(failed == std::vector<bool>{false, true, false, false});
  CHECK(w.tensor().item() == 2 - 2 * 3);
}

TEST_CASE("retain_grad keeps the gradient of what an op made", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter w(scalar(2));
  const Tensor y = w.tensor() * 3.0;
  CHECK_THROWS_AS(grad_of(y), Error);
  retain_grad(y);
  retain_grad(y);  // again changes nothing
  CHECK_FALSE(grad_of(y).defined());
  register_hook(y, [](const Tensor& gradient) { return gradient * 10.0; });
  const Tensor z = y * y;
  backward(z, {}, {.retain_graph = true});
  CHECK(grad_of(y).item() == 120);
  backward(z);
  CHECK(grad_of(y).item() == 240);
  CHECK(w.grad().item() == 720);

  const Tensor none = Tensor::copy_of<double>(std::vector<double>{1}, {});
  CHECK_THROWS_AS(retain_grad(none), Error);
}

TEST_CASE("what is kept for a tensor goes with it", "[autograd]") {
  test::Engine engine;
  Parameter w(scalar(2));
  (void)w.tensor();
  const auto before = engine.system.actors_alive();
  for (int i = 0; i < 10; ++i) {
    const Tensor y = w.tensor() * 3.0;
    retain_grad(y);
    register_hook(y, [](const Tensor&) { return Tensor(); });
    backward(y * 2.0);
  }
  CHECK(w.grad().item() == 60);
  CHECK(engine.system.actors_alive() == before);
  CHECK_FALSE(troupe::Engine::of(engine.system).watches_gradients());
}
