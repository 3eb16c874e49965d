#pragma once

#include "data_facts.hpp"
#include "run_config.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/io/checkpoint.hpp>
#include <troupe/io/tree.hpp>
#include <troupe/nn/state_dict.hpp>
#include <troupe/nn/trainer.hpp>

#include <string>
#include <vector>

namespace troupe::cli {

/// What `RunFolder::resume` found.
struct Resumed {
  io::Tree about;
  std::vector<std::string> notices;
};

/// What a resumed run must have in common with the saved one, for its bits to go on.
[[nodiscard]] io::Tree about_run(
    const RunConfig& config, const DataFacts& facts, const Device& device);

/// A line of metrics.jsonl. Of a text it has bits per byte in the place of accuracies, and counts
/// bytes.
[[nodiscard]] io::Tree metrics_line(const nn::EpochMetrics& epoch, DataKind kind);
/// A loss of so many nats for each byte, in bits.
[[nodiscard]] double bits_per_byte(double loss) noexcept;

/// A run on disk:
///
///   config.json         what was asked for, and what the data are
///   metrics.jsonl       a line for each epoch
///   model.safetensors   the weights, for any program
///   checkpoint/         all that an exact resume needs
///   lease.json          who may write here: a number that each process that trains counts up
///
/// Each file is replaced as a whole: a crash at any moment leaves the old or the new one.
class RunFolder {
 public:
  RunFolder(Disk& disk, std::string path) : disk_(&disk), path_(std::move(path)) {}

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string model_path() const { return path_ + "/model.safetensors"; }
  [[nodiscard]] std::string checkpoint_path() const { return path_ + "/checkpoint"; }
  /// Whether there is a run to go on with. A config alone is none: its first save failed.
  [[nodiscard]] bool exists() const;

  /// All throw what the disk answers.
  void write_config(const RunConfig& config, const DataFacts& facts);
  /// Throws `file_not_found` with a hint when the folder is no run.
  void read_config(RunConfig& config, DataFacts& facts) const;

  /// Makes this process the one that may write here; one that was before finds out at its next
  /// save. @returns  the run's own number: `fresh`, or what it was given when it began.
  std::uint64_t take_lease(std::uint64_t fresh);
  /// What `take_lease` would count up to.
  [[nodiscard]] std::uint64_t next_lease() const;
  /// The run's own number; 0 before anybody took the lease.
  [[nodiscard]] std::uint64_t run_number() const;

  /// Metrics, weights and checkpoint, as the trainer stands; a failure in the middle leaves what
  /// was there before usable. Throws `fenced`, and writes nothing, once another process has taken
  /// the lease.
  void save(nn::Trainer& trainer, const io::Tree& about, DataKind kind = DataKind::images);
  /// Puts the trainer where the newest whole checkpoint left it, and writes metrics and weights
  /// again where a save that was cut short left older ones. Throws also as `Trainer::restore`.
  /// @returns  what the checkpoint is about, and a line for each one that was passed over
  Resumed resume(nn::Trainer& trainer, DataKind kind = DataKind::images);

  /// The first free name runs/MODEL-N.
  [[nodiscard]] static std::string free_name(Disk& disk, const std::string& model);

 private:
  [[nodiscard]] io::Tree read_lease() const;
  void write_metrics(const std::string& lines);
  void write_weights(const nn::StateDict& weights);

  Disk* disk_;
  std::string path_;
  std::uint64_t lease_ = 0;  ///< 0: none was taken
};

}  // namespace troupe::cli
