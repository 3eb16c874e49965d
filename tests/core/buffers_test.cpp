#include <troupe/core/buffers.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <thread>
#include <vector>

namespace troupe::testing {

TEST_CASE("memory that nobody holds any more is used again", "[core]") {
  const auto buffers = std::make_shared<Buffers>(1U << 20);
  auto first = buffers->take(200'000);
  CHECK(reinterpret_cast<std::uintptr_t>(first.get()) % 64 == 0);
  const std::byte* const where = first.get();
  auto held = first;
  first.reset();
  auto second = buffers->take(200'000);
  CHECK(second.get() != where);  // a copy still reads the first
  held.reset();
  CHECK(buffers->kept_bytes() == 200'000);
  CHECK(buffers->take(150'000).get() == where);
}

TEST_CASE("memory is not kept for what is far smaller, nor is little of it", "[core]") {
  const auto buffers = std::make_shared<Buffers>(1U << 20);
  auto large = buffers->take(900'000);
  const std::byte* const where = large.get();
  large.reset();
  CHECK(buffers->take(100'000).get() != where);
  CHECK(buffers->kept_bytes() >= 900'000);
  (void)buffers->take(100);
  CHECK(buffers->kept_bytes() <= 1'000'000);
}

TEST_CASE("kept memory has a bound, and the longest unused goes first", "[core]") {
  const auto buffers = std::make_shared<Buffers>(500'000);
  std::vector<std::shared_ptr<std::byte>> all;
  for (int i = 0; i < 4; ++i) all.push_back(buffers->take(200'000));
  const std::byte* const last = all.back().get();
  for (auto& one : all) one.reset();
  CHECK(buffers->kept_bytes() == 400'000);
  CHECK(buffers->take(200'000).get() == last);
  (void)buffers->take(600'000);  // more than is ever kept
  CHECK(buffers->kept_bytes() == 400'000);
  for (int i = 0; i < 300; ++i) all.push_back(buffers->take(1200));
  all.clear();
  CHECK(buffers->kept_bytes() == 256 * 1200);
}

TEST_CASE("memory may outlive what it came from, and go on another thread", "[core]") {
  auto buffers = std::make_shared<Buffers>(1U << 20);
  auto memory = buffers->take(100'000);
  auto other = buffers->take(100'000);
  std::thread([dropped = std::move(other)]() mutable { dropped.reset(); }).join();
  CHECK(buffers->kept_bytes() == 100'000);
  buffers.reset();
  memory.get()[99'999] = std::byte{1};
  memory.reset();
}

}  // namespace troupe::testing
