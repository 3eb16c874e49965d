#include "machine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/leaky_relu.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <vector>

// What elementwise ops compute is tests/conformance's matter; here it is which shader they take.
namespace troupe::vulkan {
namespace {

using test::Machine;

std::vector<float> ramp(std::int64_t count) {
  std::vector<float> out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i);
  return out;
}

/// Without a cache, so that what is compiled is counted.
Options fresh() {
  Options options = test::vulkan_options();
  options.cache_folder.clear();
  return options;
}

}  // namespace

TEST_CASE("one shader serves every size of an op in one form", "[vulkan]") {
  Machine machine(fresh());
  for (const std::int64_t n : {4, 8, 400}) {
    const Tensor x = Tensor::copy_of<float>(ramp(n), {n});
    const std::vector<float> y = (x + x).to_vector<float>();
    CHECK(y.back() == 2 * static_cast<float>(n - 1));
  }
  CHECK(machine.counts().shaders_compiled == 1);
  const Tensor odd = Tensor::copy_of<float>(ramp(5), {5});  // not by four
  CHECK((odd + odd).to_vector<float>() == std::vector<float>{0, 2, 4, 6, 8});
  CHECK(machine.counts().shaders_compiled == 2);
}

TEST_CASE("attributes are told apart, and equal ones share a shader", "[vulkan]") {
  Machine machine(fresh());
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{-4, -2, 0, 2}, {4});
  CHECK(leaky_relu(x, 0.5).to_vector<float>() == std::vector<float>{-2, -1, 0, 2});
  CHECK(leaky_relu(x, 0.25).to_vector<float>() == std::vector<float>{-1, -0.5, 0, 2});
  CHECK(machine.counts().shaders_compiled == 2);
  CHECK(leaky_relu(x, 0.5).to_vector<float>() == std::vector<float>{-2, -1, 0, 2});
  CHECK(machine.counts().shaders_compiled == 2);
}

TEST_CASE("inputs that do not lie in a row are read where they lie", "[vulkan]") {
  Machine machine(fresh());
  const Tensor x = Tensor::copy_of<float>(ramp(6), {2, 3});
  const std::uint64_t before = machine.counts().dispatches;
  const Tensor y = transpose(x, 0, 1) + 1.0f;
  CHECK(y.to_vector<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
  const Tensor z = slice(Tensor::copy_of<float>(ramp(8), {8}), 0, 1, 8, 3) * 2.0f;
  CHECK(z.to_vector<float>() == std::vector<float>{2, 8, 14});
  // One for each op, beside the fills that make 1 and 2: no copy.
  CHECK(machine.counts().dispatches - before <= 4);
}

TEST_CASE("a tensor that begins in the middle of another is read from there", "[vulkan]") {
  Machine machine(fresh());
  const Tensor x = Tensor::copy_of<float>(ramp(12), {12});
  for (const std::int64_t begin : {1, 3, 4}) {
    const std::vector<float> y = (narrow(x, 0, begin, 4) + narrow(x, 0, 8, 4)).to_vector<float>();
    const auto b = static_cast<float>(begin);
    CHECK(y == std::vector<float>{b + 8, b + 10, b + 12, b + 14});
  }
}

TEST_CASE("more axes than a shader takes are met by copies", "[vulkan]") {
  Machine machine(fresh());
  // Each repeats along every other axis, in turn, so that no two merge.
  const Tensor a = reshape(Tensor::copy_of<float>(ramp(8), {8}), {2, 1, 2, 1, 2, 1});
  const Tensor b = reshape(Tensor::copy_of<float>(ramp(8), {8}), {1, 2, 1, 2, 1, 2});
  const std::vector<float> y = (a * 10.0f + b).to_vector<float>();
  REQUIRE(y.size() == 64);
  for (std::size_t i = 0; i < 64; ++i) {
    const auto bit = [&](std::size_t k) { return i >> k & 1; };
    const std::size_t in_a = bit(5) * 4 + bit(3) * 2 + bit(1);
    const std::size_t in_b = bit(4) * 4 + bit(2) * 2 + bit(0);
    CHECK(y[i] == static_cast<float>(in_a * 10 + in_b));
  }
}

TEST_CASE("an op on no elements launches nothing", "[vulkan]") {
  Machine machine(fresh());
  const Tensor x = zeros({0, 3});
  const std::uint64_t before = machine.counts().dispatches;
  CHECK((x + x).to_vector<float>().empty());
  CHECK(machine.counts().dispatches == before);
}

}  // namespace troupe::vulkan
