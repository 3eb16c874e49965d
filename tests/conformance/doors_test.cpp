#include "case.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

// Goal: memory that the caller lent is never written. Method: a parameter whose first value is
// borrowed is updated, which would write in place, through either door.
TEST_CASE("updating a parameter leaves the memory that it was lent alone", "[conformance]") {
  conformance::covered().insert({"sgd_update", "adam_update"});
  for (const bool program : {false, true})
    for (const bool adam : {false, true}) {
      System system(System::Options{.threads = 1});
      cpu::attach(system);
      const Scope scope(system);
      const std::vector<float> lent{1, 2, 3};
      Parameter weight(Tensor::from(std::span<const float>(lent), {3}, nullptr));
      const OpRef rule = adam ? make_op(AdamUpdate{}) : make_op(SgdUpdate{});
      const Tensor scalars = Tensor::copy_of<double>(std::vector<double>{0.5, 1}, {2});
      const GraphFunction step = [&](std::span<const Tensor>) {
        weight.zero_grad();
        const Tensor loss = sum(weight.tensor() * weight.tensor());
        backward(loss);
        weight.apply(rule, adam ? 2 : 0, scalars);
        return std::vector<Tensor>{loss};
      };
      std::vector<Tensor> losses;
      if (program)
        losses = Program::capture(step, {}).run({});
      else
        losses = step({});
      CHECK(losses[0].item() == 14);
      const std::vector<float> updated = weight.tensor().to_vector<float>();
      CHECK(updated[2] < 3);
      if (!adam) CHECK(updated == std::vector<float>{0, 0, 0});
      CHECK(lent == std::vector<float>{1, 2, 3});
    }
}

TEST_CASE("a detached tensor has the data and no gradient, through either door", "[conformance]") {
  conformance::covered().emplace("identity");
  System system(System::Options{.threads = 1});
  cpu::attach(system);
  const Scope scope(system);
  Parameter weight(Tensor::copy_of<float>(std::vector<float>{1, 2, 3}, {3}));
  const GraphFunction step = [&](std::span<const Tensor>) {
    weight.zero_grad();
    const Tensor y = weight.tensor() * weight.tensor();
    backward(sum(y.detach() * weight.tensor()));
    return std::vector<Tensor>{y.detach(), weight.grad()};
  };
  Program program = Program::capture(step, {}, {.passes = Passes::none()});
  CHECK(program.to_string().find("identity(") != std::string::npos);
  for (const std::vector<Tensor>& results : {step({}), program.run({})})
    for (const Tensor& result : results)
      CHECK(result.to_vector<float>() == std::vector<float>{1, 4, 9});
}
