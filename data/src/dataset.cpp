#include "pixel_statistics.hpp"

#include <troupe/data/cifar10.hpp>
#include <troupe/data/dataset.hpp>
#include <troupe/data/idx.hpp>

#include <algorithm>
#include <utility>

namespace troupe::data {
namespace {

constexpr std::string_view fashion_mnist_folder = "/usr/share/datasets/fashion-mnist";

std::string shape_text(const std::string& path, const IdxArray& array) {
  return path + ": holds " + std::string(name_of(array.dtype)) + " " + to_string(array.shape);
}

/// Header bytes before an IDX file's first element.
std::uint64_t header_bytes(const IdxArray& array) { return 4 + 4 * array.shape.size(); }

/// `name` or `name`.gz in `folder`, whichever is there; the error names both.
Result<std::string> find_idx(Disk& disk, const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  if (disk.exists(path)) return path;
  if (disk.exists(path + ".gz")) return path + ".gz";
  return Error(ErrorCode::file_not_found, path + ": no such file, and none with .gz either");
}

Result<ImageSet> read_split(Disk& disk, const std::string& folder, const std::string& split) {
  auto images = find_idx(disk, folder, split + "-images-idx3-ubyte");
  if (!images) return images.error();
  auto labels = find_idx(disk, folder, split + "-labels-idx1-ubyte");
  if (!labels) return labels.error();
  return read_idx_images(disk, images.value(), labels.value());
}

Result<ImageDataset> read_idx_folder(Disk& disk, const std::string& folder) {
  auto train = read_split(disk, folder, "train");
  if (!train) return train.error();
  auto test = read_split(disk, folder, "t10k");
  if (!test) return test.error();
  const ImageSet& a = train.value();
  const ImageSet& b = test.value();
  if (a.channels != b.channels || a.height != b.height || a.width != b.width) {
    return Error(
        ErrorCode::file_mismatch,
        folder + ": training and test images differ in size: " +
            to_string(Shape{a.channels, a.height, a.width}) + " and " +
            to_string(Shape{b.channels, b.height, b.width}));
  }
  ImageDataset dataset;
  const std::uint8_t highest = std::max(
      *std::max_element(a.labels.begin(), a.labels.end()),
      *std::max_element(b.labels.begin(), b.labels.end()));
  for (int label = 0; label <= highest; ++label) {
    dataset.class_names.push_back(std::to_string(label));
  }
  dataset.train = std::make_shared<const ImageSet>(std::move(train).value());
  dataset.test = std::make_shared<const ImageSet>(std::move(test).value());
  measure_pixels(dataset);
  return dataset;
}

Result<ImageDataset> read_fashion_mnist(Disk& disk) {
  auto dataset = read_idx_folder(disk, std::string(fashion_mnist_folder));
  if (!dataset) {
    if (dataset.error().code() != ErrorCode::file_not_found) return dataset;
    return Error(dataset.error()).hint("install it with: apt-get install dataset-fashion-mnist");
  }
  if (dataset.value().class_names.size() > 10) {
    return Error(
        ErrorCode::file_mismatch,
        std::string(fashion_mnist_folder) + ": has labels above 9, so it is not Fashion-MNIST");
  }
  dataset.value().class_names = {
      "T-shirt/top",
      "Trouser",
      "Pullover",
      "Dress",
      "Coat",
      "Sandal",
      "Shirt",
      "Sneaker",
      "Bag",
      "Ankle boot"};
  return dataset;
}

}  // namespace

Result<ImageSet> read_idx_images(
    Disk& disk, const std::string& images_path, const std::string& labels_path) {
  auto images = read_idx(disk, images_path);
  if (!images) return images.error();
  const Shape& shape = images.value().shape;
  const bool right_rank = shape.size() == 3 || shape.size() == 4;
  if (images.value().dtype != DType::uint8 || !right_rank) {
    return Error(
        ErrorCode::file_mismatch,
        shape_text(images_path, images.value()) + ", where uint8 images of rank 3 or 4 belong");
  }
  if (elements_in(shape) == 0) {
    return Error(ErrorCode::file_mismatch, shape_text(images_path, images.value()) + ": no images");
  }
  auto labels = read_idx(disk, labels_path);
  if (!labels) return labels.error();
  if (labels.value().dtype != DType::uint8 || labels.value().shape.size() != 1) {
    return Error(
        ErrorCode::file_mismatch,
        shape_text(labels_path, labels.value()) + ", where uint8 labels of rank 1 belong");
  }
  if (labels.value().shape[0] != shape[0]) {
    return file_error(
        ErrorCode::file_mismatch,
        labels_path,
        header_bytes(labels.value()),
        std::to_string(labels.value().shape[0]) + " labels for the " + std::to_string(shape[0]) +
            " images of " + images_path);
  }
  ImageSet set;
  set.count = shape[0];
  set.channels = shape.size() == 4 ? shape[1] : 1;
  set.height = shape[shape.size() - 2];
  set.width = shape.back();
  set.images = std::move(images.value().bytes);
  set.labels.reserve(static_cast<std::size_t>(set.count));
  for (const std::byte label : labels.value().bytes) {
    set.labels.push_back(std::to_integer<std::uint8_t>(label));
  }
  return set;
}

Result<ImageDataset> open_image_dataset(Disk& disk, std::string_view spec) {
  const auto open = [&]() -> Result<ImageDataset> {
    if (spec == "fashion-mnist") return read_fashion_mnist(disk);
    const std::size_t colon = spec.find(':');
    const std::string_view kind = spec.substr(0, colon);
    const std::string folder(colon == std::string_view::npos ? "" : spec.substr(colon + 1));
    if (kind == "idx" && !folder.empty()) return read_idx_folder(disk, folder);
    if (kind == "cifar10" && !folder.empty()) return read_cifar10(disk, folder);
    return Error(ErrorCode::invalid_argument, "no data set is called '" + std::string(spec) + "'")
        .hint("use fashion-mnist, idx:FOLDER or cifar10:FOLDER");
  };
  auto dataset = open();
  if (dataset) dataset.value().name = spec;
  return dataset;
}

}  // namespace troupe::data
