#pragma once

#include <troupe/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe {

/// An open file of a `Disk`. Closed by its destructor; not safe for use from two threads at once.
class DiskFile {
 public:
  virtual ~DiskFile() = default;

  /// Bytes in the file.
  virtual Result<std::uint64_t> size() = 0;
  /// Reads exactly `into.size()` bytes from `offset`; `file_truncated` when there are fewer.
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> into) = 0;
  /// Appends all bytes at the end; `disk_full` or `file_io` when it cannot.
  virtual Result<void> append(std::span<const std::byte> bytes) = 0;
  /// Returns once what was written would survive a power cut.
  virtual Result<void> sync() = 0;
};

/// Where files live. One of the six interfaces between Troupe and the outside world: the real one
/// is the operating system's, the simulated one is memory that can crash, fill up and fail on
/// command.
///
/// Threads   calls may come from any thread.
/// Paths     separated by '/'; relative ones start at the process's working folder.
/// Errors    `file_not_found`, `disk_full`, `file_truncated` or `file_io`, each naming the path.
class Disk {
 public:
  virtual ~Disk() = default;

  virtual Result<std::unique_ptr<DiskFile>> open(const std::string& path) = 0;      ///< for reading
  virtual Result<std::unique_ptr<DiskFile>> create(const std::string& path) = 0;    ///< empties it
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;  ///< atomic
  virtual Result<void> remove(const std::string& path) = 0;  ///< a file or an empty folder
  virtual Result<void> make_folders(
      const std::string& path) = 0;  ///< parents too; no error if there
  /// Makes the names in a folder survive a power cut (after create, rename, remove).
  virtual Result<void> sync_folder(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;  ///< names, sorted
  virtual bool exists(const std::string& path) = 0;

  /// The whole file; `file_io` for one of more than `bytes_max` bytes, `out_of_memory` for one that
  /// memory cannot hold.
  Result<std::vector<std::byte>> read_all(
      const std::string& path, std::uint64_t bytes_max = std::uint64_t{1} << 40);
  /// Replaces a file so that a crash at any moment leaves the old content or the new one, whole:
  /// writes `path` + ".tmp", syncs it, renames it over `path`, syncs the folder.
  Result<void> replace(const std::string& path, std::span<const std::byte> bytes);
  /// The same for content that is written piece by piece, without gathering it in memory first.
  Result<void> replace(
      const std::string& path, const std::function<Result<void>(DiskFile&)>& write);
};

/// An error in a file's content, in the one form that all readers use: "path: at byte 16: reason".
[[nodiscard]] Error file_error(
    ErrorCode code, const std::string& path, std::uint64_t offset, const std::string& reason);

/// The folder that holds `path`; "." when the path names none.
[[nodiscard]] std::string folder_of(const std::string& path);

/// The operating system's files.
std::unique_ptr<Disk> make_real_disk();

}  // namespace troupe
