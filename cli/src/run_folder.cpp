#include "run_folder.hpp"

#include <troupe/io/safetensors.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace troupe::cli {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

template <class T, class Read>
std::vector<T> list_of(const io::Tree& tree, Read&& read) {
  std::vector<T> values;
  for (const io::Tree& value : tree.as_list()) values.push_back(static_cast<T>(read(value)));
  return values;
}

template <class T>
io::Tree tree_of(const std::vector<T>& values) {
  io::Tree::List list;
  for (const T& value : values) {
    if constexpr (std::is_same_v<T, float>)
      list.emplace_back(static_cast<double>(value));  // exact, and back
    else
      list.emplace_back(value);
  }
  return list;
}

void require(bool holds, const char* name, const char* reason) {
  if (!holds)
    throw Error(ErrorCode::file_mismatch, "'images': '" + std::string(name) + "' " + reason);
}

bool is_count(std::int64_t value, std::int64_t max) { return value >= 1 && value <= max; }

std::string lines_of(const std::vector<nn::EpochMetrics>& metrics) {
  std::string lines;
  for (const nn::EpochMetrics& epoch : metrics) lines += io::to_json(epoch.tree()) + "\n";
  return lines;
}

/// Whether a file holds these tensors and no others.
bool holds(Disk& disk, const std::string& path, const std::vector<io::HostTensor>& tensors) {
  const auto file = io::read_safetensors(disk, path);
  if (!file || file.value().tensors.size() != tensors.size()) return false;
  return std::all_of(tensors.begin(), tensors.end(), [&](const io::HostTensor& tensor) {
    const io::HostTensor* saved = file.value().find(tensor.name());
    return saved && saved->dtype() == tensor.dtype() && saved->shape() == tensor.shape() &&
           std::ranges::equal(saved->bytes(), tensor.bytes());
  });
}

}  // namespace

DataFacts DataFacts::of(const data::ImageDataset& dataset) {
  return {
      .image = {dataset.train->channels, dataset.train->height, dataset.train->width},
      .train_count = dataset.train->count,
      .test_count = dataset.test->count,
      .mean = dataset.mean,
      .deviation = dataset.deviation,
      .class_names = dataset.class_names};
}

io::Tree DataFacts::tree() const {
  return io::Tree::Map{
      {"image", tree_of(std::vector<std::int64_t>(image.begin(), image.end()))},
      {"train_count", train_count},
      {"test_count", test_count},
      {"mean", tree_of(mean)},
      {"deviation", tree_of(deviation)},
      {"class_names", tree_of(class_names)}};
}

DataFacts DataFacts::from(const io::Tree& tree) {
  const auto sizes = list_of<std::int64_t>(tree.at("image"), [](auto& t) { return t.as_int(); });
  constexpr std::int64_t count_max = std::int64_t{1} << 32;  // loaders number samples by 32 bits
  constexpr double pixels_max = 0x1p40;                      // of one image, which memory holds
  double pixels = 1;
  for (const std::int64_t size : sizes)
    pixels *= static_cast<double>(std::max<std::int64_t>(size, 0));
  require(
      sizes.size() == 3 && pixels >= 1 && pixels <= pixels_max,
      "image",
      "is not the shape of an image");
  DataFacts facts{
      .image = Shape(std::span(sizes)),
      .train_count = tree.at("train_count").as_int(),
      .test_count = tree.at("test_count").as_int(),
      .mean = list_of<float>(tree.at("mean"), [](auto& t) { return t.as_double(); }),
      .deviation = list_of<float>(tree.at("deviation"), [](auto& t) { return t.as_double(); }),
      .class_names =
          list_of<std::string>(tree.at("class_names"), [](auto& t) { return t.as_string(); })};
  require(is_count(facts.train_count, count_max), "train_count", "is no number of images");
  require(is_count(facts.test_count, count_max), "test_count", "is no number of images");
  const auto channels = static_cast<std::size_t>(sizes[0]);
  require(facts.mean.size() == channels, "mean", "has not one number for each channel");
  require(facts.deviation.size() == channels, "deviation", "has not one number for each channel");
  require(
      std::ranges::all_of(facts.mean, [](float x) { return std::isfinite(x); }),
      "mean",
      "is not finite");
  require(
      std::ranges::all_of(facts.deviation, [](float x) { return std::isfinite(x) && x > 0; }),
      "deviation",
      "is not above 0 and finite");
  // Labels are bytes.
  require(
      is_count(static_cast<std::int64_t>(facts.class_names.size()), 256),
      "class_names",
      "has not 1 to 256 names");
  return facts;
}

bool RunFolder::exists() const {
  return disk_->exists(path_ + "/config.json") && io::has_checkpoint(*disk_, checkpoint_path());
}

void RunFolder::write_config(const RunConfig& config, const DataFacts& facts) {
  io::Tree tree = config.tree();
  tree["images"] = facts.tree();
  disk_->make_folders(path_).value();
  disk_->replace(path_ + "/config.json", bytes_of(io::to_json(tree, 2) + "\n")).value();
}

void RunFolder::read_config(RunConfig& config, DataFacts& facts) const {
  const std::string file = path_ + "/config.json";
  if (!disk_->exists(file))
    throw Error(
        ErrorCode::file_not_found, path_ + " is not the folder of a run: it has no config.json")
        .hint("give the folder that 'troupe train --out' named");
  constexpr std::uint64_t bytes_max = 1 << 20;
  const std::vector<std::byte> bytes = disk_->read_all(file, bytes_max).value();
  const io::Tree tree =
      io::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file).value();
  try {
    config = RunConfig::from(tree);
    facts = DataFacts::from(tree.at("images"));
  } catch (const Error& error) {
    throw Error(error.code(), file + ": " + error.message())
        .hint("the file is from another version, or was edited");
  }
}

void RunFolder::save(nn::Trainer& trainer, const io::Tree& about) {
  // The checkpoint first: `resume` makes the other two from it again.
  (void)io::save_checkpoint(*disk_, checkpoint_path(), trainer.archive(about)).value();
  write_metrics(lines_of(trainer.metrics()));
  write_weights(trainer.task().model.state_dict());
}

Resumed RunFolder::resume(nn::Trainer& trainer) {
  auto loaded = io::load_checkpoint(*disk_, checkpoint_path());
  if (!loaded)
    throw Error(loaded.error())
        .hint(
            "without a checkpoint the run cannot go on; begin it anew with --out and a new folder");
  io::LoadedCheckpoint& checkpoint = loaded.value();
  trainer.restore(checkpoint.archive);

  const std::string lines = lines_of(trainer.metrics());
  const auto written = disk_->read_all(path_ + "/metrics.jsonl", lines.size());
  if (!written || !std::ranges::equal(written.value(), bytes_of(lines))) write_metrics(lines);
  const nn::StateDict weights = trainer.task().model.state_dict();
  if (!holds(*disk_, model_path(), nn::to_host(weights))) write_weights(weights);

  const io::Tree* about = checkpoint.archive.meta.find("about");
  return {about ? *about : io::Tree(), std::move(checkpoint.notices)};
}

void RunFolder::write_metrics(const std::string& lines) {
  disk_->replace(path_ + "/metrics.jsonl", bytes_of(lines)).value();
}

void RunFolder::write_weights(const nn::StateDict& weights) {
  nn::save(*disk_, model_path(), weights).value();
}

std::string RunFolder::free_name(Disk& disk, const std::string& model) {
  for (int number = 1;; ++number) {
    std::string name = "runs/" + model + "-" + std::to_string(number);
    if (!disk.exists(name)) return name;
  }
}

}  // namespace troupe::cli
