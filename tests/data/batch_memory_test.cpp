#include "batch_memory.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>

namespace troupe::data {
namespace {

TEST_CASE("a block comes back when its last pointer is gone, and serves again", "[data]") {
  System system;
  const auto memory = std::make_shared<BatchMemory>(system, 1000);
  auto first = memory->take();
  auto second = memory->take();
  CHECK(first != second);
  CHECK(reinterpret_cast<std::uintptr_t>(first.get()) % BatchMemory::alignment == 0);

  std::byte* const place = first.get();
  auto copy = first;
  first.reset();
  CHECK(memory->take().get() != place);
  copy.reset();
  CHECK(memory->take().get() == place);
}

TEST_CASE("blocks may outlive the loader's own pointer to their memory", "[data]") {
  System system;
  auto memory = std::make_shared<BatchMemory>(system, 64);
  auto block = memory->take();
  memory.reset();
  block.get()[63] = std::byte{1};
  CHECK(block.get()[63] == std::byte{1});
}

}  // namespace
}  // namespace troupe::data
