#include "encoder.hpp"

#include "machine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/exp.hpp>
#include <troupe/tensor/ops/index_select.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <vector>

namespace troupe::vulkan {
namespace {

using test::Machine;
using test::says;
using test::thrown_by;

// More than 128 MiB of float32, and more than 65,535 groups of 64 invocations that take four each.
constexpr std::int64_t large = 34'000'004;

Tensor indices(std::vector<std::int64_t> list) {
  return Tensor::copy_of<std::int64_t>(list, {static_cast<std::int64_t>(list.size())});
}

}  // namespace

TEST_CASE("groups are folded where an axis takes no more", "[vulkan]") {
  const auto total = [](const Grid& grid) { return std::uint64_t{grid.x} * grid.y * grid.z; };
  CHECK(grid_of(1).x == 1);
  CHECK(grid_of(65'535).x == 65'535);
  CHECK(grid_of(65'535).y == 1);
  for (const std::uint64_t groups : {65'536ull, 1'000'000ull, 65'535ull * 65'535}) {
    const Grid grid = grid_of(groups);
    CHECK(grid.x <= 65'535);
    CHECK(grid.y <= 65'535);
    CHECK(total(grid) >= groups);
    CHECK(total(grid) < groups + 65'535);
  }
  CHECK(thrown_by([] { return grid_of(65'535ull * 65'535 + 1); }).code() == ErrorCode::unsupported);
}

TEST_CASE("a launch has a group for every invocation, up to what kernels count", "[vulkan]") {
  CHECK(grid_for(64, 64).x == 1);
  CHECK(grid_for(65, 64).x == 2);
  const Error error = thrown_by([] { return grid_for(std::uint64_t{1} << 32, 64); });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(says(error.hint(), "split"));
}

TEST_CASE("tensors beyond 128 MiB and launches beyond 65,535 groups work by address", "[vulkan]") {
  Options options = test::vulkan_options();
  options.descriptors = false;
  Machine machine(options);
  std::vector<float> elements(large);
  for (std::int64_t i = 0; i < large; ++i)
    elements[static_cast<std::size_t>(i)] = static_cast<float>(i % 1000);
  const Tensor x = Tensor::copy_of<float>(elements, {large});
  const std::vector<float> y = (x + x).to_vector<float>();
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < elements.size(); ++i) wrong += y[i] != 2 * elements[i];
  CHECK(wrong == 0);
}

TEST_CASE("a tensor that no descriptor reaches is refused by name", "[vulkan]") {
  Options options = test::vulkan_options();
  options.descriptors = true;
  Machine machine(options);
  const std::uint64_t range = machine.gpu.context().limits.maxStorageBufferRange;
  if (range > std::uint64_t{large} * 4) SKIP("this device binds larger buffers");
  const Tensor x = Tensor::constant(
      ValueBody::make(Meta{DType::float32, {large}}, machine.gpu.allocate(large * 4)));
  const Error error = thrown_by([&] { return (x + 1.0f).value(); });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.op() == "add");
  CHECK(says(error.message(), to_string(x.meta())));
  CHECK(says(error.message(), std::to_string(range) + " bytes"));
  CHECK(says(error.hint(), "descriptors"));
  CHECK(full({2}, 1.0f).to_vector<float>() == std::vector<float>{1, 1});
}

TEST_CASE("a tensor of more elements than kernels count is refused by name", "[vulkan]") {
  Machine machine;
  // One element, over and over: no memory is needed to ask.
  const Meta meta{DType::float32, {65'536, 65'536}};
  const Value one = machine.gpu.upload({DType::float32, Shape{1}}, std::vector<std::byte>(4));
  const Value x = ValueBody::view(one, meta, Dims{0, 0}, 0);
  const OpRef op = make_op(Exp{});
  const Error error = thrown_by([&] {
    return machine.gpu.launch(Launch{op.get(), {&x, 1}, {&one, 1}, 0, 0});
  });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.op() == "exp");
  CHECK(says(error.message(), to_string(meta)));
  CHECK(says(error.hint(), "split"));
}

TEST_CASE("an index out of range is told by the next download, and work goes on", "[vulkan]") {
  const bool hidden = GENERATE(false, true);
  CAPTURE(hidden);
  Machine machine(
      test::vulkan_options(), [&](Context& context) { context.hidden_memory = hidden; });
  const Tensor table = Tensor::copy_of<float>(std::vector<float>{10, 20, 30}, {3});
  const Tensor taken = index_select(table, 0, indices({0, 3}));
  const Error error = thrown_by([&] { return taken.to_vector<float>(); });
  CHECK(error.code() == ErrorCode::invalid_argument);
  CHECK(error.op() == "index_select");
  CHECK(says(error.message(), "out of range"));
  CHECK_FALSE(error.hint().empty());
  // Told once; what comes after is as if it had not been.
  CHECK(table.to_vector<float>() == std::vector<float>{10, 20, 30});
  const Tensor sound = index_select(table, 0, indices({2, 0}));
  CHECK(sound.to_vector<float>() == std::vector<float>{30, 10});
  const Tensor again = index_select(table, 0, indices({-4}));
  CHECK(thrown_by([&] { return again.to_vector<float>(); }).code() == ErrorCode::invalid_argument);
}

TEST_CASE("a dtype that a kernel lacks is refused with a way out", "[vulkan]") {
  Machine machine;
  const Tensor half = cast(full({4}, 1.0f), DType::float16);
  const Error error = thrown_by([&] { return exp(half).value(); });
  CHECK((error.code() == ErrorCode::unsupported || error.code() == ErrorCode::dtype_mismatch));
  CHECK(error.op() == "exp");
  CHECK_FALSE(error.hint().empty());
}

TEST_CASE("a dispatch with the wrong number of tensors is our fault and says so", "[vulkan]") {
  Machine machine;
  const Value x = full({4}, 1.0f).value();
  const OpRef op = make_op(Add{});
  const Launch launch{op.get(), {&x, 1}, {&x, 1}, 0, 0};
  Encoder encoder(machine.gpu, launch, machine.gpu.queue());
  const Shader* shader = find_shader("copy", "4");
  REQUIRE(shader);
  const Error error = thrown_by([&] {
    encoder.dispatch(*shader, {64}, {read(x)}, std::uint32_t{4}, Grid{});
    return 0;
  });
  CHECK(error.code() == ErrorCode::internal);
  CHECK(says(error.message(), "copy"));
}

TEST_CASE(
    "an encoder copies what does not lie in a row, and zeros what it is told to", "[vulkan]") {
  Machine machine;
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{1, 2, 3, 4, 5, 6}, {6});
  const Value whole = x.value();
  const Value every_other = slice(x, 0, 1, 6, 2).value();
  const OpRef op = make_op(Add{});
  const Launch launch{op.get(), {&whole, 1}, {&whole, 1}, 0, 0};
  Encoder encoder(machine.gpu, launch, machine.gpu.queue());
  CHECK(encoder.contiguous(whole) == whole);
  const Value row = encoder.contiguous(every_other);
  CHECK(row->contiguous());
  CHECK(Tensor::constant(row).to_vector<float>() == std::vector<float>{2, 4, 6});
  const Value scratch = encoder.scratch(DType::float32, {4});
  encoder.fill_zero(scratch);
  encoder.copy_bytes(whole, 4, scratch, 1, 2);
  CHECK(Tensor::constant(scratch).to_vector<float>() == std::vector<float>{0, 5, 6, 0});
}

}  // namespace troupe::vulkan
