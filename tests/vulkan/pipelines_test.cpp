#include "pipelines.hpp"

#include "checksum.hpp"
#include "machine.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace troupe::vulkan {
namespace {

/// One run of a program that keeps the driver's cache; whether it could use what lay there.
bool run(Disk& disk) {
  Options options = test::vulkan_options();
  options.cache_folder = "cache";
  test::Machine machine(options, {}, &disk);
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{1, 2, 3}, {3});
  CHECK((x + x).to_vector<float>() == std::vector<float>{2, 4, 6});
  return machine.gpu.pipelines().reused();
}

std::string cache_file(Disk& disk) {
  const std::vector<std::string> names = disk.list("cache").value();
  for (const std::string& name : names)
    if (name.ends_with(".pipelines")) return "cache/" + name;
  return "";
}

}  // namespace

TEST_CASE("a pipeline is made once for each shader and constants", "[vulkan]") {
  const auto context = test::open_context();
  Pipelines pipelines(*context, {});
  const Shader* shader = find_shader("sum", "float32");
  REQUIRE(shader);
  const std::uint32_t small[] = {32}, large[] = {64};
  const Pipeline& first = pipelines.get(*shader, small);
  CHECK(first.handle != VK_NULL_HANDLE);
  CHECK(&pipelines.get(*shader, small) == &first);
  CHECK(pipelines.count() == 1);
  CHECK(&pipelines.get(*shader, large) != &first);
  CHECK(pipelines.count() == 2);
}

TEST_CASE("the driver's cache is kept from one run to the next", "[vulkan]") {
  sim::MemoryDisk disk;
  CHECK_FALSE(run(disk));
  REQUIRE_FALSE(cache_file(disk).empty());
  CHECK(run(disk));
}

TEST_CASE(
    "a pipeline cache that is not whole or not ours is ignored and written anew", "[vulkan]") {
  sim::MemoryDisk disk;
  CHECK_FALSE(run(disk));
  const std::string path = cache_file(disk);
  const std::vector<std::byte> whole = disk.read_all(path).value();
  REQUIRE(whole.size() >= 48);  // some drivers keep no more than the header

  std::vector<std::byte> bad = whole;
  SECTION("empty") { bad.clear(); }
  SECTION("cut in its header") { bad.resize(20); }
  SECTION("cut by a byte") { bad.pop_back(); }
  SECTION("a bit of its checksum flipped") { bad[8] ^= std::byte{1}; }
  SECTION("a bit of its end flipped") { bad.back() ^= std::byte{1}; }
  SECTION("zeros") { bad.assign(bad.size(), std::byte{0}); }
  SECTION("another program's") { bad.erase(bad.begin(), bad.begin() + 16); }
  disk.put(path, bad);

  CHECK_FALSE(run(disk));
  CHECK(disk.read_all(path).value().size() == whole.size());
  CHECK(run(disk));
}

TEST_CASE("what a device does not offer is refused by name when a shader uses it", "[vulkan]") {
  struct Lack {
    std::string name;
    DType dtype;
    std::function<void(Features&)> take;
  };
  const Lack lacks[] = {
      {"float64",
       DType::float64,
       [](Features& features) { features.core.features.shaderFloat64 = VK_FALSE; }},
      {"int64",
       DType::int64,
       [](Features& features) { features.core.features.shaderInt64 = VK_FALSE; }},
      {"8-bit storage",
       DType::uint8,
       [](Features& features) { features.v12.storageBuffer8BitAccess = VK_FALSE; }},
  };
  for (const Lack& lack : lacks) {
    CAPTURE(lack.name);
    test::Machine machine(test::vulkan_options(), [&](Context& context) {
      lack.take(context.features);
      // Kernels that would use it if it were there are chosen by this.
      context.info.int64 = context.features.core.features.shaderInt64;
    });
    const Tensor x = zeros({3}, lack.dtype);
    const Error error = test::thrown_by([&] { return x + x; });
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(error.op() == "add");
    CHECK(test::says(error.message(), "lacks " + lack.name));
    CHECK(test::says(error.hint(), "\"cpu\""));
    // Others are computed as before.
    const Tensor y = Tensor::copy_of<float>(std::vector<float>{1, 2, 3}, {3});
    CHECK((y + y).to_vector<float>() == std::vector<float>{2, 4, 6});
  }
}

TEST_CASE("capabilities of extensions have names", "[vulkan]") {
  // A module's head, and capabilities.
  const std::uint32_t spirv[] = {
      0x0723'0203,
      0x0001'0500,
      0,
      1,
      0,
      0x0002'0011,
      6022,
      0x0002'0011,
      5345,
      0x0002'0011,
      5116,
      0x0002'0011,
      5117,
      0x0002'0011,
      5118,
      0x0003'000e,
      0,
      3};
  Features features;
  CHECK(
      lacking(features, spirv) ==
      "cooperative matrices, Vulkan's memory model, bfloat16 arithmetic, bfloat16 dot products, "
      "cooperative matrices of bfloat16");
  features.cooperative_matrix.cooperativeMatrix = VK_TRUE;
  features.bfloat16.shaderBFloat16Type = VK_TRUE;
  CHECK(
      lacking(features, spirv) ==
      "Vulkan's memory model, bfloat16 dot products, cooperative matrices of bfloat16");
  features.v12.vulkanMemoryModel = VK_TRUE;
  features.bfloat16.shaderBFloat16DotProduct = VK_TRUE;
  features.bfloat16.shaderBFloat16CooperativeMatrix = VK_TRUE;
  CHECK(lacking(features, spirv).empty());
}

TEST_CASE("what works together in subgroups asks for their size", "[vulkan]") {
  const SubgroupControl control{32, 8};
  const auto together = find_shader("softmax", "float32")->by_address;
  const auto alone = find_shader("one_hot", "")->by_address;
  CHECK(required_subgroup(control, together, 32) == 32);
  CHECK(required_subgroup(control, together, 256) == 32);
  CHECK(required_subgroup(control, together, 48) == 0);   // the last would be cut short
  CHECK(required_subgroup(control, together, 512) == 0);  // more than a workgroup may have
  CHECK(required_subgroup({}, together, 32) == 0);        // the driver cannot be told
  CHECK(required_subgroup(control, alone, 32) == 0);
  const std::uint32_t cooperative[] = {0x0723'0203, 0x0001'0600, 0, 1, 0, 0x0002'0011, 6022};
  CHECK(required_subgroup(control, cooperative, 64) == 32);
}

TEST_CASE("another device's pipeline cache is not given to the driver", "[vulkan]") {
  const auto context = test::open_context();
  std::vector<std::byte> saved = Pipelines(*context, {}).saved();
  CHECK(Pipelines(*context, saved).reused());
  // As another device, whole in itself: its cache begins with its own identity.
  std::vector<std::byte> foreign(saved.begin() + 16, saved.end());
  foreign[8] ^= std::byte{1};
  const std::uint64_t sum = checksum_of(foreign);
  std::memcpy(saved.data() + 8, &sum, sizeof sum);
  std::copy(foreign.begin(), foreign.end(), saved.begin() + 16);
  CHECK_FALSE(Pipelines(*context, saved).reused());
}

}  // namespace troupe::vulkan
