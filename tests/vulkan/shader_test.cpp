#include "shader.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::vulkan {

std::span<const Shader> all_shaders() noexcept;

TEST_CASE("every shader is there both ways, under a name of its own", "[vulkan]") {
  REQUIRE_FALSE(all_shaders().empty());
  for (const Shader& shader : all_shaders()) {
    CAPTURE(shader.name, shader.variant);
    CHECK(find_shader(shader.name, shader.variant) == &shader);
    CHECK(shader.bindings > 0);
    CHECK(shader.by_address[0] == 0x0723'0203);  // SPIR-V's first word
    CHECK(shader.by_descriptor[0] == 0x0723'0203);
    CHECK(shader.by_address.data() != shader.by_descriptor.data());
  }
}

TEST_CASE("a shader that is not there is none", "[vulkan]") {
  CHECK(find_shader("no_such_shader", "float32") == nullptr);
  CHECK(find_shader("sum", "no_such_variant") == nullptr);
}

TEST_CASE("shaders are found by dtype and by size", "[vulkan]") {
  const ShaderByDType sums("sum");
  REQUIRE(sums[DType::float32]);
  CHECK(sums[DType::float32]->variant == "float32");
  CHECK(sums[DType::float32] != sums[DType::int64]);
  const ShaderBySize copies("copy");
  REQUIRE(copies[DType::float32]);
  CHECK(copies[DType::float32] == copies[DType::int32]);
  CHECK(copies[DType::float32]->variant == "4");
  CHECK(copies[DType::boolean]->variant == "1");
}

}  // namespace troupe::vulkan
