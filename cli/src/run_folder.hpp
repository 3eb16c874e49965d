#pragma once

#include "run_config.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/data/dataset.hpp>
#include <troupe/io/checkpoint.hpp>
#include <troupe/io/tree.hpp>
#include <troupe/nn/state_dict.hpp>
#include <troupe/nn/trainer.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

/// What the images of a run are, so that a model can be used where its data set is not.
struct DataFacts {
  Shape image;  ///< channels, height, width
  std::int64_t train_count = 0;
  std::int64_t test_count = 0;
  std::vector<float> mean;
  std::vector<float> deviation;
  std::vector<std::string> class_names;

  [[nodiscard]] static DataFacts of(const data::ImageDataset& dataset);
  [[nodiscard]] io::Tree tree() const;
  /// Throws `file_mismatch` for what is missing, of another kind or in no data set.
  [[nodiscard]] static DataFacts from(const io::Tree& tree);
};

/// What `RunFolder::resume` found.
struct Resumed {
  io::Tree about;
  std::vector<std::string> notices;
};

/// A run on disk:
///
///   config.json         what was asked for, and what the images are
///   metrics.jsonl       a line for each epoch
///   model.safetensors   the weights, for any program
///   checkpoint/         all that an exact resume needs
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

  /// Metrics, weights and checkpoint, as the trainer stands; a failure in the middle leaves what
  /// was there before usable.
  void save(nn::Trainer& trainer, const io::Tree& about);
  /// Puts the trainer where the newest whole checkpoint left it, and writes metrics and weights
  /// again where a save that was cut short left older ones. Throws also as `Trainer::restore`.
  /// @returns  what the checkpoint is about, and a line for each one that was passed over
  Resumed resume(nn::Trainer& trainer);

  /// The first free name runs/MODEL-N.
  [[nodiscard]] static std::string free_name(Disk& disk, const std::string& model);

 private:
  void write_metrics(const std::string& lines);
  void write_weights(const nn::StateDict& weights);

  Disk* disk_;
  std::string path_;
};

}  // namespace troupe::cli
