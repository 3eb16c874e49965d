#include "support/engine.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/tensor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace troupe;

TEST_CASE("from() borrows the caller's memory until no tensor sees it", "[tensor]") {
  test::Engine engine;
  auto elements = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> alive = elements;
  Tensor x = Tensor::from(std::span<const float>(*elements), {2, 2}, elements);
  elements.reset();
  CHECK_FALSE(alive.expired());
  Tensor row = select(x, 0, 1);
  x = Tensor();
  CHECK(row.to_vector<float>() == std::vector<float>{3, 4});
  row = Tensor();
  CHECK(alive.expired());
}

TEST_CASE("a tensor needs as many elements as its shape says", "[tensor]") {
  test::Engine engine;
  const std::vector<float> six(6);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {2, 2}), Error);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {-2, -3}), Error);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {6}).to_vector<double>(), Error);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {6}).item(), Error);
}

TEST_CASE("empty tensors are tensors", "[tensor]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{}, {0, 3});
  CHECK((x + 1.0f).shape() == Shape{0, 3});
  CHECK(sum(x).item() == 0);
  CHECK((x * 2.0f).to_vector<float>().empty());
}

TEST_CASE("downloads gather strided elements in row-major order", "[tensor]") {
  test::Engine engine;
  const Tensor x =
      Tensor::copy_of<std::int32_t>(std::vector<std::int32_t>{0, 1, 2, 3, 4, 5}, {2, 3});
  CHECK(
      transpose(x, 0, 1).to_vector<std::int32_t>() == std::vector<std::int32_t>{0, 3, 1, 4, 2, 5});
  CHECK(x.size(-1) == 3);
  CHECK_THROWS_AS(x.size(2), Error);
}

TEST_CASE("item() keeps the bits of integers", "[tensor]") {
  test::Engine engine;
  constexpr std::int64_t odd = (std::int64_t{1} << 53) + 1;  // the first that no double holds
  const Tensor x = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{odd}, {1});
  CHECK(x.item<std::int64_t>() == odd);
  CHECK((x + odd).item<std::int64_t>() == 2 * odd);
  CHECK((x * 1).item<std::int64_t>() == odd);
  CHECK((x - odd).item<std::int64_t>() == 0);
  CHECK(eq(x, odd).item<bool>());
  CHECK_FALSE(eq(x, odd - 1).item<bool>());
}

TEST_CASE("reading what cannot be read names the line that tried", "[tensor]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(std::vector<float>(6), {2, 3});
  const auto refused = [](auto&& call) {
    try {
      (void)call();
    } catch (const Error& error) {
      return error;
    }
    return Error();
  };
  std::vector<float> room(2);
  const Tensor nothing;
  for (const Error& error :
       {refused([&] { return x.item(); }),
        refused([&] { return cast(select(select(x, 0, 0), 0, 0), DType::bfloat16).item(); }),
        refused([&] { return x.to_vector<double>(); }),
        refused([&] { return nothing.item(); }),
        refused([&] { return nothing.to_vector<float>(); }),
        refused([&] {
          x.download(DType::float32, std::as_writable_bytes(std::span(room)));
          return 0;
        })}) {
    INFO(error.what());
    CHECK(error.code() != ErrorCode::internal);
    CHECK_FALSE(error.op().empty());
    CHECK(error.file().find("tensor_test.cpp") != std::string::npos);
    CHECK_FALSE(error.hint().empty());
  }
  CHECK(refused([&] { return x.item(); }).message().find("float32[2, 3]") != std::string::npos);
}

namespace {

/// Reads a tensor in its turn, which it must not.
class Reader final : public Actor<Completed> {
 public:
  Reader(Tensor tensor, ErrorCode& seen) : tensor_(std::move(tensor)), seen_(&seen) {}

 private:
  friend ActorAccess;
  void on(const Completed&) {
    try {
      (void)tensor_.item();
    } catch (const Error& error) {
      *seen_ = error.code();
    }
  }
  Tensor tensor_;
  ErrorCode* seen_;
};

}  // namespace

TEST_CASE("item() inside an actor is an error, also where the data are there", "[tensor]") {
  test::Engine engine;
  ErrorCode seen{};
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{1}, {1});
  CHECK(x.ready());
  const auto reader = engine.system.spawn<Reader>(x, seen);
  reader.send(Completed{});
  engine.system.run_ready();
  CHECK(seen == ErrorCode::inside_actor);
}

TEST_CASE("a transfer is an op of the graph, refused in none but captures", "[tensor]") {
  test::Engine engine;
  Device& other = cpu::attach(engine.system);
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{0, 1, 2}, {3});
  CHECK_THROWS_AS(to(x, "gpu:0"), Error);
  CHECK_THROWS_AS(to(Tensor(), other), Error);
  // What is to come is waited for by the transfer's node, not by the caller.
  Awaiting late = make_awaiting(engine.device, x.meta(), nullptr, 0, Where{});
  const Tensor there = to(late.tensor, other);
  CHECK_FALSE(there.ready());
  Address<Input>(late.cell).send(Input{0, x.value()});
  CHECK(there.to_vector<float>() == std::vector<float>{0, 1, 2});
  CHECK(&there.record()->device() == &other);
}

TEST_CASE("a tensor is copied to another device of its system", "[tensor]") {
  test::Engine engine;
  Device& other = cpu::attach(engine.system);
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor there = to(transpose(x, 0, 1), other);
  CHECK(&there.value()->device() == &other);
  CHECK(there.to_vector<float>() == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(to(x, engine.device).record() == x.record());
  try {
    (void)(x + to(x, other));
    FAIL("taken");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::device_mismatch);
    CHECK(error.message().find("float32[2, 3], float32[2, 3]") != std::string::npos);
    CHECK(error.op() == "add");
    CHECK(error.file().find("tensor_test.cpp") != std::string::npos);
    CHECK(error.hint().find("to(tensor, device)") != std::string::npos);
  }
}
