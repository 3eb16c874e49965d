#include "manifest.hpp"

#include <troupe/core/disk.hpp>

#include <zlib.h>

#include <charconv>
#include <optional>

namespace troupe::io {
namespace {

constexpr std::string_view title = "troupe checkpoint ";
constexpr int version = 1;

std::string hex(std::uint32_t number) {
  std::string text(8, '0');
  for (std::size_t i = text.size(); i-- > 0; number >>= 4) {
    text[i] = "0123456789abcdef"[number & 0xf];
  }
  return text;
}

/// The whole of `text` as a number; nothing when it is not one, as we would write it.
template <class T>
std::optional<T> number(std::string_view text, int base) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::uint32_t crc32_of(std::string_view text) {
  return io::crc32_of(std::as_bytes(std::span(text.data(), text.size())));
}

/// Takes the next line, without its end, from the front of `rest`; nothing when no line ends there.
std::optional<std::string_view> take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

/// "name bytes crc"
std::optional<Manifest::File> parse_file(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t second = line.find(' ', first == std::string_view::npos ? first : first + 1);
  if (first == 0 || second == std::string_view::npos) return std::nullopt;
  const auto bytes = number<std::uint64_t>(line.substr(first + 1, second - first - 1), 10);
  const auto crc = number<std::uint32_t>(line.substr(second + 1), 16);
  if (!bytes || !crc) return std::nullopt;
  return Manifest::File{std::string(line.substr(0, first)), *bytes, *crc};
}

}  // namespace

const Manifest::File* Manifest::find(std::string_view name) const noexcept {
  for (const File& file : files) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  return static_cast<std::uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string to_text(const Manifest& manifest) {
  std::string text = std::string(title) + std::to_string(version) + "\n";
  for (const Manifest::File& file : manifest.files) {
    text += file.name + " " + std::to_string(file.bytes) + " " + hex(file.crc) + "\n";
  }
  return text + "crc " + hex(crc32_of(text)) + "\n";
}

Result<Manifest> parse_manifest(std::string_view text, const std::string& path) {
  std::string_view rest = text;
  const auto here = [&] { return static_cast<std::uint64_t>(text.size() - rest.size()); };
  const auto corrupt = [&](std::uint64_t offset, const std::string& reason) {
    return file_error(ErrorCode::file_corrupt, path, offset, reason);
  };

  const auto first = take_line(rest);
  if (!first || !first->starts_with(title)) return corrupt(0, "not a checkpoint's manifest");
  // Before the checksum, whose place a later format may change.
  const auto format = number<int>(first->substr(title.size()), 10);
  if (!format) return corrupt(title.size(), "no format number");
  if (*format != version) {
    return Error(
               ErrorCode::file_mismatch,
               path + ": has checkpoint format " + std::to_string(*format) +
                   ", where this build reads " + std::to_string(version))
        .hint("load it with the version of Troupe that wrote it, or a newer one");
  }
  Manifest manifest;
  while (true) {
    const std::uint64_t start = here();
    const auto line = take_line(rest);
    if (!line) return corrupt(start, "the manifest ends without its checksum");
    if (line->starts_with("crc ")) {
      if (line->substr(4) != hex(crc32_of(text.substr(0, start)))) {
        return corrupt(start, "the manifest's own checksum does not match");
      }
      if (!rest.empty()) return corrupt(here(), "bytes follow the manifest's checksum");
      return manifest;
    }
    auto file = parse_file(*line);
    if (!file) return corrupt(start, "a line that names no file, size and checksum");
    manifest.files.push_back(std::move(*file));
  }
}

}  // namespace troupe::io
