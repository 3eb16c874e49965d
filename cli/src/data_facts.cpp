#include "data_facts.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>

namespace troupe::cli {

namespace {

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

void require(bool holds, const char* of, const char* name, const char* reason) {
  if (!holds)
    throw Error(
        ErrorCode::file_mismatch,
        "'" + std::string(of) + "': '" + std::string(name) + "' " + reason);
}

bool is_count(std::int64_t value, std::int64_t max) { return value >= 1 && value <= max; }

constexpr const char* images = "images";
constexpr const char* text = "text";

}  // namespace

ImageFacts ImageFacts::of(const data::ImageDataset& dataset) {
  return {
      .image = {dataset.train->channels, dataset.train->height, dataset.train->width},
      .train_count = dataset.train->count,
      .test_count = dataset.test->count,
      .mean = dataset.mean,
      .deviation = dataset.deviation,
      .class_names = dataset.class_names};
}

io::Tree ImageFacts::tree() const {
  return io::Tree::Map{
      {"image", tree_of(std::vector<std::int64_t>(image.begin(), image.end()))},
      {"train_count", train_count},
      {"test_count", test_count},
      {"mean", tree_of(mean)},
      {"deviation", tree_of(deviation)},
      {"class_names", tree_of(class_names)}};
}

ImageFacts ImageFacts::from(const io::Tree& tree) {
  const auto sizes = list_of<std::int64_t>(tree.at("image"), [](auto& t) { return t.as_int(); });
  constexpr std::int64_t count_max = std::int64_t{1} << 32;  // loaders number samples by 32 bits
  constexpr double pixels_max = 0x1p40;                      // of one image, which memory holds
  double pixels = 1;
  for (const std::int64_t size : sizes)
    pixels *= static_cast<double>(std::max<std::int64_t>(size, 0));
  require(
      sizes.size() == 3 && pixels >= 1 && pixels <= pixels_max,
      images,
      "image",
      "is not the shape of an image");
  ImageFacts facts{
      .image = Shape(std::span(sizes)),
      .train_count = tree.at("train_count").as_int(),
      .test_count = tree.at("test_count").as_int(),
      .mean = list_of<float>(tree.at("mean"), [](auto& t) { return t.as_double(); }),
      .deviation = list_of<float>(tree.at("deviation"), [](auto& t) { return t.as_double(); }),
      .class_names =
          list_of<std::string>(tree.at("class_names"), [](auto& t) { return t.as_string(); })};
  require(is_count(facts.train_count, count_max), images, "train_count", "is no number of images");
  require(is_count(facts.test_count, count_max), images, "test_count", "is no number of images");
  const auto channels = static_cast<std::size_t>(sizes[0]);
  require(facts.mean.size() == channels, images, "mean", "has not one number for each channel");
  require(
      facts.deviation.size() == channels,
      images,
      "deviation",
      "has not one number for each channel");
  require(
      std::ranges::all_of(facts.mean, [](float x) { return std::isfinite(x); }),
      images,
      "mean",
      "is not finite");
  require(
      std::ranges::all_of(facts.deviation, [](float x) { return std::isfinite(x) && x > 0; }),
      images,
      "deviation",
      "is not above 0 and finite");
  // Labels are bytes.
  require(
      is_count(static_cast<std::int64_t>(facts.class_names.size()), 256),
      images,
      "class_names",
      "has not 1 to 256 names");
  return facts;
}

TextFacts TextFacts::of(const data::TextDataset& dataset) {
  return {
      .bytes = static_cast<std::int64_t>(dataset.train->bytes.size() + dataset.test->bytes.size()),
      .crc32 = dataset.crc32};
}

io::Tree TextFacts::tree() const { return io::Tree::Map{{"bytes", bytes}, {"crc32", crc32}}; }

TextFacts TextFacts::from(const io::Tree& tree) {
  const TextFacts facts{.bytes = tree.at("bytes").as_int(), .crc32 = tree.at("crc32").as_int()};
  require(is_count(facts.bytes, std::int64_t{1} << 53), text, "bytes", "is no size of a text");
  require(facts.crc32 >= 0 && facts.crc32 < std::int64_t{1} << 32, text, "crc32", "is no CRC-32");
  return facts;
}

DataKind kind_of(const DataFacts& facts) {
  return std::holds_alternative<TextFacts>(facts) ? DataKind::text : DataKind::images;
}

DataFacts facts_of(const Dataset& dataset) {
  if (const auto* opened = std::get_if<data::TextDataset>(&dataset)) return TextFacts::of(*opened);
  return ImageFacts::of(std::get<data::ImageDataset>(dataset));
}

void put_facts(io::Tree& tree, const DataFacts& facts) {
  tree[kind_of(facts) == DataKind::text ? text : images] =
      std::visit([](const auto& known) { return known.tree(); }, facts);
}

DataFacts take_facts(const io::Tree& tree) {
  if (const io::Tree* found = tree.find(text)) return TextFacts::from(*found);
  return ImageFacts::from(tree.at(images));
}

std::string described(const DataFacts& facts) {
  if (const auto* known = std::get_if<TextFacts>(&facts))
    return "a text of " + std::to_string(known->bytes) + " bytes";
  return "images " + to_string(std::get<ImageFacts>(facts).image);
}

std::string contents_of(const Dataset& dataset) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  const auto add = [&](std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes)
      hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001B3U;
  };
  if (const auto* text = std::get_if<data::TextDataset>(&dataset)) {
    for (const auto& part : {text->train, text->test}) add(std::as_bytes(std::span(part->bytes)));
  } else {
    const auto& opened = std::get<data::ImageDataset>(dataset);
    for (const auto& part : {opened.train, opened.test}) {
      add(part->images);
      add(std::as_bytes(std::span(part->labels)));
    }
  }
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

data::Loader make_loader(
    Device& device,
    const Dataset& dataset,
    Part part,
    const DataFacts& facts,
    std::int64_t context,
    const data::LoaderOptions& options) {
  if (const auto* opened = std::get_if<data::TextDataset>(&dataset))
    return {device, part == Part::train ? opened->train : opened->test, context, options};
  const auto& opened = std::get<data::ImageDataset>(dataset);
  const auto& known = std::get<ImageFacts>(facts);
  return {
      device,
      part == Part::train ? opened.train : opened.test,
      known.mean,
      known.deviation,
      options};
}

}  // namespace troupe::cli
