#include "expect.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/checkpoint.hpp>

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace {

using Bytes = std::span<const std::byte>;

std::string checksum(const void* data, std::size_t size) {
  std::array<char, 9> text{};
  const auto sum = crc32_z(0, static_cast<const Bytef*>(data), size);
  std::snprintf(text.data(), text.size(), "%08lx", static_cast<unsigned long>(sum));
  return text.data();
}

/// A manifest that is right for these files, so that what they hold is looked at too.
std::string right_manifest(Bytes meta, Bytes state) {
  std::string text = "troupe checkpoint 1\n";
  text +=
      "meta.json " + std::to_string(meta.size()) + " " + checksum(meta.data(), meta.size()) + "\n";
  text += "state.safetensors " + std::to_string(state.size()) + " " +
          checksum(state.data(), state.size()) + "\n";
  return text + "crc " + checksum(text.data(), text.size()) + "\n";
}

}  // namespace

// Any bytes as a save's files are an archive that can be saved again, or a typed error. The first
// two bytes are the lengths of the manifest and the meta file; a manifest of length zero is made to
// fit.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  if (size < 2) return 0;
  Bytes rest = fuzz::bytes_of(data + 2, size - 2);
  const Bytes manifest = rest.first(std::min<std::size_t>(data[0], rest.size()));
  rest = rest.subspan(manifest.size());
  const Bytes meta = rest.first(std::min<std::size_t>(data[1], rest.size()));
  const Bytes state = rest.subspan(meta.size());
  sim::MemoryDisk disk;
  disk.put("c/save-000001/meta.json", meta);
  disk.put("c/save-000001/state.safetensors", state);
  const std::string fitting = right_manifest(meta, state);
  disk.put(
      "c/save-000001/manifest", manifest.empty() ? std::as_bytes(std::span(fitting)) : manifest);
  const auto loaded = io::load_checkpoint(disk, "c");
  if (!loaded) {
    fuzz::expect_file_error(
        loaded.error(),
        {"c/save-000001/manifest", "c/save-000001/meta.json", "c/save-000001/state.safetensors"});
    return 0;
  }
  const io::Archive& archive = loaded.value().archive;
  const auto saved = io::save_checkpoint(disk, "c", archive);
  fuzz::expect(saved.ok(), "what was loaded can be saved");
  const auto again = io::load_checkpoint(disk, "c").value();
  fuzz::expect(again.path == saved.value(), "the new save is the newest");
  fuzz::expect(again.archive.meta == archive.meta, "the tree comes back");
  fuzz::expect(again.archive.tensors.size() == archive.tensors.size(), "the tensors come back");
  return 0;
}
