#include "memory.hpp"

#include "host_buffer.hpp"

#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/device.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

using namespace troupe;

// Goal: no two blocks share a byte, whatever their sizes; the smallest and each step to the next
// size included.
// Method: all sizes at once, each filled with its own number, then all read again.
TEST_CASE("blocks of every size hold what was written to them", "[cpu]") {
  cpu::Memory memory({});
  std::vector<std::pair<std::byte*, std::size_t>> blocks;
  for (std::size_t bytes = 1; bytes < 5000; bytes += bytes < 700 ? 1 : 61) {
    std::byte* block = memory.allocate(bytes);
    REQUIRE(reinterpret_cast<std::uintptr_t>(block) % 64 == 0);
    std::memset(block, static_cast<int>(bytes % 251), bytes);
    blocks.emplace_back(block, bytes);
  }
  for (const auto& [block, bytes] : blocks)
    for (std::size_t i = 0; i < bytes; ++i)
      REQUIRE(std::to_integer<std::size_t>(block[i]) == bytes % 251);
  for (const auto& [block, bytes] : blocks) memory.free(block, bytes);
  CHECK(memory.statistics().in_use_bytes == 0);
}

TEST_CASE("what was freed is used again without asking the system", "[cpu]") {
  cpu::Memory memory({});
  const auto round = [&] {
    for (const std::size_t bytes : {100u, 512u, 70'000u, 3'000'000u})
      memory.free(memory.allocate(bytes), bytes);
  };
  round();
  const auto before = memory.statistics().system_calls;
  for (int i = 0; i < 100; ++i) round();
  CHECK(memory.statistics().system_calls == before);
  memory.trim();
  CHECK(memory.statistics().system_calls > before);
}

TEST_CASE("a budget that is used up is a typed error", "[cpu]") {
  cpu::Options options;
  options.memory_bytes_max = 1 << 20;
  cpu::Memory memory(options);
  std::byte* block = memory.allocate(900'000);
  try {
    (void)memory.allocate(900'000);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
  }
  memory.free(block, 900'000);
  memory.free(memory.allocate(900'000), 900'000);
}

// Goal: what one thread frees and another takes at once is counted right: a count that falls below
// 0 looks huge, and gives the whole cache back to the system.
TEST_CASE("threads that share sizes keep the counts", "[cpu]") {
  cpu::Memory memory({});
  std::atomic<bool> mixed{false};
  const auto work = [&](unsigned number) {
    for (unsigned i = 0; i < 20'000; ++i) {
      const std::size_t bytes = std::size_t{256 << 10} << ((i + number) % 4);
      std::byte* block = memory.allocate(bytes);
      *block = std::byte(number);
      if (*block != std::byte(number)) mixed = true;
      memory.free(block, bytes);
    }
  };
  std::thread other(work, 1u);
  work(2u);
  other.join();
  CHECK_FALSE(mixed);
  const auto statistics = memory.statistics();
  CHECK(statistics.in_use_bytes == 0);
  // Two blocks of each size at most; three calls make a mapping that begins at a huge page.
  CHECK(statistics.system_calls <= 4 * 2 * 3);
  CHECK(statistics.cached_bytes <= 2 * ((std::size_t{256} << 10) * 15));
}

// Small buffers lie behind their own head in one block of the system's pool, as near as their
// alignment allows.
TEST_CASE("buffers of every small size stay within their blocks", "[cpu]") {
  System system({.threads = 1});
  Device& device = cpu::attach(system);
  std::vector<Ref<Buffer>> buffers;
  for (std::size_t bytes = 0; bytes < 700; ++bytes) {
    buffers.push_back(device.allocate(bytes));
    auto& buffer = static_cast<cpu::HostBuffer&>(*buffers.back());
    REQUIRE(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    std::memset(buffer.data(), static_cast<int>(bytes % 251), bytes);
  }
  for (std::size_t bytes = 0; bytes < buffers.size(); ++bytes) {
    REQUIRE(buffers[bytes]->bytes() == bytes);
    const std::byte* data = static_cast<cpu::HostBuffer&>(*buffers[bytes]).data();
    for (std::size_t i = 0; i < bytes; ++i)
      REQUIRE(std::to_integer<std::size_t>(data[i]) == bytes % 251);
  }
}
