#include <troupe/core/disk.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <utility>

// The one file of core that calls the operating system for files (POSIX). Another system is another
// file beside this one.

namespace troupe {
namespace {

Error system_error(const std::string& path, std::string_view doing, int number) {
  ErrorCode code = ErrorCode::file_io;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::file_not_found;
  if (number == ENOSPC || number == EDQUOT) code = ErrorCode::disk_full;
  Error error(
      code,
      path + ": cannot " + std::string(doing) + ": " + std::system_category().message(number));
  if (code == ErrorCode::disk_full) error.hint("make room on that disk");
  if (number == EFBIG) error.hint("'ulimit -f' says how large a file may be");
  return error;
}

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }

  [[nodiscard]] int get() const noexcept { return number_; }

 private:
  int number_;
};

int open_retrying(const std::string& path, int flags) {
  int number = -1;
  do {
    number = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (number < 0 && errno == EINTR);
  return number;
}

Result<void> sync_retrying(int descriptor, const std::string& path) {
  while (::fsync(descriptor) != 0) {
    if (errno != EINTR) return system_error(path, "sync", errno);
  }
  return {};
}

class RealFile final : public DiskFile {
 public:
  RealFile(Descriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Result<std::uint64_t> size() override {
    struct stat status {};
    if (::fstat(descriptor_.get(), &status) != 0)
      return system_error(path_, "read its size", errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

  Result<void> read(std::uint64_t offset, std::span<std::byte> into) override {
    while (!into.empty()) {
      const ssize_t count =
          ::pread(descriptor_.get(), into.data(), into.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return system_error(path_, "read", errno);
      if (count == 0) {
        return file_error(
            ErrorCode::file_truncated,
            path_,
            offset,
            "the file ends here, " + std::to_string(into.size()) + " bytes too early");
      }
      offset += static_cast<std::uint64_t>(count);
      into = into.subspan(static_cast<std::size_t>(count));
    }
    return {};
  }

  Result<void> append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return system_error(path_, "write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
  }

  Result<void> sync() override { return sync_retrying(descriptor_.get(), path_); }

 private:
  Descriptor descriptor_;
  std::string path_;
};

class RealDisk final : public Disk {
 public:
  Result<std::unique_ptr<DiskFile>> open(const std::string& path) override {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    Descriptor descriptor(open_retrying(path, O_RDONLY | O_NONBLOCK));
    if (descriptor.get() < 0) return system_error(path, "open", errno);
    struct stat status {};
    if (::fstat(descriptor.get(), &status) != 0) return system_error(path, "open", errno);
    if (!S_ISREG(status.st_mode)) {
      const char* what = S_ISDIR(status.st_mode) ? "it is a folder" : "it is not a regular file";
      return Error(ErrorCode::file_io, path + ": cannot open: " + what);
    }
    return std::unique_ptr<DiskFile>(new RealFile(std::move(descriptor), path));
  }

  Result<std::unique_ptr<DiskFile>> create(const std::string& path) override {
    Descriptor descriptor(open_retrying(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND));
    if (descriptor.get() < 0) return system_error(path, "create", errno);
    return std::unique_ptr<DiskFile>(new RealFile(std::move(descriptor), path));
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return system_error(from, "rename to " + to, errno);
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (std::remove(path.c_str()) != 0) return system_error(path, "remove", errno);
    return {};
  }

  Result<void> make_folders(const std::string& path) override {
    for (std::size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end + 1);
      const std::string folder = path.substr(0, end);
      if (::mkdir(folder.c_str(), 0777) == 0) continue;
      const int number = errno;
      struct stat status {};
      const bool there = ::stat(folder.c_str(), &status) == 0;
      if (there && S_ISDIR(status.st_mode)) continue;
      return system_error(folder, "make the folder", number);
    }
    return {};
  }

  Result<void> sync_folder(const std::string& path) override {
    const Descriptor descriptor(open_retrying(path, O_RDONLY | O_DIRECTORY));
    if (descriptor.get() < 0) return system_error(path, "sync the folder", errno);
    return sync_retrying(descriptor.get(), path);
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    DIR* folder = ::opendir(path.c_str());
    if (!folder) return system_error(path, "list", errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> closes(folder, ::closedir);
    std::vector<std::string> names;
    errno = 0;
    // No other thread has this stream, and POSIX asks for no more.
    while (const dirent* entry = ::readdir(folder)) {  // NOLINT(concurrency-mt-unsafe)
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    if (errno != 0) return system_error(path, "list", errno);
    std::sort(names.begin(), names.end());
    return names;
  }

  bool exists(const std::string& path) override {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
  }
};

}  // namespace

std::unique_ptr<Disk> make_real_disk() { return std::make_unique<RealDisk>(); }

}  // namespace troupe
