#include "workgroups.hpp"

#include "machine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/sum.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

// Goal: no kernel takes more of a device than it gives. Method: the choices themselves, over what
// devices give; then kernels on a device that says it gives no more than Vulkan's least.
namespace troupe::vulkan {

TEST_CASE("a workgroup that folds is no larger than the device allows", "[vulkan]") {
  for (const std::uint32_t subgroup : {1u, 4u, 8u, 32u, 64u, 128u})
    for (const std::uint32_t invocations : {128u, 256u, 1'024u})
      for (const std::uint64_t length : {1ull, 33ull, 1'000ull, 1'000'000ull}) {
        CAPTURE(subgroup, invocations, length);
        const std::uint32_t group = fold_group_for(length, subgroup, {invocations, 16'384});
        CHECK(group <= invocations);
        CHECK(group <= 32 * subgroup);  // fold.glsl's shared memory
        CHECK(group % subgroup == 0);
        if (length == 1) CHECK(group == subgroup);
      }
  CHECK(fold_group_for(1'000'000, 32, {1'024, 49'152}) == 256);
  CHECK(fold_group_for(1'000'000, 0, {}) == 32);
}

TEST_CASE("a tile in shared memory fits into the device", "[vulkan]") {
  for (const std::uint32_t invocations : {128u, 256u, 1'024u})
    for (const std::uint32_t shared : {16'384u, 32'768u, 49'152u})
      for (const std::uint32_t bytes : {4u, 8u})
        for (const bool large : {false, true}) {
          CAPTURE(invocations, shared, bytes, large);
          const WorkgroupLimits limits{invocations, shared};
          const Tile reference = shared_tile_for(bytes, large, limits);
          std::vector<Tile> tiles = shared_tiles(reference, 4'000, 4'000, false, bytes, limits);
          CHECK(std::find(tiles.begin(), tiles.end(), reference) == tiles.end());
          tiles.push_back(reference);
          for (const Tile& tile : tiles) {
            CAPTURE(tile.group, tile.rows, tile.columns, tile.depth);
            CHECK(tile.group <= invocations);
            CHECK(shared_bytes(tile, bytes) <= shared);
            // What the shader asks of them: whole loads for every invocation, sums by fours, and a
            // column of the tile for each.
            const TileSize size = shared_size(tile);
            CHECK(size.rows * tile.depth % tile.group == 0);
            CHECK(size.columns * tile.depth % tile.group == 0);
            CHECK(tile.rows % 4 == 0);
            CHECK(tile.columns % 4 == 0);
            CHECK(tile.group % size.columns == 0);
          }
        }
  CHECK(shared_bytes(shared_tile_for(4, true, {1'024, 49'152}), 4) == 33'792);
  CHECK(shared_size(shared_tile_for(4, true, {1'024, 16'384})).rows == 128);
}

TEST_CASE("what competes with a tile fits the matrix and the slices", "[vulkan]") {
  const WorkgroupLimits limits{1'024, 49'152};
  const Tile reference{256, 4, 4, 8};
  const auto with = [&](std::uint64_t rows, std::uint64_t columns, bool sliced) {
    return shared_tiles(reference, rows, columns, sliced, 4, limits);
  };
  CHECK(with(4'000, 4'000, false).size() == 10);
  for (const Tile& tile : with(4'000, 4'000, true)) CHECK(tile.depth == 8);
  for (const Tile& tile : with(64, 4'000, false)) CHECK(shared_size(tile).rows <= 64);
  for (const Tile& tile : with(4'000, 64, false)) CHECK(shared_size(tile).columns <= 64);

  const Tile lanes{8, 8, 2, 4};
  const std::vector<Tile> tiles = register_tiles(lanes, 4'000, 4'000, 32);
  CHECK(tiles.size() == 8);
  for (const Tile& tile : tiles) {
    CHECK(tile.group == 8);
    CHECK(tile.depth == 4);
    CHECK(tile != lanes);
  }
  for (const Tile& tile : register_tiles(lanes, 4'000, 4'000, 8)) CHECK(tile.rows <= 8);
  for (const Tile& tile : register_tiles(lanes, 8, 4'000, 32)) CHECK(tile.rows <= 8);
  for (const Tile& tile : register_tiles(lanes, 4'000, 16, 32)) CHECK(tile.columns <= 2);
  for (const Tile& tile : sliced_tiles(lanes)) {
    CHECK(tile.workgroups != lanes.workgroups);
    CHECK(register_size(tile).columns == register_size(lanes).columns);
  }
}

TEST_CASE("kernels work on a device that gives the least", "[vulkan]") {
  Options options = test::vulkan_options();
  options.gpu_kernels = true;
  options.least_limits = true;
  test::Machine machine(options);
  const WorkgroupLimits least;
  CHECK(machine.gpu.context().limits.maxComputeWorkGroupInvocations == least.invocations);

  const auto n = std::int64_t{150};
  std::vector<float> numbers(static_cast<std::size_t>(n * n));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 7) - 3;
  const Tensor x = Tensor::copy_of<float>(numbers, {n, n});
  const std::vector<float> product = matmul(x, x).to_vector<float>();
  std::size_t wrong = 0;
  for (std::size_t r = 0; r < 150; ++r)
    for (std::size_t c = 0; c < 150; ++c) {
      float sum = 0;  // of small whole numbers: exact
      for (std::size_t k = 0; k < 150; ++k) sum += numbers[r * 150 + k] * numbers[k * 150 + c];
      wrong += product[r * 150 + c] != sum ? 1 : 0;
    }
  CHECK(wrong == 0);
  float total = 0;
  for (const float number : numbers) total += number;
  CHECK(sum(x).to_vector<float>()[0] == total);
  const Tensor image = Tensor::copy_of<float>(numbers, {1, 1, n, n});
  const std::vector<float> same = conv2d(image, ones({1, 1, 1, 1})).to_vector<float>();
  CHECK(same == numbers);
  CHECK(machine.counts().validation_messages == 0);
}

}  // namespace troupe::vulkan
