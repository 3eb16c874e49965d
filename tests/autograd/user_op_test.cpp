#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/op_info.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace troupe;

namespace {

/// y = x·|x|: an op that Troupe does not have.
struct SignedSquare : OpDefaults {
  static constexpr OpId id{65'600};
  static constexpr std::string_view name = "signed_square";
  static constexpr std::uint32_t saves_inputs = 0b1;

  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * abs(v.input()) * 2.0};
  }
};

/// An op that throws when it runs, long after the call.
struct Explode : OpDefaults {
  static constexpr OpId id{65'601};
  static constexpr std::string_view name = "explode";
  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
};

/// An op whose vjp gives a gradient of another shape.
struct WrongVjp : OpDefaults {
  static constexpr OpId id{65'602};
  static constexpr std::string_view name = "wrong_vjp";
  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {sum(v.grad())};
  }
};

/// An op of any number of inputs; no device has a kernel for it.
struct Gathering : OpDefaults {
  static constexpr OpId id{65'603};
  static constexpr std::string_view name = "gathering";
  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
  template <class V>
  Gradients vjp(const V& v) const {
    return Gradients(v.input_count());
  }
};

void attach_ops(Device& device) {
  cpu::add_kernel(
      device,
      OpInfoOf<SignedSquare>::info,
      [](const void*, std::span<const cpu::HostTensor> in, std::span<const cpu::HostTensor> out) {
        const auto x = in[0].as<const double>();
        const auto y = out[0].as<double>();
        for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i] * std::abs(x[i]);
      });
  cpu::add_kernel(
      device,
      OpInfoOf<Explode>::info,
      [](const void*, std::span<const cpu::HostTensor>, std::span<const cpu::HostTensor>) {
        throw std::runtime_error("planted");
      });
  cpu::add_kernel(
      device,
      OpInfoOf<WrongVjp>::info,
      [](const void*, std::span<const cpu::HostTensor> in, std::span<const cpu::HostTensor> out) {
        std::ranges::copy(in[0].as<const double>(), out[0].as<double>().begin());
      });
}

Tensor vector_of(std::vector<double> x) {
  return Tensor::copy_of<double>(x, {static_cast<std::int64_t>(x.size())});
}

}  // namespace

TEST_CASE("an op of the user's runs, differentiates and is captured", "[autograd]") {
  test::Engine engine;
  attach_ops(engine.device);
  const Tensor x = requires_grad(vector_of({-2, 3}));
  const Tensor y = apply(SignedSquare{}, x);
  CHECK(y.to_vector<double>() == std::vector<double>{-4, 9});
  backward(sum(y));
  CHECK(grad_of(x).to_vector<double>() == std::vector<double>{4, 6});

  const Meta meta{DType::float64, {2}};
  Program program = Program::capture(
      [](auto in) { return std::vector<Tensor>{apply(SignedSquare{}, in[0])}; },
      std::span(&meta, 1));
  const Tensor z = vector_of({-1, 5});
  CHECK(program.run(std::span(&z, 1))[0].to_vector<double>() == std::vector<double>{-1, 25});
}

TEST_CASE("an op that throws ends its graph with an error that names it", "[autograd]") {
  for (const unsigned threads : {1u, 2u}) {
    test::Engine engine(threads);
    attach_ops(engine.device);
    const Tensor x = vector_of({1});
    std::string text;
    Awaiting late = make_awaiting(engine.device, x.meta(), nullptr, 0, Where::here());
    const Tensor y = apply(Explode{}, late.tensor) + 1.0;  // runs in a turn of its own
    Address<Input>(late.cell).send(Input{0, x.value()});
    try {
      (void)y.item();
    } catch (const Error& error) {
      text = error.what();
    }
    CHECK(text.find("explode") != std::string::npos);
    CHECK(text.find("planted") != std::string::npos);
    CHECK(text.find("user_op_test.cpp") != std::string::npos);
    CHECK_THROWS_AS(apply(Explode{}, x), Error);  // ready: at the call
    CHECK((x + 1.0).item() == 2);                 // the system lives on
  }
}

TEST_CASE("a vjp's gradient of another shape is refused with op and both shapes", "[autograd]") {
  test::Engine engine;
  attach_ops(engine.device);
  for (const bool create_graph : {false, true}) {
    const Tensor x = requires_grad(vector_of({1, 2, 3}));
    std::string text;
    try {
      (void)grad(sum(apply(WrongVjp{}, x)), x, {.create_graph = create_graph}).value();
    } catch (const Error& error) {
      text = error.what();
    }
    CHECK(text.find("wrong_vjp") != std::string::npos);
    CHECK(text.find("float64[3]") != std::string::npos);
    CHECK(text.find("float64[]") != std::string::npos);
  }
}

TEST_CASE("an op of forty inputs sends gradients on the edges counted alone", "[autograd]") {
  test::Engine engine;
  std::vector<Tensor> parts;
  for (int i = 0; i < 40; ++i) parts.push_back(requires_grad(vector_of({1.0 * i})));
  Awaiting late = make_awaiting(engine.device, parts[0].meta(), nullptr, 0, Where::here());
  std::vector<Operand> inputs(parts.begin(), parts.end());
  inputs[1] = Operand(late.tensor);
  const Tensor all = apply(make_op(Gathering{}), std::span<const Operand>(inputs));
  Address<Input>(late.cell).send(Input{0, parts[1].value()});
  const auto ask = [&](std::size_t i) {
    const Tensor gradient = grad(all, parts[i], {.retain_graph = true});
    CHECK_THROWS_AS(gradient.value(), Error);  // the launch failed, and all that come after
  };
  ask(35);
  const auto before = engine.system.blocks_in_use();
  for (int repeat = 0; repeat < 10; ++repeat) ask(35);
  CHECK(engine.system.blocks_in_use() == before);
}
