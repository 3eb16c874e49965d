#include "spirv.hpp"

#include "machine.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::vulkan {
namespace {

using test::says;

const std::string empty_main = "layout(local_size_x = 1) in;\nvoid main() {}\n";

}  // namespace

TEST_CASE("GLSL becomes SPIR-V with what it includes and what is defined", "[vulkan]") {
  const Glslang glslang;
  const std::string text =
      "#version 460\n#extension GL_GOOGLE_include_directive : require\n"
      "#include \"outer.glsl\"\nlayout(local_size_x = SIZE) in;\nvoid main() {}\n";
  std::string asked;
  const ReadIncluded read = [&](const std::string& name) {
    asked += name + ";";
    if (name == "outer.glsl") return Included{true, "#include \"inner.glsl\"\n"};
    if (name == "inner.glsl") return Included{true, "#ifndef SIZE\n#error no size\n#endif\n"};
    return Included{};
  };
  const Spirv spirv = spirv_of(text, "#define SIZE 32\n", read);
  CHECK(spirv.faults.empty());
  CHECK(asked == "outer.glsl;inner.glsl;");
  REQUIRE(!spirv.code.empty());
  CHECK(spirv.code[0] == 0x0723'0203);
  CHECK(spirv.code[1] == 0x0001'0500);  // SPIR-V 1.5
  CHECK(spirv.code == spirv_of(text, "#define SIZE 32\n", read).code);

  const Spirv undefined = spirv_of(text, "", read);
  CHECK(undefined.code.empty());
  CHECK(says(undefined.faults, "no size"));
}

TEST_CASE("what does not compile is told with glslang's own words", "[vulkan]") {
  const Glslang glslang;
  const Spirv wrong = spirv_of("#version 460\n" + empty_main + "int x = y;\n");
  CHECK(wrong.code.empty());
  CHECK(says(wrong.faults, "'y'"));
  const Spirv missing = spirv_of(
      "#version 460\n#extension GL_GOOGLE_include_directive : require\n#include \"none.glsl\"\n" +
      empty_main);
  CHECK(missing.code.empty());
  CHECK(says(missing.faults, "none.glsl"));
}

}  // namespace troupe::vulkan
