#include "vulkan_device.hpp"

#include "machine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/maximum.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

namespace troupe::vulkan {
namespace {

using test::Machine;
using test::says;
using test::thrown_by;

Tensor ramp(std::int64_t n) {
  std::vector<float> elements(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i);
  return Tensor::copy_of<float>(elements, {n});
}

}  // namespace

TEST_CASE("a device is attached under its name, and tells of itself", "[vulkan]") {
  System system{System::Options{.threads = 1}};
  Device& cpu = cpu::attach(system);
  Device& gpu = test::attach_vulkan(system);
  CHECK(gpu.name() == "vulkan:" + std::to_string(test::vulkan_index()));
  CHECK(&Devices::of(system).get(gpu.name()) == &gpu);
  CHECK(says(gpu.description(), info(gpu).model));
  CHECK(statistics(gpu).dispatches == 0);
  CHECK(thrown_by([&] { return info(cpu); }).code() == ErrorCode::device_mismatch);
  CHECK(thrown_by([&] { return statistics(cpu); }).code() == ErrorCode::device_mismatch);
}

TEST_CASE(
    "views come back in row-major order, whether the host sees the memory or not", "[vulkan]") {
  const bool hidden = GENERATE(false, true);
  CAPTURE(hidden);
  Machine machine(
      test::vulkan_options(), [&](Context& context) { context.hidden_memory = hidden; });
  const Tensor x = ramp(12);
  CHECK(x.to_vector<float>().back() == 11);
  CHECK(narrow(x, 0, 3, 2).to_vector<float>() == std::vector<float>{3, 4});
  CHECK(slice(x, 0, 1, 12, 5).to_vector<float>() == std::vector<float>{1, 6, 11});
  const Tensor square = slice(x, 0, 0, 4) + 0.0f;
  CHECK(square.to_vector<float>() == std::vector<float>{0, 1, 2, 3});
  const Tensor table = Tensor::copy_of<float>(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(t(table).to_vector<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK((t(table) * 2.0f).to_vector<float>() == std::vector<float>{2, 8, 4, 10, 6, 12});
  CHECK(select(table, 1, 2).to_vector<float>() == std::vector<float>{3, 6});
  const std::vector<std::uint8_t> bytes{1, 2, 3, 4, 5};
  CHECK(
      slice(Tensor::copy_of<std::uint8_t>(bytes, {5}), 0, 1, 4).to_vector<std::uint8_t>() ==
      std::vector<std::uint8_t>{2, 3, 4});
}

TEST_CASE("nobody waits for the device before the first download", "[vulkan]") {
  const bool hidden = GENERATE(false, true);
  CAPTURE(hidden);
  Machine machine(
      test::vulkan_options(), [&](Context& context) { context.hidden_memory = hidden; });
  Tensor x = ramp(64);
  const Tensor one = Tensor::copy_of<float>(std::vector<float>{1}, {1});
  for (int i = 0; i < 200; ++i) x = x + one;
  const Value value = x.value();
  CHECK(machine.counts().host_waits == 0);
  CHECK(x.to_vector<float>()[63] == 263);
  CHECK(machine.counts().dispatches == 200);
  CHECK(machine.counts().host_waits <= 1);
  CHECK(machine.counts().submissions >= 1);
  CHECK(machine.counts().barriers >= 199);
}

TEST_CASE("memory that was freed while work uses it is not written by the host", "[vulkan]") {
  Machine machine;
  // Each upload takes the memory that the one before gave back, whose reader may not have run.
  std::vector<Tensor> sums;
  for (int i = 0; i < 50; ++i) {
    const Tensor x =
        Tensor::copy_of<float>(std::vector<float>(100'000, static_cast<float>(i)), {100'000});
    sums.push_back(x + x);
  }
  for (int i = 0; i < 50; ++i) {
    const std::vector<float> y = sums[static_cast<std::size_t>(i)].to_vector<float>();
    CHECK(y.front() == 2 * static_cast<float>(i));
    CHECK(y.back() == 2 * static_cast<float>(i));
  }
}

TEST_CASE("memory in use is counted and falls back", "[vulkan]") {
  Machine machine;
  const Statistics before = machine.counts();
  {
    const Tensor x = ramp(1 << 20);
    (void)x.value();
    CHECK(machine.counts().in_use_bytes >= before.in_use_bytes + (4 << 20));
  }
  CHECK(machine.counts().in_use_bytes == before.in_use_bytes);
  CHECK(machine.counts().peak_bytes >= before.in_use_bytes + (4 << 20));
  CHECK(machine.counts().reserved_bytes >= machine.counts().peak_bytes);
}

TEST_CASE("poisoned memory shows who reads what nobody wrote", "[vulkan]") {
  Options options = test::vulkan_options();
  options.poison_memory = true;
  Machine machine(options);
  const Tensor unwritten =
      Tensor::constant(ValueBody::make(Meta{DType::float32, {4}}, machine.gpu.allocate(16)));
  for (const float x : (unwritten + 1.0f).to_vector<float>()) CHECK(std::isnan(x));
  CHECK((ramp(3) + 1.0f).to_vector<float>() == std::vector<float>{1, 2, 3});
}

TEST_CASE("tensors move between devices, and never meet in one op", "[vulkan]") {
  System system{System::Options{.threads = 1}};
  Device& cpu = cpu::attach(system);
  Device& first = test::attach_vulkan(system);
  // The same hardware will do: they share nothing.
  Device& second = test::attach_vulkan(system);
  CHECK(&first != &second);
  const Scope scope(system, first);
  const Tensor a = ramp(3) + 1.0f;
  const Tensor b = to(a, second);
  const Tensor c = to(b, cpu);
  const Tensor d = to(c, first);
  for (const Tensor& x : {a, b, c, d}) CHECK(x.to_vector<float>() == std::vector<float>{1, 2, 3});
  CHECK(&b.value()->device() == &second);
  CHECK(&c.value()->device() == &cpu);
  CHECK((a + d).to_vector<float>() == std::vector<float>{2, 4, 6});
  for (const Tensor& other : {b, c}) {
    const Error error = thrown_by([&] { return (a + other).value(); });
    CHECK(error.code() == ErrorCode::device_mismatch);
    CHECK(error.op() == "add");
  }
  {
    const Scope other(system, second);
    CHECK((b + b).to_vector<float>() == std::vector<float>{2, 4, 6});
  }
  CHECK(statistics(second).dispatches == 1);
}

TEST_CASE("a device that cannot be attached leaves the system as it was", "[vulkan]") {
  System system{System::Options{.threads = 1}};
  Device& cpu = cpu::attach(system);
  Options options = test::vulkan_options();
  options.memory_bytes_max = 1;
  const Error error = thrown_by([&] { return test::attach_vulkan(system, options).name(); });
  CHECK(error.code() == ErrorCode::out_of_memory);
  CHECK(Devices::of(system).all().size() == 1);
  CHECK(system.actors_alive() == 0);
  const Scope scope(system, cpu);
  CHECK(full({2}, 1.0f).to_vector<float>() == std::vector<float>{1, 1});
}

// Goal: a device may be used by any thread. Method: several upload, launch and read side by side,
// with pipelines, memory and queue begun by whoever comes first; ThreadSanitizer sees the rest.
TEST_CASE("threads upload, launch and read side by side", "[vulkan]") {
  const bool hidden = GENERATE(false, true);
  Machine machine(
      test::vulkan_options(), [&](Context& context) { context.hidden_memory = hidden; });
  const std::vector<OpRef> ops = {make_op(Add{}), make_op(Mul{}), make_op(Maximum{})};
  constexpr std::size_t threads = 4;
  constexpr std::size_t rounds = 30;
  std::atomic<std::size_t> right{0};
  std::vector<std::vector<Ticket>> tickets(threads);
  std::vector<std::thread> all;
  for (std::size_t thread = 0; thread < threads; ++thread)
    all.emplace_back([&, thread] {
      for (std::size_t round = 0; round < rounds; ++round) {
        const std::size_t which = (thread + round) % ops.size();
        const auto number = static_cast<float>(thread * rounds + round);
        const float expected[] = {number + number, number * number, number};
        const std::vector<float> numbers(1000 + 100 * round, number);
        const Meta meta{DType::float32, {static_cast<std::int64_t>(numbers.size())}};
        const Value x = machine.gpu.upload(meta, std::as_bytes(std::span(numbers)));
        const Value inputs[] = {x, x};
        const Value y = ValueBody::make(meta, machine.gpu.allocate(meta.bytes()));
        (void)machine.gpu.launch(Launch{ops[which].get(), inputs, {&y, 1}, 0, 0});
        tickets[thread].push_back(machine.gpu.read(
            y, [&right, want = std::vector<float>(numbers.size(), expected[which])](auto bytes) {
              right += std::ranges::equal(bytes, std::as_bytes(std::span(want)));
            }));
      }
    });
  for (std::thread& thread : all) thread.join();
  for (const std::vector<Ticket>& of_thread : tickets)
    for (const Ticket& ticket : of_thread)
      machine.system.wait_until([&] { return ticket->complete(); }, "a read");
  CHECK(right == threads * rounds);
}

TEST_CASE("an op without a kernel is refused with a way out", "[vulkan]") {
  Machine machine;
  OpInfo own = make_op(Add{})->info();
  own.id = first_user_op;
  own.name = "my_op";
  const OpInstance op(own, nullptr);
  CHECK_FALSE(machine.gpu.supports(own));
  const Error error = thrown_by([&] { return machine.gpu.launch(Launch{&op, {}, {}, 0, 0}); });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.op() == "my_op");
  CHECK(says(error.hint(), "\"cpu\""));
}

}  // namespace troupe::vulkan
