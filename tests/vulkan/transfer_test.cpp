#include "machine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

namespace {
const std::vector<float> numbers{1, -2, 3, 0.5f, 5, -6};
}

TEST_CASE("a transfer is a node of the graph, and nobody waits for it", "[vulkan]") {
  test::Machine machine;
  const Tensor x = Tensor::copy_of<float>(numbers, {2, 3});
  const Tensor y = transpose(x * x, 0, 1);  // strided, and still under way
  const std::uint64_t waits = vulkan::statistics(machine.gpu).host_waits;
  const Tensor there = to(y, machine.cpu);
  CHECK(vulkan::statistics(machine.gpu).host_waits == waits);
  CHECK(there.record()->op()->info().name == "to_device");
  CHECK(&there.record()->device() == &machine.cpu);
  // A consumer on the CPU waits for it as for any input.
  Tensor sum;
  {
    const Scope on_cpu(machine.system, machine.cpu);
    sum = there + 1;
  }
  CHECK(sum.to_vector<float>() == std::vector<float>{2, 1.25f, 5, 26, 10, 37});
}

TEST_CASE("gradients travel back over devices", "[vulkan]") {
  test::Machine machine;
  const Scope on_cpu(machine.system, machine.cpu);
  const Tensor x = requires_grad(Tensor::copy_of<float>(numbers, {6}));
  const Tensor on_gpu = to(x, machine.gpu);
  const Tensor squared = on_gpu * on_gpu;
  const Tensor loss = sum(to(squared, machine.cpu) * x);
  backward(loss);
  const Tensor gradient = grad_of(x);
  CHECK(&gradient.value()->device() == &machine.cpu);
  std::vector<float> want;
  for (const float v : numbers) want.push_back(3 * v * v);  // of x³
  CHECK(gradient.to_vector<float>() == want);
}

TEST_CASE("a transfer from a lost device is refused", "[vulkan]") {
  test::Machine machine;
  const Tensor x = Tensor::copy_of<float>(numbers, {6});
  const Tensor y = x + x;
  vulkan::TestAccess::lose(machine.gpu.queue());
  const Error error = test::thrown_by([&] { return to(y, machine.cpu).value(); });
  CHECK(error.code() == ErrorCode::device_lost);
  CHECK(test::says(error.hint(), "last checkpoint"));
}

TEST_CASE("what is on its way when the device is lost is an error, not garbage", "[vulkan]") {
  test::Machine machine;
  const Tensor x = Tensor::copy_of<float>(numbers, {6});
  const Tensor there = to(x + x, machine.cpu);
  Tensor more;
  {
    const Scope on_cpu(machine.system, machine.cpu);
    more = there + 1;
  }
  vulkan::TestAccess::lose(machine.gpu.queue());
  // Who reads it, and who computes with it, are told alike.
  for (const Tensor& tensor : {there, more}) {
    const Error error = test::thrown_by([&] { return tensor.value(); });
    CHECK(error.code() == ErrorCode::device_lost);
    CHECK(error.op() == "to_device");
    CHECK(test::says(error.hint(), "last checkpoint"));
  }
}
