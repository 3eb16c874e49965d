#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/io/host_tensor.hpp>
#include <troupe/io/tree.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::io {

/// All that a bit-exact resume needs: tensors (weights, optimizer states, …) and a tree of
/// everything else (epoch, step, random state, place in the data, metrics so far).
struct Archive {
  Tree meta;
  std::vector<HostTensor> tensors;
  /// The files that the two were read from, for errors; empty for an archive made in memory.
  std::string meta_path;
  std::string tensors_path;

  /// The tensor of that name, or null.
  [[nodiscard]] const HostTensor* find(std::string_view name) const noexcept;
};

/// An archive as one stretch of bytes, to be sent to another process: a safetensors file whose
/// metadata hold the tree. Throws as `write_safetensors`.
[[nodiscard]] std::vector<std::byte> encode_archive(const Archive& archive);
/// The archive again. `from` names the bytes in errors.
///
/// Errors   `file_corrupt`, `file_truncated` with the reason.
[[nodiscard]] Result<Archive> decode_archive(
    std::shared_ptr<const std::vector<std::byte>> bytes, const std::string& from);

/// What `load_checkpoint` found.
struct LoadedCheckpoint {
  Archive archive;
  std::string path;  ///< of the save that was read
  /// One line for each newer save that was passed over because it is damaged.
  std::vector<std::string> notices;
};

/// Saves into a checkpoint folder, which holds one folder for each save:
///
///   checkpoint/save-000012/state.safetensors   the tensors
///   checkpoint/save-000012/meta.json           the tree
///   checkpoint/save-000012/manifest            size and CRC-32 of both, and of itself
///
/// A save is written under another name, synced, and then renamed: the folder save-N is there whole
/// or not at all, and a crash at any byte leaves the saves before it as they were. The highest
/// number is the newest. There is no pointer file, for it could only disagree.
///
/// @param keep  so many of the newest saves stay, at least 1; older ones are removed afterwards.
/// @returns     the path of the new save.
/// Errors       `disk_full`, `file_io`: the previous saves are whole and the failed one is cleared
///              away as far as the disk allows; `invalid_argument` as `write_safetensors`.
[[nodiscard]] Result<std::string> save_checkpoint(
    Disk& disk, const std::string& folder, const Archive& archive, int keep = 2);

/// Loads the newest save that is whole, and says in `notices` which newer ones are not.
///
/// Errors   `file_not_found` when the folder holds no save; the newest save's error when none is
///          whole: `file_corrupt`, `file_truncated` with path, offset and reason; `file_mismatch`
///          for one of a newer format; `out_of_memory`.
[[nodiscard]] Result<LoadedCheckpoint> load_checkpoint(Disk& disk, const std::string& folder);

/// Whether the folder holds a save, damaged or not.
[[nodiscard]] bool has_checkpoint(Disk& disk, const std::string& folder);

}  // namespace troupe::io
