#include "rooms.hpp"

#include "run_plan.hpp"

#include <catch2/catch_test_macros.hpp>

#include <thread>

namespace troupe::cpu::test {
namespace {

using Rooms = Room<xsimd::generic>;
constexpr std::size_t room_bytes = 64;

// Goal: no two chunks are in a room at once, though there are more of them than rooms.
TEST_CASE("a room holds one chunk at a time", "[cpu][rooms]") {
  constexpr std::int64_t count = 2;
  const Scratch scratch(Rooms::head_bytes + count * room_bytes);
  Rooms::open(scratch.data());
  std::atomic<int> met{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2'000; ++i) {
        const Rooms room(scratch.data(), count, room_bytes);
        auto* const owner = reinterpret_cast<volatile int*>(room.data());
        *owner = t;
        if (i % 64 == 0) std::this_thread::yield();
        if (*owner != t) ++met;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(met == 0);
  CHECK(scratch.intact());
}

TEST_CASE("a chunk finds the first room that is free", "[cpu][rooms]") {
  const Scratch scratch(Rooms::head_bytes + 3 * room_bytes);
  Rooms::open(scratch.data());
  const auto place = [&](const Rooms& room) {
    return (room.data() - scratch.data() - Rooms::head_bytes) / room_bytes;
  };
  const Rooms first(scratch.data(), 3, room_bytes);
  CHECK(place(first) == 0);
  {
    const Rooms second(scratch.data(), 3, room_bytes);
    CHECK(place(second) == 1);
    CHECK(place(Rooms(scratch.data(), 3, room_bytes)) == 2);
  }
  CHECK(place(Rooms(scratch.data(), 3, room_bytes)) == 1);
}

TEST_CASE("there are no more rooms than chunks, and fewer of large ones", "[cpu][rooms]") {
  CHECK(Rooms::count(1, 64) == 1);
  CHECK(Rooms::count(1'000, 64) == Rooms::count_max);
  CHECK(Rooms::count(1'000, std::size_t{1} << 30) == Rooms::count_max / 2);
}

}  // namespace
}  // namespace troupe::cpu::test
