#include <troupe/core/disk.hpp>

#include <new>
#include <stdexcept>

namespace troupe {
Result<std::vector<std::byte>> Disk::read_all(const std::string& path, std::uint64_t bytes_max) {
  auto file = open(path);
  if (!file) return file.error();
  auto size = file.value()->size();
  if (!size) return size.error();
  if (size.value() > bytes_max) {
    return Error(
        ErrorCode::file_io,
        path + ": has " + std::to_string(size.value()) + " bytes, more than the " +
            std::to_string(bytes_max) + " that are read here");
  }
  std::vector<std::byte> bytes;
  try {
    bytes.resize(size.value());
  } catch (const std::bad_alloc&) {
    return Error(
        ErrorCode::out_of_memory,
        path + ": no memory for its " + std::to_string(size.value()) + " bytes");
  } catch (const std::length_error&) {
    return Error(
        ErrorCode::out_of_memory,
        path + ": no address space for its " + std::to_string(size.value()) + " bytes");
  }
  if (auto read = file.value()->read(0, bytes); !read) return read.error();
  return bytes;
}

Result<void> Disk::replace(const std::string& path, std::span<const std::byte> bytes) {
  return replace(path, [bytes](DiskFile& file) { return file.append(bytes); });
}

Result<void> Disk::replace(
    const std::string& path, const std::function<Result<void>(DiskFile&)>& write) {
  const std::string temporary = path + ".tmp";
  const auto write_temporary = [&]() -> Result<void> {
    auto file = create(temporary);
    if (!file) return file.error();
    if (auto done = write(*file.value()); !done) return done;
    return file.value()->sync();
  };
  auto done = write_temporary();
  if (done) done = rename(temporary, path);
  if (!done) {
    // The old file is untouched; what the failed attempt left would only eat a full disk's room.
    (void)remove(temporary);
    return done;
  }
  return sync_folder(folder_of(path));
}

Error file_error(
    ErrorCode code, const std::string& path, std::uint64_t offset, const std::string& reason) {
  return Error(code, path + ": at byte " + std::to_string(offset) + ": " + reason);
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace troupe
