#include "tuner.hpp"

#include "checksum.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <utility>

namespace troupe::vulkan {

namespace {

/// What a candidate must gain to be taken: clocks and caches make this much of nothing.
constexpr double ratio_max = 0.97;
constexpr std::size_t records_max = 4096;  // of the file

template <class T>
std::uint64_t checksum_of_array(std::span<const T> items, std::uint64_t seed) noexcept {
  return checksum_of(std::as_bytes(items), seed);
}
std::uint64_t checksum_of_text(std::string_view text, std::uint64_t seed) noexcept {
  return checksum_of_array(std::span<const char>(text.data(), text.size()), seed);
}

}  // namespace

struct Tuner::Header {
  char magic[8] = {'T', 'R', 'T', 'I', 'L', 'E', 'S', '1'};
  std::uint64_t profile = 0;
  std::uint32_t tuning = 0;
  std::uint32_t records = 0;
  std::uint64_t checksum = 0;  // of all else in the file

  [[nodiscard]] std::uint64_t sum_with(std::span<const std::byte> rest) const noexcept {
    Header bare = *this;
    bare.checksum = 0;
    return checksum_of(rest, checksum_of(std::as_bytes(std::span<const Header, 1>(&bare, 1))));
  }
};

std::uint32_t TileKey::class_of(std::uint64_t size) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(size - std::min<std::uint64_t>(size, 1)));
}

std::size_t Tuner::Hash::operator()(const TileKey& key) const noexcept {
  std::size_t hash = reinterpret_cast<std::uintptr_t>(key.shader) >> 4;
  const auto add = [&](std::uint32_t number) {
    hash = (hash ^ number) * std::size_t{0x9E3779B97F4A7C15};
  };
  for (const std::uint32_t size : key.sizes) add(size);
  add(key.variant);
  const Tile& tile = key.reference;
  for (const std::uint32_t number : {tile.group, tile.rows, tile.columns, tile.depth}) add(number);
  return hash ^ hash >> 29;
}

bool Tuner::Record::same_key(const Record& other) const noexcept {
  return shader == other.shader && std::equal(sizes, sizes + 4, other.sizes) &&
         variant == other.variant && reference == other.reference;
}

Tuner::Tuner(
    Tuning tuning, Disk& disk, std::string path, std::string_view profile, bool descriptors)
    : tuning_(tuning),
      disk_(disk),
      path_(std::move(path)),
      profile_(checksum_of_text(profile, checksum_of({}))),
      descriptors_(descriptors) {
  if (on() && !path_.empty()) load();
}

void Tuner::load() {
  static_assert(sizeof(Header) == 32 && sizeof(Record) == 72, "no gaps: the bytes go to disk");
  if (!disk_.exists(path_)) return;
  const auto bytes = disk_.read_all(path_, sizeof(Header) + records_max * sizeof(Record));
  Header header;
  const Header own;
  if (!bytes || bytes.value().size() < sizeof header) return;
  const std::span<const std::byte> rest = std::span(bytes.value()).subspan(sizeof header);
  std::memcpy(&header, bytes.value().data(), sizeof header);
  if (std::memcmp(header.magic, own.magic, sizeof own.magic) != 0 || header.profile != profile_ ||
      header.tuning != static_cast<std::uint32_t>(tuning_) ||
      rest.size() != header.records * sizeof(Record) || header.checksum != header.sum_with(rest))
    return;
  recalled_.resize(header.records);
  std::memcpy(recalled_.data(), rest.data(), rest.size());
}

void Tuner::save() noexcept {
  const std::lock_guard lock(lock_);
  if (!unsaved_ || path_.empty()) return;
  try {
    std::vector<Record> records;
    for (const auto& [key, entry] : entries_) {
      if (!entry.keep || records.size() == records_max) continue;
      records.push_back(record_of(key));
      records.back().tile = entry.tile;
    }
    const std::size_t own = records.size();
    for (const Record& old : recalled_) {
      const auto same = [&](const Record& mine) { return mine.same_key(old); };
      const auto end = records.begin() + static_cast<std::ptrdiff_t>(own);
      if (records.size() < records_max && std::none_of(records.begin(), end, same))
        records.push_back(old);
    }
    const auto rest = std::as_bytes(std::span<const Record>(records));
    Header header;
    header.profile = profile_;
    header.tuning = static_cast<std::uint32_t>(tuning_);
    header.records = static_cast<std::uint32_t>(records.size());
    header.checksum = header.sum_with(rest);
    std::vector<std::byte> bytes(sizeof header + rest.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, rest.data(), rest.size());
    // A file that cannot be written costs time, not more.
    if (disk_.make_folders(folder_of(path_)) && disk_.replace(path_, bytes)) unsaved_ = false;
  } catch (const std::bad_alloc&) {  // the same
  }
}

Tuner::Record Tuner::record_of(const TileKey& key) const {
  Record record;
  const Shader& shader = *key.shader;
  record.shader = checksum_of_array(
      descriptors_ ? shader.by_descriptor : shader.by_address,
      checksum_of_text(shader.variant, checksum_of_text(shader.name, checksum_of({}))));
  std::copy(std::begin(key.sizes), std::end(key.sizes), record.sizes);
  record.variant = key.variant;
  record.reference = key.reference;
  return record;
}

Tuner::Choice Tuner::choose(const TileKey& key, const TiledLaunch& launch) {
  if (!on()) return {key.reference, false, true};
  const std::lock_guard lock(lock_);
  const auto [found, first] = entries_.try_emplace(key);
  Entry& entry = found->second;
  if (first) {
    entry.tile = entry.best = key.reference;
    entry.candidates = launch.candidates(tuning_ == Tuning::free);
    if (always != 0 && !entry.candidates.empty())
      entry.tile = entry.candidates[(always - 1) % entry.candidates.size()];
    entry.decided = always != 0;
    const Record record = record_of(key);
    for (const Record& old : recalled_) {
      if (entry.decided || !old.same_key(record)) continue;
      // Only what could have been found: the file says which, never what there is.
      const auto& all = entry.candidates;
      if (old.tile != key.reference && std::find(all.begin(), all.end(), old.tile) == all.end())
        continue;
      entry.tile = old.tile;
      entry.decided = entry.keep = true;
      ++counts.recalled;
      break;
    }
    if (!entry.decided) {
      ++undecided_;
      if (entry.candidates.empty() || cost_ns_ >= cost_ns_max) decide(entry);
    }
  }
  return {entry.tile, entry.tried < entry.candidates.size() && !entry.decided, entry.decided};
}

std::optional<Tile> Tuner::next(const TileKey& key) {
  const std::lock_guard lock(lock_);
  Entry& entry = entries_.at(key);
  if (entry.decided || entry.tried == entry.candidates.size()) return std::nullopt;
  if (cost_ns_ >= cost_ns_max) {
    decide(entry);
    return std::nullopt;
  }
  ++counts.trials;
  return entry.candidates[entry.tried++];
}

void Tuner::finish(const TileKey& key, const Tile& candidate, const TileOutcome& outcome) {
  const std::lock_guard lock(lock_);
  Entry& entry = entries_.at(key);
  cost_ns_ += outcome.cost_ns;
  const bool fits =
      !outcome.failed && outcome.wrong == 0 && (tuning_ == Tuning::free || outcome.other_bits == 0);
  if (!fits) ++counts.rejected;
  if (entry.decided) return;
  ++entry.finished;
  if (fits && outcome.ratio <= ratio_max && outcome.ratio < entry.best_ratio) {
    entry.best = candidate;
    entry.best_ratio = outcome.ratio;
  }
  if (entry.finished < entry.candidates.size()) return;
  if (entry.best != entry.tile) {
    entry.tile = entry.best;
    ++version_;
  }
  entry.keep = unsaved_ = true;
  ++counts.decided;
  decide(entry);
}

void Tuner::give_up(const TileKey& key) {
  const std::lock_guard lock(lock_);
  Entry& entry = entries_.at(key);
  if (!entry.decided) decide(entry);
}

void Tuner::decide(Entry& entry) {
  entry.decided = true;
  --undecided_;
}

}  // namespace troupe::vulkan
