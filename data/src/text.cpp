#include "byte_source.hpp"

#include <troupe/data/text.hpp>

#include <zlib.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace troupe::data {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;

Error unfit(const std::string& path, const std::string& reason, const std::string& hint) {
  return Error(ErrorCode::file_mismatch, path + ": " + reason).hint(hint);
}

bool is_control(std::byte byte) {
  const auto code = std::to_integer<unsigned>(byte);
  return (code < 0x20 && !(code >= '\t' && code <= '\r') && code != 0x1b) || code == 0x7f;
}

/// What shows that a piece is of no text; `offset` is where in the text it begins.
std::optional<Error> fault_of(
    const std::string& path, std::span<const std::byte> piece, std::uint64_t offset) {
  const std::string hint = "give a file of text, plain or .gz; UTF-16 must become UTF-8 first";
  const auto nul = std::find(piece.begin(), piece.end(), std::byte{0});
  if (nul != piece.end())
    return file_error(
               ErrorCode::file_mismatch,
               path,
               offset + static_cast<std::uint64_t>(nul - piece.begin()),
               "a NUL byte, which no text has")
        .hint(hint);
  const auto controls = std::count_if(piece.begin(), piece.end(), is_control);
  if (offset == 0 && 100 * controls > std::ssize(piece))
    return unfit(
        path,
        "is no text: " + std::to_string(controls) + " of its first " +
            std::to_string(piece.size()) + " bytes are control bytes",
        hint);
  return std::nullopt;
}

/// All of a file, as long as it is a text.
Result<std::vector<std::byte>> read_text(
    Disk& disk, const std::string& path, std::uint64_t bytes_max) {
  auto source = open_byte_source(disk, path);
  if (!source) return source.error();
  std::vector<std::byte> bytes;
  while (true) {
    const std::size_t before = bytes.size();
    bytes.resize(
        before + static_cast<std::size_t>(
                     std::min<std::uint64_t>(piece_bytes, source.value()->bytes_left_max())));
    auto count = source.value()->read(std::span(bytes).subspan(before));
    if (!count) return count.error();
    bytes.resize(before + count.value());
    if (count.value() == 0) return bytes;
    if (bytes.size() > bytes_max)
      return unfit(
          path, "has more than " + std::to_string(bytes_max) + " bytes", "train on a part of it");
    if (auto fault = fault_of(path, std::span(bytes).subspan(before), before)) return *fault;
  }
}

}  // namespace

Result<TextDataset> open_text_dataset(
    Disk& disk, const std::string& path, std::int64_t context, std::uint64_t bytes_max) {
  if (context < 1)
    return Error(
               ErrorCode::invalid_argument,
               "a context of " + std::to_string(context) + " bytes holds none")
        .hint("128, say");
  auto bytes = read_text(disk, path, bytes_max);
  if (!bytes) return bytes.error();
  std::vector<std::byte> train = std::move(bytes).value();
  if (train.empty()) return unfit(path, "is empty", "give a file of text");
  const auto tested = static_cast<std::int64_t>(train.size() / 10);
  if (windows_in(tested, context) < 1)
    return unfit(
        path,
        "has " + std::to_string(train.size()) + " bytes, whose last tenth, on which is tested, " +
            "has no window of " + std::to_string(context + 1),
        "give a text of at least " + std::to_string(10 * (context + 1)) +
            " bytes, or a smaller context");
  TextDataset dataset;
  dataset.name = path;
  dataset.crc32 = static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(train.data()), train.size()));
  const auto split = train.end() - tested;
  dataset.test = std::make_shared<const Text>(Text{{split, train.end()}});
  train.erase(split, train.end());
  dataset.train = std::make_shared<const Text>(Text{std::move(train)});
  return dataset;
}

}  // namespace troupe::data
