#include "autograd/constant_lr.hpp"
#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/core/sim.hpp>
#include <troupe/core/trace.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/packed.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <random>

using namespace troupe;

namespace {

std::size_t count(const Program& program, std::string_view name) {
  const std::vector<std::string> names = test::names(program);
  return static_cast<std::size_t>(std::count(names.begin(), names.end(), name));
}

/// How often a run packs, by the spans of its trace.
std::size_t packs_in(System& system, const std::function<void()>& run) {
  sim::MemoryDisk disk;
  system.tracer().start();
  run();
  REQUIRE(system.tracer().write(disk, "/trace.json"));
  const auto bytes = disk.read_all("/trace.json").value();
  const std::string trace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::size_t found = 0;
  for (std::size_t at = 0; (at = trace.find("\"pack #", at)) != std::string::npos; ++at) ++found;
  return found;
}

/// A convolution of each algorithm and a product, as a network has them.
struct Network {
  Parameter direct{test::drawn({5, 1, 3, 3}, 1)};
  Parameter tiles{test::drawn({16, 5 * 2, 3, 3}, 2)};
  Parameter weight{test::drawn({70, 16 * 64}, 3)};
  Parameter bias{test::drawn({70}, 4)};

  Tensor operator()(const Tensor& images) const {
    const Tensor first = relu(conv2d(images, direct.tensor(), {}, {1, 1}, {1, 1}));
    const Tensor second = conv2d(concat({first, first}, 1), tiles.tensor(), {}, {1, 1}, {1, 1});
    return relu(linear(reshape(second, {images.size(0), -1}), weight.tensor(), bias.tensor()));
  }
};

}  // namespace

TEST_CASE("what a program only reads is packed once for all steps", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  Network network;
  const GraphFunction function = [&](std::span<const Tensor> in) {
    return std::vector<Tensor>{network(in[0])};
  };
  const NoGrad frozen;
  const Meta metas[] = {{DType::float32, {4, 1, 8, 8}}};
  Program program = Program::capture(function, metas);
  CHECK(count(program, "pack") == 3);
  CHECK(count(program, "linear + relu") == 1);
  Program plain =
      Program::capture(function, metas, {.passes = Passes::all().without(Pass::packing)});
  CHECK(count(plain, "pack") == 0);

  std::vector<float> found;
  const auto run = [&](std::uint64_t seed) {
    const Tensor in[] = {test::drawn({4, 1, 8, 8}, seed)};
    found = program.run(in)[0].to_vector<float>();
    CHECK(found == plain.run(in)[0].to_vector<float>());
    CHECK(found == network(in[0]).to_vector<float>());
  };
  CHECK(packs_in(engine.system, [&] { run(5); }) == 3);
  CHECK(packs_in(engine.system, [&] { run(6); }) == 0);
  CHECK(packs_in(engine.system, [&] { run(7); }) == 0);

  // A new value is packed, and nothing else.
  network.tiles.set(test::drawn({16, 10, 3, 3}, 8));
  const std::vector<float> before = found;
  CHECK(packs_in(engine.system, [&] { run(7); }) == 1);
  CHECK(found != before);
  CHECK(packs_in(engine.system, [&] { run(7); }) == 0);
}

// Goal: what another program writes in place, in the memory that was packed, is packed anew.
TEST_CASE("weights that a training step updated are packed anew", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter weight(test::drawn({80, 100}, 1));
  const Meta metas[] = {{DType::float32, {70, 100}}};
  const auto forward = [&](std::span<const Tensor> in) { return linear(in[0], weight.tensor()); };
  Program read = [&] {
    const NoGrad frozen;
    return Program::capture(
        [&](std::span<const Tensor> in) { return std::vector<Tensor>{forward(in)}; }, metas);
  }();
  REQUIRE(count(read, "pack") == 1);
  Program train = Program::capture(
      [&](std::span<const Tensor> in) {
        weight.zero_grad();
        const Tensor loss = sum(forward(in));
        backward(loss);
        weight.apply(make_op(SgdUpdate{}), 0, test::constant_lr(0.5));
        return std::vector<Tensor>{loss.detach()};
      },
      metas);
  CHECK(count(train, "pack") == 0);
  const Tensor in[] = {test::drawn({70, 100}, 2)};
  for (int step = 0; step < 3; ++step) {
    std::vector<float> found;
    CHECK(packs_in(engine.system, [&] { found = read.run(in)[0].to_vector<float>(); }) == 1);
    const NoGrad frozen;
    CHECK(found == forward(in).to_vector<float>());
    (void)train.run(in)[0].item();
  }
}

TEST_CASE("weights that several products read alike are packed once", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {linear(in[0], in[2]), linear(in[1], in[2]), matmul(in[0], in[3])};
  };
  const std::initializer_list<Shape> shapes{{70, 100}, {70, 100}, {80, 100}, {100, 80}};
  CHECK(
      test::names(test::capture(function, shapes, Passes::all())) ==
      std::vector<std::string>{"pack", "linear", "linear", "matmul"});
  CHECK(test::same_bits(function, shapes, Passes::all()));
}

TEST_CASE("constants are packed in the first step", "[autograd][passes]") {
  test::Engine engine;
  const Tensor weight = test::drawn({80, 100}, 1);
  const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {linear(in[0], weight)};
  };
  Program program = test::capture(function, {{70, 100}}, Passes::all());
  const std::vector<Tensor> in = test::inputs_for({{70, 100}});
  const auto run = [&] {
    const std::vector<float> found = program.run(in)[0].to_vector<float>();
    CHECK(found == function(in)[0].to_vector<float>());
  };
  CHECK(packs_in(engine.system, run) == 1);
  CHECK(packs_in(engine.system, run) == 0);
}

// Goal: a step is given the weights of its own time, whatever runs beside it.
TEST_CASE("steps in flight read their own versions packed", "[autograd][passes]") {
  test::Engine engine(2);
  Parameter weight(test::drawn({300, 200}, 1));
  const NoGrad frozen;
  const GraphFunction function = [&](std::span<const Tensor> in) {
    return std::vector<Tensor>{linear(in[0], weight.tensor())};
  };
  const Meta metas[] = {{DType::float32, {300, 200}}};
  Program program = Program::capture(function, metas, {.steps_in_flight = 3});
  const Tensor in[] = {test::drawn({300, 200}, 2)};
  std::vector<Tensor> found;
  std::vector<Tensor> wanted;
  for (std::uint64_t step = 0; step < 12; ++step) {
    if (step % 2 == 0) weight.set(test::drawn({300, 200}, 10 + step));
    found.push_back(program.run(in)[0]);
    wanted.push_back(function(in)[0]);
  }
  for (std::size_t step = 0; step < found.size(); ++step) {
    CAPTURE(step);
    CHECK(found[step].to_vector<float>() == wanted[step].to_vector<float>());
  }
}

TEST_CASE("products of every kind give the same bits packed", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  std::mt19937_64 random(5);
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  const NoGrad frozen;
  std::size_t packed = 0;
  for (int round = 0; round < 40; ++round) {
    const std::int64_t groups = draw(0, 3) ? 1 : 2;
    const std::int64_t in_channels = groups * draw(1, 20);
    const std::int64_t out_channels = groups * draw(1, 20);
    const std::int64_t taps = draw(1, 4);
    const std::int64_t stride = draw(0, 2) ? 1 : 2;
    const std::int64_t rows = draw(2, 200);
    const std::int64_t columns = draw(2, 150);
    const std::int64_t depth = draw(2, 400);
    const Shape images{draw(1, 4), in_channels, draw(4, 20), draw(4, 20)};
    const Parameter filters(test::drawn({out_channels, in_channels / groups, taps, taps}, 1));
    const Parameter bias(test::drawn({out_channels}, 2));
    const Parameter weight(test::drawn({columns, depth}, 3));
    const Parameter right(test::drawn({depth, columns}, 4));
    const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      const Dims step{stride, stride};
      const Tensor y = conv2d(in[0], filters.tensor(), bias.tensor(), step, {1, 1}, {1, 1}, groups);
      const Conv2dBackwardInput back{{}, step, {1, 1}, {1, 1}, groups, images};
      const Tensor narrow = cast(weight.tensor(), DType::bfloat16);
      return {
          tanh(y),
          apply(back, y, filters.tensor()),
          linear(in[1], weight.tensor()),
          relu(matmul(in[1], right.tensor())) + 1,
          matmul(in[1], transpose(weight.tensor(), 0, 1)),
          // Read twice, or one launch would pack it as well as two.
          cast(linear(cast(in[1], DType::bfloat16), narrow), DType::float32),
          cast(linear(cast(in[1] * 3, DType::bfloat16), narrow), DType::float32)};
    };
    const Meta metas[] = {{DType::float32, images}, {DType::float32, {rows, depth}}};
    const Tensor in[] = {test::drawn(images, 5), test::drawn({rows, depth}, 6)};
    CAPTURE(round);
    Program program = Program::capture(function, metas);
    packed += count(program, "pack");
    const std::vector<Tensor> wanted = function(in);
    for (int again = 0; again < 2; ++again) {
      const std::vector<Tensor> found = program.run(in);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        CAPTURE(i);
        CHECK(found[i].to_vector<float>() == wanted[i].to_vector<float>());
      }
    }
  }
  CHECK(packed > 100);
}

TEST_CASE("a budget leaves packed weights alone", "[autograd][passes]") {
  test::Engine engine;
  const Network network;
  const NoGrad frozen;
  const Meta metas[] = {{DType::float32, {64, 1, 8, 8}}};
  const GraphFunction function = [&](std::span<const Tensor> in) {
    return std::vector<Tensor>{network(in[0])};
  };
  const Program program = Program::capture(function, metas);
  const Program plain =
      Program::capture(function, metas, {.passes = Passes::all().without(Pass::packing)});
  CHECK(program.graph().kept.size() == 3);
  CHECK(program.peak_bytes() == plain.peak_bytes());
}
