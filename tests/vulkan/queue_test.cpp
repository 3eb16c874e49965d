#include "queue.hpp"

#include "machine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/exp.hpp>
#include <troupe/tensor/ops/sub.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace troupe::vulkan {
namespace {

using test::Machine;
using test::says;
using test::thrown_by;

Tensor three(float x) { return Tensor::copy_of<float>(std::vector<float>(3, x), {3}); }

/// A fill of what a value holds with zeros.
Transfer clearing(const Value& value) {
  const Allocation& to = static_cast<const VulkanBuffer&>(*value->buffer()).allocation();
  Transfer fill;
  fill.to = {to.block, to.offset, to.offset + 4, true};
  return fill;
}

bool tells_of_the_loss(const Error& error) {
  return error.code() == ErrorCode::device_lost && says(error.hint(), "checkpoint");
}

}  // namespace

TEST_CASE("what was sent is counted, and done once it was waited for", "[vulkan]") {
  Machine machine;
  Queue& queue = machine.gpu.queue();
  const Value x = three(1).value();
  const std::uint64_t sent = queue.sent();
  const std::uint64_t count = queue.send(clearing(x));
  CHECK(count == sent + 1);
  queue.wait(count);
  CHECK(queue.done() >= count);
  CHECK(queue.counts.host_waits == 1);
  queue.wait(count);
  CHECK(queue.counts.host_waits == 1);  // it was done
}

TEST_CASE("a fence is complete once all before it is done", "[vulkan]") {
  Machine machine;
  Queue& queue = machine.gpu.queue();
  const Value x = three(1).value();
  const std::uint64_t count = queue.send(clearing(x));
  const Ref<Fence> fence = queue.fence();
  machine.system.wait_until([&] { return fence->complete(); }, "the fence");
  CHECK(queue.done() >= count);
}

TEST_CASE("settling waits for what the device has", "[vulkan]") {
  Machine machine;
  Queue& queue = machine.gpu.queue();
  const Value x = three(1).value();
  (void)queue.send(clearing(x));
  queue.wait(queue.sent());
  CHECK(queue.settle() >= 1);
}

TEST_CASE("a lost device fails everything with the same words, and nothing hangs", "[vulkan]") {
  const bool hidden = GENERATE(false, true);
  CAPTURE(hidden);
  Machine machine(
      test::vulkan_options(), [&](Context& context) { context.hidden_memory = hidden; });
  Queue& queue = machine.gpu.queue();
  const Tensor x = three(1);
  const Tensor y = x + x;  // perhaps recorded, perhaps submitted
  TestAccess::lose(queue);

  CHECK(tells_of_the_loss(thrown_by([&] { return y.to_vector<float>(); })));
  CHECK(tells_of_the_loss(thrown_by([&] { return (x + y).to_vector<float>(); })));
  CHECK(tells_of_the_loss(thrown_by([&] { return queue.fence(); })));
  CHECK(tells_of_the_loss(thrown_by([&] { return queue.send(clearing(x.value())); })));
  CHECK(tells_of_the_loss(thrown_by([&] {
    queue.wait(queue.sent() + 1);
    return 0;
  })));
  // A second loss changes nothing; the first reason stays.
  TestAccess::lose(queue);
  CHECK(tells_of_the_loss(thrown_by([&] { return queue.fence(); })));

  const Scope scope(machine.system, machine.cpu);
  CHECK((three(1) + three(2)).to_vector<float>() == std::vector<float>{3, 3, 3});
}

TEST_CASE("those who wait when the device is lost are woken", "[vulkan]") {
  Machine machine;
  Queue& queue = machine.gpu.queue();
  const Value x = three(1).value();
  // A count that nothing will reach: as if the device had stopped in the middle.
  (void)queue.send(clearing(x));
  std::thread driver([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    TestAccess::lose(queue);
  });
  machine.system.pending_outside(1);  // the driver will still say something
  CHECK(tells_of_the_loss(thrown_by([&] {
    queue.wait(queue.sent() + 1000);
    return 0;
  })));
  machine.system.pending_outside(-1);
  driver.join();
}

TEST_CASE("fences that were given before the loss are answered", "[vulkan]") {
  Machine machine;
  Queue& queue = machine.gpu.queue();
  // Long enough for more fences to come than there are command buffers: those that wait for one
  // must be answered too.
  constexpr std::int64_t many = 4'000'000;
  Tensor x = zeros({many});
  for (int i = 0; i < 4; ++i) x = exp(x - x);
  (void)x.value();
  std::vector<Ref<Fence>> fences;
  for (int i = 0; i < 40; ++i) fences.push_back(queue.fence());
  machine.system.run_ready();
  TestAccess::lose(queue);
  const std::uint64_t submissions = queue.counts.submissions;
  for (const Ref<Fence>& fence : fences)
    machine.system.wait_until([&] { return fence->complete(); }, "a fence");
  CHECK(queue.counts.submissions == submissions);  // a lost device is given nothing
}

TEST_CASE("a device plays its loss after as many submissions as it was told", "[vulkan]") {
  Options options = test::vulkan_options();
  options.lost_after_submissions = 3;
  Machine machine(options);
  Queue& queue = machine.gpu.queue();
  std::uint64_t last = 0;
  const Error error = thrown_by([&] {
    while (last < 10) {
      queue.wait(queue.send(clearing(three(1).value())));
      last = queue.counts.submissions;
    }
    return 0;
  });
  CHECK(tells_of_the_loss(error));
  CHECK(queue.counts.submissions == 3);
}

TEST_CASE("a system whose device was lost stops in order", "[vulkan]") {
  std::vector<std::string> log;
  {
    System::Options options;
    options.threads = 2;
    options.log = [&](LogLevel, std::string_view line) { log.emplace_back(line); };
    System system(options);
    auto context = std::shared_ptr<Context>(test::open_context());
    auto device = std::make_unique<VulkanDevice>(system, context);
    VulkanDevice& gpu = *device;
    Devices::of(system).add(std::move(device));
    const Scope scope(system, gpu);
    Tensor x = three(1);
    for (int i = 0; i < 100; ++i) x = x + x;
    TestAccess::lose(gpu.queue());
    CHECK(tells_of_the_loss(thrown_by([&] { return x.to_vector<float>(); })));
  }
  CHECK(log == std::vector<std::string>{});
}

}  // namespace troupe::vulkan
