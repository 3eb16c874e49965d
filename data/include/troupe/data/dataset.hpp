#pragma once

#include <troupe/core/disk.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::data {

/// Labelled images of one size, eight bits a channel. Immutable once loaded, and then shared by all
/// who read batches from it.
struct ImageSet {
  std::int64_t count = 0;
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::byte> images;     ///< uint8 [count, channels, height, width]
  std::vector<std::uint8_t> labels;  ///< one for each image, below the number of classes

  [[nodiscard]] std::size_t bytes_per_image() const noexcept {
    return static_cast<std::size_t>(channels * height * width);
  }
};

/// A data set for image classification: what to train on, what to test on, what the labels mean.
struct ImageDataset {
  std::string name;  ///< the spec it was opened by
  std::shared_ptr<const ImageSet> train;
  std::shared_ptr<const ImageSet> test;
  std::vector<std::string> class_names;  ///< by label

  /// Per channel, over the training images scaled to [0, 1]: what a batch is normalized by. The
  /// deviation is the population's, and 1 where all pixels are alike. Summed in integers, so the
  /// same on every machine.
  std::vector<float> mean;
  std::vector<float> deviation;
};

/// Opens a data set by its spec:
///
///   fashion-mnist   as Debian's package dataset-fashion-mnist installs it
///   idx:FOLDER      MNIST's four files: train-images-idx3-ubyte, train-labels-idx1-ubyte and the
///                   same for t10k, plain or with .gz
///   cifar10:FOLDER  CIFAR-10's binary version
///
/// Errors   `invalid_argument` for a spec of another form; `file_not_found` with a hint what to
///          install; `file_corrupt`, `file_truncated` with path, offset and reason.
[[nodiscard]] Result<ImageDataset> open_image_dataset(Disk& disk, std::string_view spec);

/// The images of one IDX pair. Images may be [count, height, width] or, for colour,
/// [count, channels, height, width]; labels are [count]. Both uint8.
[[nodiscard]] Result<ImageSet> read_idx_images(
    Disk& disk, const std::string& images_path, const std::string& labels_path);

}  // namespace troupe::data
