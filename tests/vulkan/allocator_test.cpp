#include "allocator.hpp"

#include "machine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace troupe::vulkan {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

using test::says;
using test::thrown_by;

/// Memory of 64 MiB, which is one block, unless told otherwise; and a queue that is played.
struct DeviceMemory {
  explicit DeviceMemory(std::uint64_t bytes_max = 64 * mib)
      : context(test::open_context([&] {
          Options options;
          options.memory_bytes_max = bytes_max;
          return options;
        }())) {}

  std::unique_ptr<Context> context;
  std::uint64_t done = 0;
  int settled = 0;
  Allocator allocator{*context, Purpose::device, [this] {
                        ++settled;
                        return done;
                      }};
};

}  // namespace

TEST_CASE("allocations are aligned, rounded, apart, and counted", "[vulkan]") {
  DeviceMemory memory;
  std::vector<Allocation> all;
  std::uint64_t in_use = 0;
  for (const std::uint64_t bytes : {1ull, 255ull, 256ull, 257ull, 5000ull, 1'000'001ull}) {
    all.push_back(memory.allocator.allocate(bytes));
    CHECK(all.back().bytes >= bytes);
    CHECK(all.back().bytes <= std::max<std::uint64_t>(256, bytes + bytes / 8 + 256));
    CHECK(all.back().offset % 256 == 0);
    in_use += all.back().bytes;
  }
  for (const Allocation& a : all)
    for (const Allocation& b : all)
      if (&a != &b) {
        const bool apart =
            a.block != b.block || a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
        CHECK(apart);
      }
  CHECK(memory.allocator.counts().in_use == in_use);
  CHECK(memory.allocator.counts().reserved == 64 * mib);
  for (const Allocation& a : all) memory.allocator.free(a);
  CHECK(memory.allocator.counts().in_use == 0);
  CHECK(memory.allocator.counts().peak == in_use);
}

TEST_CASE("what was freed serves the next of its size", "[vulkan]") {
  DeviceMemory memory;
  const Allocation first = memory.allocator.allocate(3 * mib);
  const Allocation other = memory.allocator.allocate(3 * mib);
  memory.allocator.free(first);
  const Allocation again = memory.allocator.allocate(3 * mib);
  CHECK(again.block == first.block);
  CHECK(again.offset == first.offset);
  CHECK(other.offset != again.offset);
  CHECK(memory.settled == 0);
}

TEST_CASE("gaps grow together, in whatever order they come", "[vulkan]") {
  DeviceMemory memory;
  std::array<std::size_t, 4> order = {0, 1, 2, 3};
  do {
    CAPTURE(order);
    Allocation parts[4];
    for (Allocation& part : parts) part = memory.allocator.allocate(16 * mib);
    for (const std::size_t i : order) memory.allocator.free(parts[i]);
    // The cache holds four quarters, and there is no more: they must become one.
    const Allocation whole = memory.allocator.allocate(64 * mib);
    CHECK(whole.offset == 0);
    CHECK(memory.allocator.counts().reserved == 64 * mib);
    memory.allocator.free(whole);
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(memory.settled == 0);  // and without waiting for the device
}

TEST_CASE("the smallest gap that fits is taken", "[vulkan]") {
  DeviceMemory memory;
  const Allocation large = memory.allocator.allocate(8 * mib);
  const Allocation wall = memory.allocator.allocate(1 * mib);
  const Allocation small = memory.allocator.allocate(4 * mib);
  const Allocation wall2 = memory.allocator.allocate(1 * mib);
  memory.allocator.free(large);
  memory.allocator.free(small);
  memory.allocator.trim();  // from the cache to the gaps
  CHECK(memory.allocator.allocate(3 * mib).offset == small.offset);
  CHECK(memory.allocator.allocate(7 * mib).offset == large.offset);
  memory.allocator.free(wall);
  memory.allocator.free(wall2);
}

TEST_CASE("a block goes back to the driver when no work uses it any more", "[vulkan]") {
  DeviceMemory memory(256 * mib);
  Allocation used = memory.allocator.allocate(64 * mib);
  CHECK(memory.allocator.counts().reserved == 64 * mib);
  used.used_until = 5;
  memory.allocator.free(used);
  memory.done = 4;
  memory.allocator.trim();
  CHECK(memory.allocator.counts().reserved == 64 * mib);
  // Who takes a part of it hears how long it is in use.
  const Allocation part = memory.allocator.allocate(2 * mib);
  CHECK(part.used_until == 5);
  memory.allocator.free(part);
  memory.done = 5;
  memory.allocator.trim();
  CHECK(memory.allocator.counts().reserved == 0);
}

TEST_CASE("blocks of another size are given up before memory runs out", "[vulkan]") {
  DeviceMemory memory(128 * mib);
  const Allocation a = memory.allocator.allocate(64 * mib);
  const Allocation b = memory.allocator.allocate(64 * mib);
  memory.allocator.free(a);
  memory.allocator.free(b);
  const Allocation larger = memory.allocator.allocate(128 * mib);
  CHECK(memory.allocator.counts().reserved == 128 * mib);
  CHECK(memory.settled > 0);
  memory.allocator.free(larger);
}

TEST_CASE("out of memory says the size, what is in use, and the largest holders", "[vulkan]") {
  DeviceMemory memory(96 * mib);
  std::vector<Allocation> held;
  for (const std::uint64_t size : {4, 40, 2, 24, 8})
    held.push_back(memory.allocator.allocate(size * mib));
  const Error error = thrown_by([&] { return memory.allocator.allocate(50 * mib); });
  CHECK(error.code() == ErrorCode::out_of_memory);
  CHECK(says(error.message(), memory.context->info.name));
  CHECK(says(error.message(), "another 50 MiB"));
  CHECK(says(error.message(), "78 MiB of 96 MiB are in use"));
  CHECK(says(error.message(), "largest tensors take 40 MiB, 24 MiB, 8 MiB"));
  CHECK(says(error.hint(), "smaller batch"));
  // Nothing was lost by asking.
  CHECK(memory.allocator.counts().in_use == 78 * mib);
  const Allocation small = memory.allocator.allocate(4 * mib);
  memory.allocator.free(small);
  for (const Allocation& allocation : held) memory.allocator.free(allocation);
  CHECK_NOTHROW(memory.allocator.free(memory.allocator.allocate(90 * mib)));
}

TEST_CASE("an op without memory names itself and its inputs, and others go on", "[vulkan]") {
  Options options = test::vulkan_options();
  options.memory_bytes_max = 60 * mib;
  test::Machine machine(options);
  const Tensor x = Tensor::copy_of<float>(std::vector<float>(8 * mib, 1.0f), {8 * mib});
  const Error error = thrown_by([&] { return (x + x).value(); });
  CHECK(error.code() == ErrorCode::out_of_memory);
  CHECK(error.op() == "add");
  CHECK(says(error.message(), to_string(x.meta())));
  CHECK(says(error.message(), "another 32 MiB"));
  const Tensor small = Tensor::copy_of<float>(std::vector<float>{1, 2, 3}, {3});
  CHECK((small + small).to_vector<float>() == std::vector<float>{2, 4, 6});
}

}  // namespace troupe::vulkan
