#include "support/engine.hpp"

#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace troupe;

namespace {

Meta two() { return {DType::float32, {2}}; }
Tensor of(float a, float b) { return Tensor::copy_of<float>(std::vector<float>{a, b}, {2}); }

struct Go {
  static constexpr MessageId id{70'000};
  static constexpr std::string_view name = "go";
  template <class V>
  void fields(V&) {}
};

/// Takes gradients and forgets them.
class Sink final : public Actor<Expect, Gradient, AddHook> {
 public:
  void on(Expect&&) {}
  void on(Gradient&&) {}
  void on(AddHook&&) {}
};

/// Waits where nobody may.
class Waiter final : public Actor<Go> {
 public:
  Waiter(Tensor tensor, std::atomic<int>* code) : tensor_(std::move(tensor)), code_(code) {}
  void on(Go&&) {
    try {
      (void)tensor_.value();
    } catch (const Error& error) {
      code_->store(static_cast<int>(error.code()));
    }
  }

 private:
  Tensor tensor_;
  std::atomic<int>* code_;
};

}  // namespace

TEST_CASE("ops on what is not there yet run when it comes", "[tensor]") {
  test::Engine engine(GENERATE(1u, 2u));
  Awaiting a = make_awaiting(engine.device, two(), nullptr, 0, Where::here());
  const Tensor y = a.tensor * 2.0f + of(1, 1);
  CHECK_FALSE(y.ready());
  Address<Input>(a.cell).send(Input{0, of(10, 20).value()});
  CHECK(y.to_vector<float>() == std::vector<float>{21, 41});
}

TEST_CASE("null for an awaited value stands for zeros", "[tensor]") {
  test::Engine engine;
  Awaiting a = make_awaiting(engine.device, two(), nullptr, 0, Where::here());
  Address<Input>(a.cell).send(Input{0, nullptr});
  CHECK((a.tensor + 1.0f).to_vector<float>() == std::vector<float>{1, 1});
}

TEST_CASE("a failure goes down every edge and names where it came from", "[tensor]") {
  test::Engine engine;
  Awaiting a = make_awaiting(engine.device, two(), nullptr, 0, Where::here());
  const Tensor y = sum(a.tensor * 2.0f);
  Address<Input>(a.cell).send(
      Input{0, ValueBody::failed(engine.system, Error(ErrorCode::actor_down, "planted"))});
  try {
    (void)y.item();
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::actor_down);
  }
  CHECK_THROWS_AS((y + 1.0f).item(), Error);  // and through what is built on it afterwards
}

TEST_CASE("waiting for what nobody will send is reported as a stall", "[tensor]") {
  test::Engine engine;
  Awaiting a = make_awaiting(engine.device, two(), nullptr, 0, Where::here());
  try {
    (void)a.tensor.to_vector<float>();
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::stalled);
  }
}

TEST_CASE("a dropped tensor's data go, the graph stays", "[tensor]") {
  test::Engine engine;
  Awaiting a = make_awaiting(engine.device, two(), nullptr, 0, Where::here());
  const Tensor y = [&] {
    const Tensor hidden = a.tensor + 1.0f;
    return hidden * 3.0f;
  }();
  Address<Input>(a.cell).send(Input{0, of(1, 2).value()});
  CHECK(y.to_vector<float>() == std::vector<float>{6, 9});

  // The memory too: neither the handle that is gone nor an edge whose vjp does not read it holds
  // it.
  const Meta large{DType::float32, {1 << 20}};
  Awaiting b =
      make_awaiting(engine.device, large, engine.system.spawn<Sink>().cell(), 0, Where::here());
  const std::size_t before = cpu::memory(engine.device).in_use_bytes;
  const Tensor total = sum(b.tensor + 1.0f);
  Address<Input>(b.cell).send(Input{0, nullptr});
  b = {};
  CHECK(total.item() == 1 << 20);
  CHECK(total.requires_grad());
  CHECK(cpu::memory(engine.device).in_use_bytes < before + large.bytes() / 2);
}

// A sanitizer ends the program for so large a request.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("an output that does not fit in memory fails what waits for it", "[tensor]") {
  test::Engine engine;
  const Meta endless{DType::float32, {std::int64_t{1} << 60}};
  Awaiting a = make_awaiting(engine.device, endless, nullptr, 0, Where::here());
  Address<Input>(a.cell).send(Input{0, nullptr});
  try {
    (void)a.tensor.value();
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::op_failed);
    CHECK(error.op() == "identity");
  }
}
#endif

TEST_CASE("the NaN trap names the first op that made one", "[tensor]") {
  test::Engine engine;
  troupe::Engine::of(engine.system).trap_nan = true;
  troupe::Engine::of(engine.system).step = 12;
  const Tensor x = of(-1, 1);
  const std::uint32_t line = __LINE__ + 2;
  try {
    (void)(sqrt(x) * 2.0f + 1.0f);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::nan_found);
    CHECK(error.op() == "sqrt");
    CHECK(error.step() == 12);
    CHECK(error.line() == line);
    CHECK(error.file().ends_with("node_test.cpp"));
  }
}

TEST_CASE("the NaN trap tells a NaN that came in from one that was made", "[tensor]") {
  test::Engine engine(GENERATE(1u, 2u));
  troupe::Engine::of(engine.system).trap_nan = true;
  const Tensor given = of(std::numeric_limits<float>::quiet_NaN(), 1);
  // What only looks at it, or takes it out, may.
  CHECK(where(isnan(given), 0.0f, given).to_vector<float>() == std::vector<float>{0, 1});
  try {
    (void)(of(1, 2) * given);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::nan_found);
    CHECK(error.op() == "mul");
    CHECK(error.message().find("input 1, the tensor float32[2] made at") != std::string::npos);
    CHECK(error.message().find("node_test.cpp:") != std::string::npos);
  }
}

TEST_CASE("item() inside an actor is an error, not a deadlock", "[tensor]") {
  test::Engine engine(2);
  Awaiting a = make_awaiting(engine.device, two(), nullptr, 0, Where::here());
  std::atomic<int> code{0};
  const auto waiter = engine.system.spawn<Waiter>(a.tensor, &code);
  waiter.send(Go{});
  engine.system.wait_until([&] { return code.load() != 0; }, "the actor");
  CHECK(code.load() == static_cast<int>(ErrorCode::inside_actor));
  Address<Input>(a.cell).send(Input{0, nullptr});
}
