#include "manifest.hpp"
#include "safetensors_layout.hpp"

#include <troupe/io/checkpoint.hpp>
#include <troupe/io/safetensors.hpp>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

namespace troupe::io {
namespace {

constexpr std::string_view prefix = "save-";
constexpr std::string_view unfinished = ".tmp";
const char* const state_name = "state.safetensors";
const char* const meta_name = "meta.json";
const char* const manifest_name = "manifest";

std::string name_of_save(std::uint64_t number) {
  std::string digits = std::to_string(number);
  // Six digits, so that a listing by name shows the saves in order for the first million.
  if (digits.size() < 6) digits.insert(0, 6 - digits.size(), '0');
  return std::string(prefix) + digits;
}

/// The number of a save's folder; nothing for other names, the unfinished ones among them.
std::optional<std::uint64_t> number_of_save(std::string_view name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  // Only names that we would write: two names of one number would be two newest saves.
  if (name_of_save(number).substr(prefix.size()) != name) return std::nullopt;
  return number;
}

/// The numbers of the saves in a folder, newest first.
std::vector<std::uint64_t> saves_among(const std::vector<std::string>& names) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : names) {
    if (const auto number = number_of_save(name)) numbers.push_back(*number);
  }
  std::sort(numbers.rbegin(), numbers.rend());
  return numbers;
}

std::string path_in(const std::string& folder, std::string_view name) {
  return std::string(folder).append("/").append(name);
}

/// Removes a folder and the files in it, as far as the disk allows: what is left is harmless, and
/// the next save tries again.
void clear_away(Disk& disk, const std::string& folder) {
  if (auto names = disk.list(folder)) {
    for (const std::string& name : names.value()) (void)disk.remove(path_in(folder, name));
  }
  (void)disk.remove(folder);
}

/// Makes a folder whose name, and those of its parents, survive a power cut.
Result<void> make_durable_folder(Disk& disk, const std::string& folder) {
  if (auto done = disk.make_folders(folder); !done) return done;
  std::string parent = folder_of(folder);
  if (auto done = disk.sync_folder(parent); !done) return done;
  // Those above too, for whoever made them may not have synced them. They may also not be ours to
  // open, and then are surely older than this run.
  while (folder_of(parent) != parent) {
    parent = folder_of(parent);
    (void)disk.sync_folder(parent);
  }
  return {};
}

/// Writes one file of a save, piece by piece, and notes its size and checksum.
class FileWriter {
 public:
  static Result<FileWriter> open(Disk& disk, const std::string& folder, const char* name) {
    auto file = disk.create(path_in(folder, name));
    if (!file) return file.error();
    return FileWriter(std::move(file).value(), name);
  }

  Result<void> append(std::span<const std::byte> bytes) {
    entry_.bytes += bytes.size();
    entry_.crc = crc32_of(bytes, entry_.crc);
    return file_->append(bytes);
  }

  Result<Manifest::File> finish() {
    if (auto done = file_->sync(); !done) return done.error();
    return entry_;
  }

 private:
  FileWriter(std::unique_ptr<DiskFile> file, const char* name) : file_(std::move(file)) {
    entry_.name = name;
  }

  std::unique_ptr<DiskFile> file_;
  Manifest::File entry_;
};

Result<Manifest::File> write_text(
    Disk& disk, const std::string& folder, const char* name, const std::string& text) {
  auto writer = FileWriter::open(disk, folder, name);
  if (!writer) return writer.error();
  if (auto done = writer.value().append(std::as_bytes(std::span(text))); !done) return done.error();
  return writer.value().finish();
}

Result<Manifest::File> write_tensors(
    Disk& disk, const std::string& folder, std::span<const HostTensor> tensors) {
  std::vector<std::size_t> order;
  auto header = make_header(tensors, {}, order);
  if (!header) return header.error();
  auto writer = FileWriter::open(disk, folder, state_name);
  if (!writer) return writer.error();
  FileWriter& out = writer.value();
  if (auto done = out.append(std::as_bytes(std::span(header.value()))); !done) return done.error();
  for (const std::size_t i : order) {
    if (auto done = out.append(tensors[i].bytes()); !done) return done.error();
  }
  return out.finish();
}

/// The tree as the text of its file.
Result<std::string> text_of(const Tree& meta) {
  try {
    return to_json(meta, 2) + "\n";
  } catch (const Error& error) {
    return error;
  }
}

/// Writes all files of a save into `folder`, made for it, and syncs them and their names.
Result<void> write_save(Disk& disk, const std::string& folder, const Archive& archive) {
  auto text = text_of(archive.meta);
  if (!text) return text.error();
  if (auto done = disk.make_folders(folder); !done) return done;
  Manifest manifest;
  auto meta = write_text(disk, folder, meta_name, text.value());
  if (!meta) return meta.error();
  manifest.files.push_back(std::move(meta).value());
  auto state = write_tensors(disk, folder, archive.tensors);
  if (!state) return state.error();
  manifest.files.push_back(std::move(state).value());
  auto listed = write_text(disk, folder, manifest_name, to_text(manifest));
  if (!listed) return listed.error();
  return disk.sync_folder(folder);
}

/// Takes away what is older than the newest `keep` saves. A failure costs room and nothing else.
void remove_old(Disk& disk, const std::string& folder, int keep) {
  auto names = disk.list(folder);
  if (!names) return;
  const auto numbers = saves_among(names.value());
  for (std::size_t i = static_cast<std::size_t>(std::max(keep, 1)); i < numbers.size(); ++i) {
    const std::string path = path_in(folder, name_of_save(numbers[i]));
    const std::string doomed = path + std::string(unfinished);
    // Renamed first: a save with some of its files gone must not look like a damaged one.
    if (disk.rename(path, doomed)) clear_away(disk, doomed);
  }
}

/// Reads one file that the manifest lists, and checks it against its size and checksum.
Result<std::vector<std::byte>> read_listed(
    Disk& disk, const std::string& folder, const Manifest& manifest, const char* name) {
  const std::string path = path_in(folder, name);
  const Manifest::File* listed = manifest.find(name);
  if (!listed) {
    return file_error(
        ErrorCode::file_corrupt,
        path_in(folder, manifest_name),
        0,
        std::string("does not list ") + name);
  }
  auto file = disk.open(path);
  if (!file) return file.error();
  auto size = file.value()->size();
  if (!size) return size.error();
  if (size.value() != listed->bytes) {
    const bool shorter = size.value() < listed->bytes;
    return file_error(
        shorter ? ErrorCode::file_truncated : ErrorCode::file_corrupt,
        path,
        std::min(size.value(), listed->bytes),
        "has " + std::to_string(size.value()) + " bytes, but " + std::to_string(listed->bytes) +
            " were saved");
  }
  auto bytes = disk.read_all(path, listed->bytes);
  if (!bytes) return bytes.error();
  if (crc32_of(bytes.value()) != listed->crc) {
    return file_error(
        ErrorCode::file_corrupt, path, 0, "its checksum is not the one that was saved");
  }
  return bytes;
}

std::string_view text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Archive> read_save(Disk& disk, const std::string& folder) {
  const std::string manifest_path = path_in(folder, manifest_name);
  auto listed = disk.read_all(manifest_path, manifest_bytes_max);
  if (!listed) return listed.error();
  auto manifest = parse_manifest(text_of(listed.value()), manifest_path);
  if (!manifest) return manifest.error();

  auto meta_bytes = read_listed(disk, folder, manifest.value(), meta_name);
  if (!meta_bytes) return meta_bytes.error();
  auto meta = parse_json(text_of(meta_bytes.value()), path_in(folder, meta_name));
  if (!meta) return meta.error();

  auto state_bytes = read_listed(disk, folder, manifest.value(), state_name);
  if (!state_bytes) return state_bytes.error();
  auto state = parse_safetensors(
      std::make_shared<const std::vector<std::byte>>(std::move(state_bytes).value()),
      path_in(folder, state_name));
  if (!state) return state.error();
  return Archive{
      std::move(meta).value(),
      std::move(state.value().tensors),
      path_in(folder, meta_name),
      path_in(folder, state_name)};
}

/// Whether an older save may stand in for one with this error. Not for want of memory, which an
/// older save has no less need of, nor for a format that a newer build reads.
bool means_damage(const Error& error) {
  switch (error.code()) {
    case ErrorCode::file_corrupt:
    case ErrorCode::file_truncated:
    case ErrorCode::file_not_found:
    case ErrorCode::file_io:
      return true;
    default:
      return false;
  }
}

}  // namespace

const HostTensor* Archive::find(std::string_view name) const noexcept {
  for (const HostTensor& tensor : tensors) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}

Result<std::string> save_checkpoint(
    Disk& disk, const std::string& folder, const Archive& archive, int keep) {
  if (auto done = make_durable_folder(disk, folder); !done) return done.error();
  auto names = disk.list(folder);
  if (!names) return names.error();
  for (const std::string& name : names.value()) {
    if (name.starts_with(prefix) && name.ends_with(unfinished)) {
      clear_away(disk, path_in(folder, name));
    }
  }
  const auto numbers = saves_among(names.value());
  const std::string path = path_in(folder, name_of_save(numbers.empty() ? 1 : numbers.front() + 1));
  const std::string temporary = path + std::string(unfinished);
  auto done = write_save(disk, temporary, archive);
  if (done) done = disk.rename(temporary, path);
  if (!done) {
    clear_away(disk, temporary);
    return done.error();
  }
  if (done = disk.sync_folder(folder); !done) return done.error();
  remove_old(disk, folder, keep);
  return path;
}

Result<LoadedCheckpoint> load_checkpoint(Disk& disk, const std::string& folder) {
  auto names = disk.list(folder);
  if (!names) return names.error();
  LoadedCheckpoint loaded;
  std::optional<Error> newest;
  for (const std::uint64_t number : saves_among(names.value())) {
    loaded.path = path_in(folder, name_of_save(number));
    auto archive = read_save(disk, loaded.path);
    if (archive) {
      loaded.archive = std::move(archive).value();
      return loaded;
    }
    if (!means_damage(archive.error())) return archive.error();
    loaded.notices.push_back(loaded.path + " is damaged: " + archive.error().message());
    if (!newest) newest = archive.error();
  }
  if (newest) return *newest;
  return Error(ErrorCode::file_not_found, folder + ": holds no checkpoint");
}

bool has_checkpoint(Disk& disk, const std::string& folder) {
  auto names = disk.list(folder);
  return names && !saves_among(names.value()).empty();
}

std::vector<std::byte> encode_archive(const Archive& archive) {
  return encode_safetensors(archive.tensors, {{"tree", to_json(archive.meta)}}).value();
}

Result<Archive> decode_archive(
    std::shared_ptr<const std::vector<std::byte>> bytes, const std::string& from) {
  auto file = parse_safetensors(std::move(bytes), from);
  if (!file) return file.error();
  const auto tree = file.value().metadata.find("tree");
  if (tree == file.value().metadata.end())
    return Error(ErrorCode::file_corrupt, from + ": there is no tree beside the tensors");
  auto meta = parse_json(tree->second, from);
  if (!meta) return meta.error();
  return Archive{std::move(meta).value(), std::move(file).value().tensors, from, from};
}

}  // namespace troupe::io
