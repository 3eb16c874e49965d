#pragma once

#include "shader.hpp"
#include "workgroups.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/tensor/value.hpp>
#include <troupe/vulkan/vulkan.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::vulkan {

/// What a launch that is cut into tiles depends on, as far as the best tile does. Sizes are told
/// apart by powers of two: what is found for one serves its neighbours.
struct TileKey {
  const Shader* shader = nullptr;
  std::uint32_t sizes[4] = {};  ///< `class_of` rows, columns, depth, matrices
  std::uint32_t variant = 0;    ///< all else that the shader's constants say
  Tile reference;               ///< what is taken where nothing is tuned

  static std::uint32_t class_of(std::uint64_t size) noexcept;
  bool operator==(const TileKey&) const = default;
};

/// What such a launch reads and writes.
struct TiledOperands {
  Value left;
  Value right;
  Value bias;  ///< or null
  Value out;
};

/// A launch that any of several tiles can do.
class TiledLaunch {
 public:
  /// Tiles to try against the reference, all of which add in its order unless `free`, when others
  /// may be among them. The same for equal keys.
  [[nodiscard]] virtual std::vector<Tile> candidates(bool free) const = 0;
  virtual void encode(const Tile& tile, const TiledOperands& operands) = 0;

 protected:
  ~TiledLaunch() = default;
};

/// What came of trying a candidate beside the reference, on the same random numbers.
struct TileOutcome {
  double ratio = 1;              ///< of the candidate's time to the reference's
  std::uint64_t other_bits = 0;  ///< elements of the result whose bits are not the reference's
  std::uint64_t wrong = 0;       ///< elements beyond what another order of adding may change
  bool failed = false;           ///< the device or its driver would not run it
  std::uint64_t cost_ns = 0;     ///< what the trial took, of the host and of the device
};

/// Which tile each kind of launch gets: the reference, until trials have shown a better one. Says
/// what to try next and decides; trials.hpp tries it.
///
/// Threads   any.
/// Bits      do not depend on what is chosen, unless `Tuning::free`: only candidates with the
///           reference's bits compete.
/// Disk      what was decided is kept in a file, for one driver and each shader's code. A file that
///           is not whole or not ours is ignored and written anew.
class Tuner {
 public:
  /// @param tuning   not `automatic`
  /// @param path     of the file; empty: none
  /// @param profile  of the driver: what others found is not taken
  /// @param descriptors  which of a shader's codes counts
  Tuner(Tuning tuning, Disk& disk, std::string path, std::string_view profile, bool descriptors);

  struct Choice {
    Tile tile;
    bool open = false;  ///< something is left to try: `next`
    bool decided = true;
  };
  [[nodiscard]] Choice choose(const TileKey& key, const TiledLaunch& launch);
  /// The candidate that is to be tried now, and `finish`ed.
  [[nodiscard]] std::optional<Tile> next(const TileKey& key);
  void finish(const TileKey& key, const Tile& candidate, const TileOutcome& outcome);
  /// Leaves a key at its reference, for this run: there is no room to try.
  void give_up(const TileKey& key);
  /// Writes the file, if something was decided since.
  void save() noexcept;

  [[nodiscard]] bool on() const noexcept { return tuning_ != Tuning::off; }
  /// Rises when a launch that was made before would now get another tile.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  /// Whether nothing of what has been launched so far is left to try or being tried.
  [[nodiscard]] bool settled() const noexcept { return undecided_ == 0; }

  struct Counts {
    std::atomic<std::uint64_t> trials{0};
    std::atomic<std::uint64_t> rejected{0};  ///< for other bits, wrong results, or failing
    std::atomic<std::uint64_t> decided{0};   ///< keys, by trials
    std::atomic<std::uint64_t> recalled{0};  ///< keys, by the file
  };
  Counts counts;
  /// Takes of each key's candidates this one, untried, counted from 1 and round again, so that
  /// tests reach them all; 0: does not. Set before the first launch.
  std::size_t always = 0;

  /// What all trials of a run may take together; then what is undecided waits for the next run.
  static constexpr std::uint64_t cost_ns_max = 20'000'000'000;

 private:
  struct Entry {
    Tile tile;
    std::vector<Tile> candidates;
    std::size_t tried = 0;
    std::size_t finished = 0;
    double best_ratio = 1;
    Tile best;
    bool decided = false;
    bool keep = false;  // by trials, or by the file
  };
  /// A key and its tile as the file holds them.
  struct Record {
    std::uint64_t shader = 0;  // checksum of its name and code
    std::uint32_t sizes[4] = {};
    std::uint32_t variant = 0;
    Tile reference;
    Tile tile;
    std::uint32_t unused = 0;
    [[nodiscard]] bool same_key(const Record& other) const noexcept;
  };
  struct Header;
  struct Hash {
    std::size_t operator()(const TileKey& key) const noexcept;
  };
  [[nodiscard]] Record record_of(const TileKey& key) const;
  void load();
  void decide(Entry& entry);

  const Tuning tuning_;
  Disk& disk_;
  const std::string path_;
  const std::uint64_t profile_;
  const bool descriptors_;
  std::mutex lock_;
  std::unordered_map<TileKey, Entry, Hash> entries_;
  std::vector<Record> recalled_;  // what the file held; of keys not met in this run, too
  std::uint64_t cost_ns_ = 0;
  bool unsaved_ = false;
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::uint64_t> undecided_{0};
};

}  // namespace troupe::vulkan
