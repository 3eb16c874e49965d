#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/capture.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstring>
#include <vector>

using namespace troupe;

namespace {

std::vector<std::uint32_t> bits(const Tensor& tensor) {
  const auto elements = tensor.to_vector<float>();
  std::vector<std::uint32_t> out(elements.size());
  std::memcpy(out.data(), elements.data(), out.size() * 4);
  return out;
}

/// A small regression network whose step, either way, is the same calls.
struct Net {
  Parameter w1{Tensor::copy_of<float>(test::numbers(8 * 16, 1), {16, 8})};
  Parameter b1{Tensor::copy_of<float>(test::numbers(16, 2), {16})};
  Parameter w2{Tensor::copy_of<float>(test::numbers(16, 3), {1, 16})};
  OpRef rule = make_op(AdamUpdate{});
  double steps = 0;

  std::vector<Tensor> step(std::span<const Tensor> inputs) {
    for (Parameter* p : {&w1, &b1, &w2}) p->zero_grad();
    const Tensor hidden = tanh(linear(inputs[0], w1.tensor(), b1.tensor()));
    const Tensor error = linear(hidden, w2.tensor()) - inputs[1];
    const Tensor loss = mean(error * error);
    backward(loss);
    const ScalarSource source = [this](std::span<double> numbers) {
      numbers[0] = 1e-2 / (1 + steps);  // a schedule, of a sort
      numbers[1] = ++steps;
    };
    Tensor scalars;
    if (Capture* capture = Capture::current()) {
      scalars = capture->scalars(source, 2);
    } else {
      double numbers[2];
      source(numbers);
      scalars = Tensor::copy_of<double>(std::span<const double>(numbers), {2});
    }
    for (Parameter* p : {&w1, &b1, &w2}) p->apply(rule, 2, scalars);
    return {loss};
  }
};

Tensor batch(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  return Tensor::copy_of<float>(
      test::numbers(static_cast<std::size_t>(rows * columns), seed), {rows, columns});
}

}  // namespace

TEST_CASE("a program gives the bits of the same calls made one by one", "[autograd]") {
  std::vector<std::vector<std::uint32_t>> expected;
  for (const unsigned threads : {1u, 2u, 4u}) {
    for (const bool captured : {false, true}) {
      test::Engine engine(threads);
      Net net;
      CompiledFunction compiled([&](std::span<const Tensor> in) { return net.step(in); });
      std::vector<std::vector<std::uint32_t>> seen;
      for (std::uint64_t i = 0; i < 20; ++i) {
        // The last batch is smaller, as at the end of an epoch: a signature of its own.
        const std::int64_t rows = i % 5 == 4 ? 7 : 32;
        const Tensor inputs[] = {batch(rows, 8, 100 + i), batch(rows, 1, 200 + i)};
        const Tensor loss = (captured ? compiled(inputs) : net.step(inputs))[0];
        seen.push_back(bits(loss));
      }
      for (const Parameter* p : {&net.w1, &net.b1, &net.w2}) seen.push_back(bits(p->tensor()));
      if (captured) CHECK(compiled.programs() == 2);
      if (expected.empty()) expected = seen;
      REQUIRE(seen == expected);
    }
  }
}

TEST_CASE("a capture runs nothing and changes nothing", "[autograd]") {
  test::Engine engine;
  Net net;
  const auto before = bits(net.w1.tensor());
  const Meta inputs[] = {{DType::float32, {4, 8}}, {DType::float32, {4, 1}}};
  const std::uint64_t calls = engine.scope.random().calls;
  const Program program = Program::capture([&](auto in) { return net.step(in); }, inputs);
  CHECK(program.op_count() > 10);
  CHECK(bits(net.w1.tensor()) == before);
  CHECK(net.steps == 0);
  CHECK(engine.scope.random().calls == calls);
}

TEST_CASE("runs may be asked for ahead and happen in order", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Net net;
  const Meta metas[] = {{DType::float32, {4, 8}}, {DType::float32, {4, 1}}};
  Program program = Program::capture([&](auto in) { return net.step(in); }, metas);
  const Tensor inputs[] = {batch(4, 8, 5), batch(4, 1, 6)};
  std::vector<Tensor> losses;
  for (int i = 0; i < 100; ++i) losses.push_back(program.run(inputs)[0]);
  double last = losses[0].item();
  for (int i = 1; i < 100; ++i) {
    CHECK(losses[static_cast<std::size_t>(i)].item() != last);
    last = losses[static_cast<std::size_t>(i)].item();
  }
}

TEST_CASE("a program that only reads parameters leaves their states alone", "[autograd]") {
  test::Engine engine;
  Net trained, evaluated;
  const auto run = [&](Net& net, bool evaluates) {
    CompiledFunction step([&](std::span<const Tensor> in) { return net.step(in); });
    CompiledFunction predict([&](std::span<const Tensor> in) -> std::vector<Tensor> {
      const NoGrad no_grad;
      return {linear(tanh(linear(in[0], net.w1.tensor(), net.b1.tensor())), net.w2.tensor())};
    });
    for (std::uint64_t i = 0; i < 6; ++i) {
      const Tensor inputs[] = {batch(4, 8, i), batch(4, 1, 50 + i)};
      (void)step(inputs);
      if (evaluates) (void)predict(std::span(inputs, 1))[0].to_vector<float>();
    }
    return bits(net.w1.tensor());
  };
  CHECK(run(trained, false) == run(evaluated, true));
}

TEST_CASE("a step that fails writes nothing, and the next one runs", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter table(Tensor::copy_of<float>(test::numbers(12, 1), {4, 3}));
  const auto step = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    table.zero_grad();
    const Tensor loss = sum(embedding(in[0], table.tensor()));
    backward(loss);
    table.apply(
        make_op(SgdUpdate{}),
        0,
        Capture::current()->scalars(
            [](std::span<double> s) {
              s[0] = 1;
              s[1] = 1;
            },
            2));
    return {loss};
  };
  const Meta metas[] = {{DType::int64, {2}}};
  Program program = Program::capture(step, metas);
  const auto before = bits(table.tensor());
  const Tensor wrong = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{1, 99}, {2});
  const Tensor right = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{1, 2}, {2});
  const Tensor failed = program.run(std::span(&wrong, 1))[0];
  CHECK_THROWS_AS(failed.item(), Error);
  CHECK(bits(table.tensor()) == before);
  CHECK_NOTHROW(program.run(std::span(&right, 1))[0].item());
  CHECK(bits(table.tensor()) != before);
}

TEST_CASE("random ops draw the same numbers through both doors", "[autograd]") {
  const auto f = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {dropout(in[0], 0.5), dropout(in[0] * 2.0, 0.3)};
  };
  std::vector<std::vector<std::uint32_t>> seen[2];
  for (const int captured : {0, 1}) {
    test::Engine engine;
    engine.scope.seed(42);
    CompiledFunction compiled(f);
    for (int i = 0; i < 3; ++i) {
      const Tensor x = batch(16, 16, 9);
      const auto outputs = captured ? compiled(std::span(&x, 1)) : f(std::span(&x, 1));
      for (const Tensor& y : outputs) seen[captured].push_back(bits(y));
    }
  }
  CHECK(seen[0] == seen[1]);
  CHECK(seen[0][0] != seen[0][2]);
}

TEST_CASE("a program refuses inputs of another signature", "[autograd]") {
  test::Engine engine;
  const Meta meta{DType::float32, {4}};
  Program program = Program::capture(
      [](std::span<const Tensor> in) { return std::vector<Tensor>{in[0] + 1.0f}; },
      std::span(&meta, 1));
  const Tensor x = batch(1, 5, 1);
  CHECK_THROWS_AS(program.run(std::span(&x, 1)), Error);
}

TEST_CASE("an output may be an input, a constant or given twice", "[autograd]") {
  test::Engine engine;
  const Tensor bound = batch(2, 2, 8);
  const Meta meta{DType::float32, {2, 2}};
  Program program = Program::capture(
      [&](std::span<const Tensor> in) {
        const Tensor y = in[0] + bound;
        return std::vector<Tensor>{in[0], bound, y, y};
      },
      std::span(&meta, 1));
  for (int i = 0; i < 3; ++i) {
    const Tensor x = batch(2, 2, 20 + static_cast<std::uint64_t>(i));
    const auto out = program.run(std::span(&x, 1));
    CHECK(bits(out[0]) == bits(x));
    CHECK(bits(out[1]) == bits(bound));
    CHECK(bits(out[2]) == bits(x + bound));
    CHECK(bits(out[3]) == bits(out[2]));
  }
}
