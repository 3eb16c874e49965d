#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/core/error.hpp>
#include <troupe/io/safetensors.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/optimizer.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace troupe;

namespace {

Parameter make_parameter(std::uint64_t seed) {
  return Parameter(Tensor::copy_of<float>(test::numbers(6, seed), {2, 3}));
}

void step(optim::Optimizer optimizer, const std::vector<Parameter>& parameters, int t) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Parameter parameter = parameters[i];
    parameter.set_grad(Tensor::copy_of<float>(
        test::numbers(6, 100 + 10 * static_cast<std::uint64_t>(t) + i), {2, 3}));
  }
  optimizer.step();
}

std::vector<float> bits_of(const Parameter& parameter) {
  return parameter.tensor().to_vector<float>();
}

}  // namespace

TEST_CASE("groups have settings of their own", "[nn]") {
  test::Engine engine;
  const Parameter a = make_parameter(1);
  const Parameter b = make_parameter(2);
  const Parameter c = make_parameter(2);
  optim::SGD optimizer({a}, {.lr = 0.1});
  optimizer.add_param_group({b}, {.lr = 0.5, .momentum = 0.9});
  CHECK(optimizer.groups() == 2);
  CHECK(optimizer.lr(1) == 0.5);
  CHECK(optimizer.settings(1).at("momentum").as_double() == 0.9);

  optim::SGD alone({c}, {.lr = 0.5, .momentum = 0.9});
  for (int t = 0; t < 3; ++t) {
    for (Parameter parameter : {a, b, c})
      parameter.set_grad(Tensor::copy_of<float>(test::numbers(6, 7), {2, 3}));
    optimizer.step();
    alone.step();
  }
  CHECK(bits_of(b) == bits_of(c));
  CHECK(a.states().empty());
  CHECK(b.states().size() == 1);
}

TEST_CASE("an optimizer refuses parameters that it cannot step", "[nn]") {
  test::Engine engine;
  const Parameter a = make_parameter(1);
  CHECK_THROWS_AS(optim::SGD({}), Error);
  CHECK_THROWS_AS(optim::SGD({a, a}), Error);
  CHECK_THROWS_AS(optim::SGD({Parameter()}), Error);
  optim::SGD optimizer({a});
  CHECK_THROWS_AS(optimizer.add_param_group({a}, optim::SGDOptions{}), Error);
  CHECK_THROWS_AS(optimizer.lr(1), Error);
  CHECK_THROWS_AS(optimizer.set_lr(-1), Error);
}

TEST_CASE("copies of an optimizer share its count and rate", "[nn]") {
  test::Engine engine;
  const Parameter a = make_parameter(1);
  optim::Adam optimizer({a});
  optim::Optimizer copy = optimizer;
  copy.set_lr(0.25);
  step(copy, {a}, 0);
  CHECK(optimizer.lr() == 0.25);
  CHECK(optimizer.initial_lr() == 1e-3);
  CHECK(optimizer.steps() == 1);
}

TEST_CASE("what has no gradient, or wants none, is left as it is", "[nn]") {
  test::Engine engine;
  const Parameter a = make_parameter(1);
  Parameter frozen = make_parameter(2);
  const std::vector<float> before_a = bits_of(a);
  const std::vector<float> before_frozen = bits_of(frozen);
  optim::AdamW optimizer({a, frozen});
  optimizer.step();
  CHECK(bits_of(a) == before_a);

  frozen.set_requires_grad(false);
  step(optimizer, {a, frozen}, 0);
  CHECK(bits_of(a) != before_a);
  CHECK(bits_of(frozen) == before_frozen);

  optimizer.zero_grad();
  const std::vector<float> after = bits_of(a);
  optimizer.step();
  CHECK(bits_of(a) == after);
}

// Goal: a resume gives the bits of a run that was never interrupted.
// Method: four steps and four more, against four, a trip through file bytes, and four with new
// objects.
TEST_CASE("an optimizer goes on exactly where it was saved", "[nn]") {
  test::Engine engine;
  const std::vector<Parameter> whole{make_parameter(1), make_parameter(2)};
  optim::Adam through(whole, {.lr = 0.05, .weight_decay = 0.01, .amsgrad = true});
  for (int t = 0; t < 4; ++t) step(through, whole, t);

  const optim::OptimizerState state = through.state_dict();
  CHECK(state.tensors.size() == 6);
  CHECK(state.tensors[0].first == "0.exp_avg");
  CHECK(state.tensors[5].first == "1.max_exp_avg_sq");
  const std::string json = io::to_json(state.settings);
  const std::vector<io::HostTensor> host = nn::to_host(state.tensors, "optimizer.");
  CHECK(host[0].name() == "optimizer.0.exp_avg");

  std::vector<Parameter> resumed;
  for (const Parameter& parameter : whole) {
    const std::vector<float> copy = bits_of(parameter);
    resumed.push_back(Parameter(Tensor::copy_of<float>(copy, {2, 3})));
  }
  // Other settings on purpose: the state brings its own.
  optim::Adam other(resumed, {.lr = 1});
  optim::OptimizerState loaded{
      io::parse_json(json, "test").value(), nn::from_host(host, "optimizer.")};
  other.load_state_dict(loaded);
  CHECK(other.lr() == 0.05);
  CHECK(other.steps() == 4);

  for (int t = 4; t < 8; ++t) {
    step(through, whole, t);
    step(other, resumed, t);
  }
  CHECK(bits_of(whole[0]) == bits_of(resumed[0]));
  CHECK(bits_of(whole[1]) == bits_of(resumed[1]));
}

TEST_CASE("a state that does not fit is refused and changes nothing", "[nn]") {
  test::Engine engine;
  const Parameter a = make_parameter(1);
  const Parameter b = make_parameter(2);
  optim::Adam one({a}, {.lr = 0.5});
  optim::Adam two({a, b});
  optim::SGD sgd({a}, {.lr = 0.25, .momentum = 0.9});
  step(one, {a}, 0);
  CHECK_THROWS_AS(two.load_state_dict(one.state_dict()), Error);
  CHECK_THROWS_AS(sgd.load_state_dict(one.state_dict()), Error);
  CHECK(sgd.lr() == 0.25);
  CHECK(two.steps() == 0);

  optim::OptimizerState wrong = one.state_dict();
  wrong.tensors[0].second = Tensor::copy_of<float>(test::numbers(4, 1), {4});
  CHECK_THROWS_AS(one.load_state_dict(wrong), Error);
  wrong = one.state_dict();
  wrong.tensors.emplace_back("9.exp_avg", wrong.tensors[0].second);
  CHECK_THROWS_AS(one.load_state_dict(wrong), Error);
  wrong = one.state_dict();
  wrong.tensors.pop_back();
  CHECK_THROWS_AS(one.load_state_dict(wrong), Error);

  const auto edited = [&](const char* name, const io::Tree& value) {
    optim::OptimizerState state = one.state_dict();
    io::Tree::List groups = state.settings.at("groups").as_list();
    groups[0][name] = value;
    state.settings["groups"] = std::move(groups);
    return state;
  };
  CHECK_THROWS_AS(one.load_state_dict(edited("step", -10)), Error);
  CHECK_THROWS_AS(one.load_state_dict(edited("lr", "NaN")), Error);
  CHECK_THROWS_AS(one.load_state_dict(edited("settings", io::Tree::Map())), Error);
  CHECK(one.lr() == 0.5);
  CHECK(one.steps() == 1);
}

TEST_CASE("a step in which one gradient fails changes no parameter and no state", "[nn]") {
  test::Engine engine(2);
  std::vector<Parameter> parameters{make_parameter(1), make_parameter(2)};
  bool broken = false;
  parameters[1].register_hook([&](const Tensor&) -> Tensor {
    if (broken) throw Error(ErrorCode::op_failed, "planted");
    return {};
  });
  optim::SGD optimizer(parameters, {.lr = 0.1, .momentum = 0.9});
  const auto train = [&] {
    optimizer.zero_grad();
    backward(sum(parameters[0].tensor() * parameters[1].tensor()));
    optimizer.step();
  };
  train();
  std::vector<std::vector<float>> before, after;
  for (const Parameter& parameter : parameters) {
    before.push_back(bits_of(parameter));
    before.push_back(parameter.states().at(0).to_vector<float>());
  }
  broken = true;
  train();
  for (Parameter& parameter : parameters) {
    CHECK_THROWS_AS(bits_of(parameter), Error);  // each tells once
    parameter.forget_read();
    after.push_back(bits_of(parameter));
    after.push_back(parameter.states().at(0).to_vector<float>());
  }
  CHECK(after == before);
}
