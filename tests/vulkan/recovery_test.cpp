#include "machine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/sum.hpp>

#include <catch2/catch_test_macros.hpp>

#include <span>
#include <vector>

namespace troupe::nn {
namespace {

using test::Machine;

}  // namespace

// The rate of a step is sent to the device by the program itself when the step begins.
TEST_CASE("a program whose device is lost before a step fails that step", "[vulkan]") {
  Machine machine(
      test::vulkan_options(), [](vulkan::Context& context) { context.hidden_memory = true; });
  Parameter weight(Tensor::copy_of<float>(std::vector<float>{1, 2}, {2}));
  optim::Optimizer optimizer = optim::SGD({weight}, {.lr = 0.1});
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{3, 4}, {2});
  const std::vector<Meta> metas{x.meta()};
  Program program = Program::capture(
      [&](std::span<const Tensor> inputs) {
        optimizer.zero_grad();
        const Tensor loss = sum(weight.tensor() * inputs[0]);
        backward(loss);
        optimizer.step();
        return std::vector<Tensor>{loss.detach()};
      },
      metas);
  CHECK(program.run({&x, 1})[0].item() == 11);
  vulkan::TestAccess::lose(machine.gpu.queue());
  machine.system.run_ready();
  for (int i = 0; i < 2; ++i) {
    const std::vector<Tensor> outputs = program.run({&x, 1});
    const Error error = test::thrown_by([&] { return outputs[0].item(); });
    CHECK(error.code() == ErrorCode::device_lost);
  }
}

}  // namespace troupe::nn
