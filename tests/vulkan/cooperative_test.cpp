#include "cooperative.hpp"

#include "machine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <vector>

// What products give is tests/conformance's matter; here is which way they take.
namespace troupe::vulkan {
namespace {

constexpr DType half = DType::float16;

/// Ones, whose products are exact.
Tensor ones_of(const Shape& shape, DType dtype = half) { return cast(ones(shape), dtype); }

/// Dispatches of a product that is warm.
std::uint64_t dispatches_of(test::Machine& machine, const Shape& a, const Shape& b) {
  const Tensor left = ones_of(a), right = ones_of(b);
  const std::vector<float> want(static_cast<std::size_t>(a[0] * b[1]), static_cast<float>(a[1]));
  const auto run = [&] { return cast(matmul(left, right), DType::float32).to_vector<float>(); };
  CHECK(run() == want);
  const Tensor y = matmul(left, right);
  (void)cast(y, DType::float32).to_vector<float>();
  const std::uint64_t before = machine.counts().dispatches;
  const Tensor again = matmul(left, right);
  (void)again.meta();
  machine.gpu.queue().wait(machine.gpu.queue().sent());
  return machine.counts().dispatches - before;
}

Options as_gpu() {
  Options options = test::vulkan_options();
  options.gpu_kernels = true;
  return options;
}

}  // namespace

TEST_CASE("a cooperative tile fits into the device and into the shader", "[vulkan]") {
  const CooperativeMatrix matrices[] = {
      {16, 16, 16}, {8, 8, 8}, {16, 8, 16}, {8, 16, 16}, {16, 16, 32}, {32, 32, 8}};
  const WorkgroupLimits limits[] = {{}, {256, 32'768}, {1'024, 49'152}};
  for (const CooperativeMatrix& matrix : matrices)
    for (const std::uint32_t lanes : {8u, 16u, 32u, 64u, 128u})
      for (const WorkgroupLimits& limit : limits)
        for (const bool large : {false, true}) {
          CAPTURE(matrix.m, matrix.n, matrix.k, lanes, limit.invocations, large);
          const CooperativeTile tile = cooperative_tile_for(matrix, lanes, large, limit);
          if (tile.subgroups == 0) continue;
          CHECK(tile.invocations() <= limit.invocations);
          CHECK(tile.shared_bytes() <= limit.shared_bytes);
          CHECK(tile.subgroups % tile.across == 0);
          CHECK(tile.rows > 0);
          CHECK(tile.columns > 0);
          CHECK(tile.rows * tile.columns <= CooperativeTile::sums_max);
          CHECK(tile.depth % matrix.k == 0);
          CHECK(tile.depth % 8 == 0);
          CHECK(tile.height() == tile.width());
          CHECK((tile.height() == 64 || (large && tile.height() == 128)));
        }
  // As on GPUs: NVIDIA's and AMD's subgroups, and what every device gives.
  const CooperativeTile large = cooperative_tile_for({16, 16, 16}, 32, true, {1'024, 49'152});
  CHECK(large.height() == 128);
  CHECK(large.depth == 64);
  const CooperativeTile less = cooperative_tile_for({16, 16, 16}, 64, true, {1'024, 32'768});
  CHECK(less.height() == 128);
  CHECK(less.depth == 32);
  const CooperativeTile least = cooperative_tile_for({16, 16, 16}, 32, true, {});
  CHECK(least.height() == 64);
  CHECK(least.subgroups == 4);
  CHECK(least.across == 2);
  CHECK(cooperative_tile_for({16, 16, 16}, 0, false, {1'024, 49'152}).subgroups == 0);
  CHECK(cooperative_tile_for({16, 16, 16}, 32, false, {64, 49'152}).subgroups == 0);
  CHECK(cooperative_tile_for({16, 16, 16}, 32, false, {1'024, 8'192}).subgroups == 0);
}

TEST_CASE("the largest cooperative matrix that the shader can use is taken", "[vulkan]") {
  const CooperativeMatrix all[] = {
      {16, 8, 8, half},
      {16, 16, 16, half},
      {16, 8, 16, half},
      {64, 64, 64, half},  // more than a tile has room for
      {12, 16, 16, half},
      {32, 8, 8, DType::bfloat16}};
  CHECK(cooperative_matrix_for(all, half) == &all[1]);
  CHECK(cooperative_matrix_for(all, DType::bfloat16) == &all[5]);
  CHECK(cooperative_matrix_for({}, half) == nullptr);
  CHECK(cooperative_matrix_for(std::span(all, 1), DType::bfloat16) == nullptr);
}

TEST_CASE("operands are loaded by eights where they lie so", "[vulkan]") {
  test::Machine machine;
  const auto value_of = [&](std::int64_t offset) {
    const Value whole = machine.gpu.upload({half, {4'096}}, std::vector<std::byte>(8'192));
    return ValueBody::view(whole, {half, {1'024}}, {1}, offset);
  };
  Product p;
  p.left = p.right = value_of(0);
  p.rows = 16;
  p.columns = 24;
  p.depth = 32;
  p.left_layout = {.row = 32, .k = 1};
  p.right_layout = {.row = 1, .k = 24};
  const auto left = [&](const Part& part = {}) { return eights_of(p, part, true, p.rows); };
  const auto right = [&](const Part& part = {}) { return eights_of(p, part, false, p.columns); };
  CHECK((left().along_k && left().whole));
  CHECK((!right().along_k && right().whole));
  Part moved;
  moved.left = 4;
  CHECK_FALSE(left(moved).whole);
  CHECK(right(moved).whole);
  Part batch;
  batch.batch.digits[0] = {3, 20, 8};
  CHECK_FALSE(left(batch).whole);
  CHECK(right(batch).whole);
  p.left = value_of(4);
  CHECK_FALSE(left().whole);
  p.left = value_of(8);
  CHECK(left().whole);
  p.left_layout.row = 33;  // every other line begins between eights
  CHECK_FALSE(left().whole);
  p.rows = 1;
  CHECK(left().whole);  // there is no other line
  p.depth = 31;
  CHECK_FALSE(left().whole);
  CHECK(right().whole);
  p.right_layout.row = 2;
  CHECK_FALSE(right().whole);
  CHECK_FALSE(right().along_k);
}

TEST_CASE("a product of 16-bit floats takes one dispatch or goes by float32", "[vulkan]") {
  for (const DType dtype : {half, DType::bfloat16}) {
    CAPTURE(name_of(dtype));
    {
      test::Machine machine(as_gpu());
      CHECK(dispatches_of(machine, {70, 40}, {40, 50}) == 1);
      // Few sums of many products: slices in float32.
      CHECK(dispatches_of(machine, {8, 2'000}, {2'000, 8}) > 3);
      CHECK(machine.counts().validation_messages == 0);
    }
    {
      test::Machine machine(as_gpu(), [](Context& context) {
        // The driver may give a pipeline subgroups of another size.
        context.subgroups = {};
        context.info.subgroup_size_min = context.info.subgroup_size / 2;
      });
      CHECK(dispatches_of(machine, {70, 40}, {40, 50}) > 3);
    }
    {
      Options options = test::vulkan_options();
      options.gpu_kernels = false;
      test::Machine machine(options);
      if (machine.gpu.context().info.software)
        CHECK(dispatches_of(machine, {70, 40}, {40, 50}) > 3);
    }
  }
}

TEST_CASE("cooperative matrices that were not enabled are refused by name", "[vulkan]") {
  test::Machine machine(as_gpu(), [](Context& context) {
    context.info.cooperative_matrices = {{8, 8, 8, half}};
    context.features.cooperative_matrix.cooperativeMatrix = VK_FALSE;
    context.features.v12.vulkanMemoryModel = VK_TRUE;
  });
  const Tensor x = ones_of({16, 16});
  const Error error = test::thrown_by([&] { return matmul(x, x); });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.op() == "matmul");
  CHECK(test::says(error.message(), "lacks cooperative matrices"));
}

}  // namespace troupe::vulkan
