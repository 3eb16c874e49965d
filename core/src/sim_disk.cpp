#include <troupe/core/sim_disk.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace troupe::sim {
namespace {

constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t sector_bytes = 512;

/// A file's bytes, as programs see them and as a power cut would leave them.
struct Content {
  std::vector<std::byte> live;
  std::vector<std::byte> durable;
  bool emptied = false;  ///< since the last sync: `durable` is then no prefix of `live`
};

struct Folder;

/// What a name stands for: a file, a folder or nothing. At most one of the two is set.
struct Entry {
  std::shared_ptr<Content> file;
  std::shared_ptr<Folder> folder;

  explicit operator bool() const { return file || folder; }
};

using Names = std::map<std::string, Entry>;

/// Changes of names in one folder that happen together or not at all; an entry that stands for
/// nothing takes its name away.
using Change = std::vector<std::pair<std::string, Entry>>;

struct Folder {
  Names live;
  Names durable;
  std::vector<Change> pending;  ///< what turns `durable` into `live`, in order

  void apply(const Change& change) {
    apply_to(live, change);
    pending.push_back(change);
  }
  void sync() {
    durable = live;
    pending.clear();
  }
  static void apply_to(Names& names, const Change& change) {
    for (const auto& [name, entry] : change) {
      if (entry) {
        names[name] = entry;
      } else {
        names.erase(name);
      }
    }
  }
};

/// The choices of a torn crash: SplitMix64 (Steele, Lea, Flood 2014).
class Chooser {
 public:
  explicit Chooser(std::uint64_t seed) : state_(seed) {}

  /// A number from 0 to `last`, both included.
  std::uint64_t up_to(std::uint64_t last) {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return last == never ? z : z % (last + 1);
  }

 private:
  std::uint64_t state_;
};

/// Turns a tree into what a crash leaves of it.
class Aftermath {
 public:
  Aftermath(Crash crash, std::uint64_t seed) : crash_(crash), choose_(seed) {}

  void strike(Folder& folder) {
    if (!seen_.insert(&folder).second) return;
    if (crash_ != Crash::process) {
      Names left = std::move(folder.durable);
      const std::uint64_t kept = crash_ == Crash::power ? 0 : choose_.up_to(folder.pending.size());
      for (std::uint64_t i = 0; i < kept; ++i) Folder::apply_to(left, folder.pending[i]);
      folder.live = std::move(left);
    }
    for (auto& [name, entry] : folder.live) {
      if (entry.folder) strike(*entry.folder);
      if (entry.file) strike(*entry.file);
    }
    folder.sync();
  }

 private:
  void strike(Content& content) {
    if (!seen_.insert(&content).second) return;
    if (crash_ == Crash::power) content.live = content.durable;
    if (crash_ == Crash::torn_power) tear(content);
    content.durable = content.live;
    content.emptied = false;
  }

  void tear(Content& content) {
    if (content.emptied && choose_.up_to(1) == 0) {
      content.live = content.durable;
      return;
    }
    const std::size_t safe = content.emptied ? 0 : content.durable.size();
    content.live.resize(safe + choose_.up_to(content.live.size() - safe));
    if (choose_.up_to(1) == 0) {
      // The file's length was written before its last sector was.
      const std::size_t torn = std::min(sector_bytes, content.live.size() - safe);
      std::fill_n(content.live.end() - static_cast<std::ptrdiff_t>(torn), torn, std::byte{0});
    }
  }

  Crash crash_;
  Chooser choose_;
  std::set<const void*> seen_;
};

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  while (start <= path.size()) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    std::string part = path.substr(start, end - start);
    if (!part.empty() && part != ".") parts.push_back(std::move(part));
    start = end + 1;
  }
  return parts;
}

std::uint64_t bytes_in(const Folder& folder) {
  std::uint64_t bytes = 0;
  for (const auto& [name, entry] : folder.live) {
    bytes += entry.folder ? bytes_in(*entry.folder) : entry.file->live.size();
  }
  return bytes;
}

Error not_found(const std::string& path) {
  return Error(ErrorCode::file_not_found, path + ": no such file or folder");
}
Error refused(const std::string& path, const char* why) {
  return Error(ErrorCode::file_io, path + ": " + why);
}

}  // namespace

class MemoryDisk::State {
 public:
  /// Where a path leads: the folder that holds its last name, and the entry if there is one.
  struct Place {
    std::shared_ptr<Folder> parent;
    std::string name;
    Entry entry;
  };

  /// Counts one operation; the error it must return, if it must.
  Result<void> begin(const std::string& path) {
    ++operations;
    if (off) return refused(path, "the simulated machine is off");
    if (stop_after == 0) {
      off = true;
      return refused(path, "the simulated machine stops here");
    }
    if (stop_after != never) --stop_after;
    if (fail_after != never && fail_after-- == 0) {
      fail_after = never;
      return refused(path, "a simulated failure");
    }
    return {};
  }

  /// Follows `path`; `file_not_found` unless the folder that would hold it is there.
  Result<Place> find(const std::string& path) {
    Place place{nullptr, "", Entry{nullptr, root}};
    for (const std::string& part : split(path)) {
      if (!place.entry.folder) return not_found(path);
      place.parent = place.entry.folder;
      place.name = part;
      const auto found = place.parent->live.find(part);
      place.entry = found == place.parent->live.end() ? Entry{} : found->second;
    }
    return place;
  }

  /// The folder at `path`.
  Result<std::shared_ptr<Folder>> find_folder(const std::string& path) {
    auto place = find(path);
    if (!place) return place.error();
    if (!place.value().entry.folder) return not_found(path);
    return place.value().entry.folder;
  }

  Result<void> append(const std::string& path, Content& content, std::span<const std::byte> bytes) {
    const std::uint64_t used = bytes_in(*root);
    const std::uint64_t room = capacity > used ? capacity - used : 0;
    const auto count = std::min<std::uint64_t>({bytes.size(), room, stop_after_bytes});
    content.live.insert(
        content.live.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes_appended += count;
    const bool stops = stop_after_bytes != never && bytes.size() > stop_after_bytes;
    if (stop_after_bytes != never) stop_after_bytes -= count;
    if (stops && count <= room) {
      off = true;
      return refused(path, "the simulated machine stops amid this write");
    }
    if (count < bytes.size()) {
      return Error(ErrorCode::disk_full, path + ": cannot write: no space left on the device");
    }
    return {};
  }

  std::mutex mutex;
  std::shared_ptr<Folder> root = std::make_shared<Folder>();
  std::uint64_t operations = 0;
  std::uint64_t bytes_appended = 0;
  std::uint64_t reboots = 0;
  std::uint64_t capacity = never;
  std::uint64_t fail_after = never;
  std::uint64_t stop_after = never;
  std::uint64_t stop_after_bytes = never;
  bool off = false;
};

/// An open file. It belongs to one life of the machine and is dead after the next `reboot()`.
class MemoryDisk::File final : public DiskFile {
 public:
  File(
      std::shared_ptr<State> state, std::shared_ptr<Content> content, std::string path, bool writes)
      : state_(std::move(state)),
        content_(std::move(content)),
        path_(std::move(path)),
        life_(state_->reboots),
        writes_(writes) {}

  Result<std::uint64_t> size() override {
    const std::lock_guard lock(state_->mutex);
    if (auto begun = begin(); !begun) return begun.error();
    return std::uint64_t{content_->live.size()};
  }

  Result<void> read(std::uint64_t offset, std::span<std::byte> into) override {
    const std::lock_guard lock(state_->mutex);
    if (auto begun = begin(); !begun) return begun;
    const std::uint64_t size = content_->live.size();
    if (offset > size || size - offset < into.size()) {
      const std::uint64_t there = std::max(offset, size) - offset;
      return file_error(
          ErrorCode::file_truncated,
          path_,
          size,
          "the file ends here, " + std::to_string(into.size() - there) + " bytes too early");
    }
    std::copy_n(
        content_->live.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }

  Result<void> append(std::span<const std::byte> bytes) override {
    const std::lock_guard lock(state_->mutex);
    if (auto begun = begin(); !begun) return begun;
    if (!writes_) return refused(path_, "is open for reading only");
    return state_->append(path_, *content_, bytes);
  }

  Result<void> sync() override {
    const std::lock_guard lock(state_->mutex);
    if (auto begun = begin(); !begun) return begun;
    content_->durable = content_->live;
    content_->emptied = false;
    return {};
  }

 private:
  Result<void> begin() {
    if (life_ != state_->reboots)
      return refused(path_, "was open when the simulated machine stopped");
    return state_->begin(path_);
  }

  std::shared_ptr<State> state_;
  std::shared_ptr<Content> content_;
  std::string path_;
  std::uint64_t life_;
  bool writes_;
};

MemoryDisk::MemoryDisk() : state_(std::make_shared<State>()) {}
MemoryDisk::~MemoryDisk() = default;

Result<std::unique_ptr<DiskFile>> MemoryDisk::open(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (auto begun = state_->begin(path); !begun) return begun.error();
  auto place = state_->find(path);
  if (!place) return place.error();
  if (!place.value().entry) return not_found(path);
  if (place.value().entry.folder) return refused(path, "cannot open: it is a folder");
  return std::unique_ptr<DiskFile>(new File(state_, place.value().entry.file, path, false));
}

Result<std::unique_ptr<DiskFile>> MemoryDisk::create(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (auto begun = state_->begin(path); !begun) return begun.error();
  auto found = state_->find(path);
  if (!found) return found.error();
  State::Place& place = found.value();
  if (place.entry && place.entry.folder) return refused(path, "cannot create: it is a folder");
  if (!place.entry) {
    place.entry = Entry{std::make_shared<Content>(), nullptr};
    place.parent->apply({{place.name, place.entry}});
  }
  Content& content = *place.entry.file;
  content.emptied = content.emptied || !content.durable.empty();
  content.live.clear();
  return std::unique_ptr<DiskFile>(new File(state_, place.entry.file, path, true));
}

Result<void> MemoryDisk::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(state_->mutex);
  if (auto begun = state_->begin(from); !begun) return begun;
  auto found_source = state_->find(from);
  if (!found_source) return found_source.error();
  auto found_target = state_->find(to);
  if (!found_target) return found_target.error();
  State::Place& source = found_source.value();
  State::Place& target = found_target.value();
  if (!source.entry) return not_found(from);
  if (source.name.empty() || target.name.empty()) return refused(from, "cannot rename the root");
  if (target.entry) {
    if (bool(target.entry.folder) != bool(source.entry.folder)) {
      return refused(to, "cannot rename a file over a folder or a folder over a file");
    }
    if (target.entry.folder && !target.entry.folder->live.empty()) {
      return refused(to, "cannot rename over a folder that is not empty");
    }
  }
  if (source.parent == target.parent) {
    if (source.name == target.name) return {};
    source.parent->apply({{source.name, Entry{}}, {target.name, source.entry}});
  } else {
    target.parent->apply({{target.name, source.entry}});
    source.parent->apply({{source.name, Entry{}}});
  }
  return {};
}

Result<void> MemoryDisk::remove(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (auto begun = state_->begin(path); !begun) return begun;
  auto place = state_->find(path);
  if (!place) return place.error();
  if (!place.value().entry) return not_found(path);
  const auto& folder = place.value().entry.folder;
  if (place.value().name.empty()) return refused(path, "cannot remove the root");
  if (folder && !folder->live.empty()) return refused(path, "cannot remove: not empty");
  place.value().parent->apply({{place.value().name, Entry{}}});
  return {};
}

Result<void> MemoryDisk::make_folders(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (auto begun = state_->begin(path); !begun) return begun;
  std::shared_ptr<Folder> folder = state_->root;
  for (const std::string& name : split(path)) {
    const auto found = folder->live.find(name);
    Entry entry;
    if (found != folder->live.end()) {
      entry = found->second;
      if (!entry.folder) return refused(path, "cannot make the folder: a file is in the way");
    } else {
      entry.folder = std::make_shared<Folder>();
      folder->apply({{name, entry}});
    }
    folder = entry.folder;
  }
  return {};
}

Result<void> MemoryDisk::sync_folder(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (auto begun = state_->begin(path); !begun) return begun;
  auto folder = state_->find_folder(path);
  if (!folder) return folder.error();
  folder.value()->sync();
  return {};
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (auto begun = state_->begin(path); !begun) return begun.error();
  auto folder = state_->find_folder(path);
  if (!folder) return folder.error();
  std::vector<std::string> names;
  for (const auto& [name, entry] : folder.value()->live) names.push_back(name);
  return names;
}

bool MemoryDisk::exists(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (state_->off) return false;
  auto place = state_->find(path);
  return place && bool(place.value().entry);
}

void MemoryDisk::set_capacity(std::uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->capacity = bytes;
}

void MemoryDisk::fail_one_operation(std::uint64_t skip) {
  const std::lock_guard lock(state_->mutex);
  state_->fail_after = skip;
}

void MemoryDisk::stop_after_operations(std::uint64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->stop_after = count;
}

void MemoryDisk::stop_after_bytes(std::uint64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->stop_after_bytes = count;
}

void MemoryDisk::reboot(Crash crash, std::uint64_t seed) {
  const std::lock_guard lock(state_->mutex);
  Aftermath(crash, seed).strike(*state_->root);
  ++state_->reboots;
  state_->off = false;
  state_->fail_after = state_->stop_after = state_->stop_after_bytes = never;
}

void MemoryDisk::put(const std::string& path, std::span<const std::byte> bytes) {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> parts = split(path);
  if (parts.empty()) throw Error(ErrorCode::invalid_argument, path + ": names no file");
  std::shared_ptr<Folder> folder = state_->root;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    Entry& entry = folder->live[parts[i]];
    if (entry.file) throw Error(ErrorCode::invalid_argument, path + ": a file is in the way");
    if (!entry.folder) entry.folder = std::make_shared<Folder>();
    folder->sync();
    folder = entry.folder;
  }
  auto content = std::make_shared<Content>();
  content->live.assign(bytes.begin(), bytes.end());
  content->durable = content->live;
  folder->live[parts.back()] = Entry{std::move(content), nullptr};
  folder->sync();
}

void MemoryDisk::flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
  const std::lock_guard lock(state_->mutex);
  auto place = state_->find(path);
  const auto& entry = place.value().entry;
  if (!entry.file || offset >= entry.file->live.size() || bit > 7) {
    throw Error(ErrorCode::invalid_argument, path + ": has no such bit to flip");
  }
  entry.file->live[offset] ^= std::byte{static_cast<unsigned char>(1U << bit)};
  entry.file->durable = entry.file->live;
}

std::uint64_t MemoryDisk::operations() const {
  const std::lock_guard lock(state_->mutex);
  return state_->operations;
}

std::uint64_t MemoryDisk::bytes_appended() const {
  const std::lock_guard lock(state_->mutex);
  return state_->bytes_appended;
}

std::uint64_t MemoryDisk::bytes_used() const {
  const std::lock_guard lock(state_->mutex);
  return bytes_in(*state_->root);
}

}  // namespace troupe::sim
