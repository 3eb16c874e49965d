#include "expect.hpp"

#include <troupe/io/tree.hpp>

#include <string_view>

// Any text is a tree that survives being written and read again, or a typed error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tree = io::parse_json(text, "f");
  if (!tree) {
    fuzz::expect_file_error(tree.error(), {"f"});
    return 0;
  }
  const std::string written = io::to_json(tree.value());
  const auto again = io::parse_json(written, "g").value();
  fuzz::expect(again == tree.value(), "a tree comes back as it was");
  fuzz::expect(io::to_json(again) == written, "and is written alike");
  return 0;
}
