#pragma once

#include <troupe/core/disk.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::sim {

/// What a crash leaves of what nobody had synced.
enum class Crash : std::uint8_t {
  process,     ///< the process died, the machine lives: all of it
  power,       ///< the power was cut: nothing of it
  torn_power,  ///< the power was cut amid writing: of each file a part, of each folder the first
               ///< few of its changed names, the last sector perhaps zeros; which, the seed says
};

/// A disk in memory that can crash, fill up and fail on command: the simulated form of `Disk`.
///
/// It keeps, beside what a program sees, what a power cut would leave: a file's bytes count as safe
/// after `sync()`, names after `sync_folder()`, and neither implies the other, as POSIX has it. A
/// rename within a folder is atomic; one between folders may be lost on either side.
///
/// Operations   every call counts as one but `exists` and those that set faults or look at the
/// disk. Threads      calls may come from any thread.
class MemoryDisk final : public Disk {
 public:
  MemoryDisk();
  ~MemoryDisk() override;
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  Result<std::unique_ptr<DiskFile>> open(const std::string& path) override;
  Result<std::unique_ptr<DiskFile>> create(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> make_folders(const std::string& path) override;
  Result<void> sync_folder(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  bool exists(const std::string& path) override;

  /// All files together hold at most so many bytes; an append past that writes what fits and
  /// returns `disk_full`.
  void set_capacity(std::uint64_t bytes);
  /// After `skip` more operations, one returns `file_io` and changes nothing; the next ones work.
  void fail_one_operation(std::uint64_t skip);
  /// After `count` more operations the machine is off: every call fails until `reboot()`.
  void stop_after_operations(std::uint64_t count);
  /// The append that would write more than `count` more bytes stops there, and the machine is off.
  void stop_after_bytes(std::uint64_t count);
  /// The crash itself: takes away what it takes, turns the machine on, lifts every stop and
  /// failure. Files that were open return errors from now on.
  void reboot(Crash crash, std::uint64_t seed = 0);

  /// A file that is simply there, synced, with its folders.
  void put(const std::string& path, std::span<const std::byte> bytes);
  /// Flips one bit of a file, as a bad medium would. The file must have that byte.
  void flip_bit(const std::string& path, std::uint64_t offset, unsigned bit);

  [[nodiscard]] std::uint64_t operations() const;      ///< calls so far, failed ones included
  [[nodiscard]] std::uint64_t bytes_appended() const;  ///< written so far
  [[nodiscard]] std::uint64_t bytes_used() const;      ///< in all files now

 private:
  class State;
  class File;
  std::shared_ptr<State> state_;  // open files share it: one may outlive the disk
};

}  // namespace troupe::sim
