#include "compiler.hpp"

#include "machine.hpp"

#include <troupe/core/sim_disk.hpp>

#include <catch2/catch_test_macros.hpp>

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace troupe::vulkan {
namespace {

using test::says;
using test::thrown_by;

std::string text_writing(const std::string& number) {
  return "#define T float\n" + std::string(shader_text("troupe.glsl")) +
         "BINDING(0, writeonly, float, y)\nPARAMS(uint n;)\nvoid main() {\n"
         "  if (INVOCATION < push.n) AT(y, INVOCATION) = " +
         number + ";\n}\n";
}

/// One run of a program with a cache on the disk.
struct Run {
  explicit Run(Disk& disk, bool descriptors = false)
      : context(test::open_context([&] {
          Options options;
          options.cache_folder = "cache/shaders";
          options.descriptors = descriptors;
          return options;
        }())),
        compiler(*context, disk) {}

  const Shader& compile(const std::string& number) {
    return compiler.compile("fill", 1, text_writing(number));
  }

  std::unique_ptr<Context> context;
  Compiler compiler;
};

std::vector<std::byte> bytes_of(const Shader& shader) {
  const auto bytes = std::as_bytes(shader.by_address);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("what was compiled is not compiled again", "[vulkan]") {
  sim::MemoryDisk disk;
  std::vector<std::byte> code;
  {
    Run first(disk);
    const Shader& shader = first.compile("1.0");
    CHECK(shader.bindings == 1);
    CHECK(shader.name == "fill");
    CHECK(shader.by_address[0] == 0x0723'0203);  // SPIR-V's first word
    CHECK(&first.compile("1.0") == &shader);
    CHECK(first.compiler.compiled() == 1);
    (void)first.compile("2.0");
    CHECK(first.compiler.compiled() == 2);
    code = bytes_of(shader);
  }
  CHECK(disk.list("cache/shaders").value().size() == 2);
  Run second(disk);
  CHECK(bytes_of(second.compile("1.0")) == code);
  CHECK(second.compiler.compiled() == 0);
}

TEST_CASE("each way of binding is compiled for itself", "[vulkan]") {
  sim::MemoryDisk disk;
  (void)Run(disk).compile("1.0");
  Run other(disk, true);
  (void)other.compile("1.0");
  CHECK(other.compiler.compiled() == 1);
}

TEST_CASE("a cached shader that is not whole is ignored and written anew", "[vulkan]") {
  sim::MemoryDisk disk;
  const std::vector<std::byte> code = bytes_of(Run(disk).compile("1.0"));
  const std::string path = "cache/shaders/" + disk.list("cache/shaders").value().at(0);
  const std::vector<std::byte> whole = disk.read_all(path).value();
  REQUIRE(whole.size() > 100);

  std::vector<std::byte> bad = whole;
  SECTION("empty") { bad.clear(); }
  SECTION("cut in its header") { bad.resize(10); }
  SECTION("cut to its header") { bad.resize(24); }
  SECTION("cut by a byte") { bad.pop_back(); }
  SECTION("cut by a word") { bad.resize(bad.size() - 4); }
  SECTION("longer than it says") { bad.insert(bad.end(), 4, std::byte{0}); }
  SECTION("a bit of the code flipped") { bad[bad.size() / 2] ^= std::byte{4}; }
  SECTION("a bit of the last word flipped") { bad.back() ^= std::byte{128}; }
  SECTION("a bit of its checksum flipped") { bad[16] ^= std::byte{1}; }
  SECTION("a length that no file has") {
    for (std::size_t i = 8; i < 16; ++i) bad[i] = std::byte{255};
  }
  SECTION("another program's") { bad[0] ^= std::byte{1}; }
  SECTION("zeros") { bad.assign(bad.size(), std::byte{0}); }
  disk.put(path, bad);

  Run run(disk);
  CHECK(bytes_of(run.compile("1.0")) == code);
  CHECK(run.compiler.compiled() == 1);
  CHECK(disk.read_all(path).value() == whole);
}

TEST_CASE("a cache that cannot be written does no harm", "[vulkan]") {
  sim::MemoryDisk disk;
  disk.set_capacity(100);
  Run run(disk);
  CHECK(run.compile("1.0").by_address.size() > 25);
  CHECK(run.compiler.compiled() == 1);
}

TEST_CASE("a shader that does not compile is named, with what the compiler said", "[vulkan]") {
  sim::MemoryDisk disk;
  Run run(disk);
  const Error error = thrown_by([&] { return run.compile("no_such_thing").name; });
  CHECK(error.code() == ErrorCode::internal);
  CHECK(says(error.message(), "fill"));
  CHECK(says(error.message(), "no_such_thing"));
  CHECK_FALSE(disk.exists("cache/shaders"));
  CHECK(run.compile("1.0").bindings == 1);
}

}  // namespace troupe::vulkan
