#include "pool.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace troupe::testing {

TEST_CASE("blocks do not overlap and are aligned, whatever the order of freeing", "[core]") {
  Pool pool;
  Pool::Cache cache(pool);
  std::mt19937 draw(1);
  struct Block {
    unsigned char* memory;
    std::size_t bytes;
    unsigned char mark;
  };
  std::vector<Block> blocks;
  for (int i = 0; i < 20'000; ++i) {
    if (draw() % 2 || blocks.empty()) {
      const std::size_t bytes = 1 + draw() % 700;
      auto* memory = static_cast<unsigned char*>(cache.allocate(Pool::data, bytes));
      REQUIRE(reinterpret_cast<std::uintptr_t>(memory) % 16 == 0);
      const auto mark = static_cast<unsigned char>(draw());
      std::memset(memory, mark, bytes);
      blocks.push_back({memory, bytes, mark});
    } else {
      std::swap(blocks[draw() % blocks.size()], blocks.back());
      const Block block = blocks.back();
      blocks.pop_back();
      for (std::size_t b = 0; b < block.bytes; ++b) REQUIRE(block.memory[b] == block.mark);
      cache.deallocate(Pool::data, block.memory, block.bytes);
    }
  }
  CHECK(cache.in_use(Pool::data) == static_cast<std::int64_t>(blocks.size()));
  for (const Block& block : blocks) cache.deallocate(Pool::data, block.memory, block.bytes);
  CHECK(cache.in_use(Pool::data) == 0);
}

TEST_CASE("blocks freed on another thread than they came from are used again", "[core][stress]") {
  Pool pool;
  Pool::Cache here(pool);
  Pool::Cache there(pool);
  std::set<void*> seen;
  for (int round = 0; round < 100; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 500; ++i) blocks.push_back(here.allocate(Pool::data, 64));
    seen.insert(blocks.begin(), blocks.end());
    std::thread([&] {
      for (void* block : blocks) there.deallocate(Pool::data, block, 64);
    }).join();
  }
#if !defined(TROUPE_POOL_PLAIN)
  CHECK(seen.size() < 2'000);  // and not 50,000
#endif
  CHECK(here.in_use(Pool::data) + there.in_use(Pool::data) == 0);
}

TEST_CASE("every cell can be found, small or large", "[core]") {
  Pool pool;
  Pool::Cache cache(pool);
  std::set<void*> given;
  for (std::size_t bytes : {64, 200, 512, 513, 5'000})
    for (int i = 0; i < 10; ++i) given.insert(cache.allocate(Pool::cells, bytes));
  std::set<void*> found;
  pool.for_each_cell([&](void* cell) { found.insert(cell); });
  for (void* cell : given) CHECK(found.count(cell) == 1);
  pool.keep_memory();  // the cells are not given back one by one here
#if defined(TROUPE_POOL_PLAIN)
  for (void* cell : given) cache.deallocate(Pool::cells, cell, 5'000);
#endif
}

}  // namespace troupe::testing
