#include "open_data.hpp"

#include <troupe/data/cifar10.hpp>
#include <troupe/data/shapes10.hpp>

namespace troupe::cli {

namespace {

data::TextDataset open_text(Disk& disk, const std::string& spec, std::int64_t context) {
  const std::string path = spec.substr(text_prefix.size());
  if (path.empty())
    throw Error(ErrorCode::invalid_argument, "text: names no file")
        .hint("--data text:book.txt trains on that file");
  auto dataset = data::open_text_dataset(disk, path, context);
  if (dataset) return std::move(dataset).value();
  Error error = dataset.error();
  if (error.hint().empty()) error.hint("text:FILE takes the name of a file of text, plain or .gz");
  throw error;
}

}  // namespace

Dataset open_data(Disk& disk, const std::string& spec, std::int64_t context, Console& console) {
  if (spec.starts_with(text_prefix)) return open_text(disk, spec, context);
  constexpr std::string_view shapes = "shapes10:";
  if (!spec.starts_with(shapes)) {
    auto dataset = data::open_image_dataset(disk, spec);
    if (dataset) return std::move(dataset).value();
    Error error = dataset.error();
    if (error.code() == ErrorCode::invalid_argument)
      error.hint("use fashion-mnist, idx:DIR, cifar10:DIR, shapes10:DIR or text:FILE");
    else if (error.code() == ErrorCode::file_not_found && error.hint().empty())
      error.hint("the folder must hold the files that data sets of this layout come in");
    throw error;
  }
  const std::string folder = spec.substr(shapes.size());
  if (folder.empty())
    throw Error(ErrorCode::invalid_argument, "shapes10: names no folder")
        .hint("--data shapes10:shapes makes the images in the folder 'shapes'");
  // The test batch is written last: with it, the folder is whole.
  if (!disk.exists(folder + "/test_batch.bin")) {
    constexpr std::uint64_t seed = 10;
    console.say("making 12,000 images of shapes in " + folder);
    data::write_shapes10(disk, folder, seed, 10'000, 2'000).value();
  }
  data::ImageDataset dataset = data::read_cifar10(disk, folder).value();
  dataset.name = spec;
  return dataset;
}

data::LoaderOptions loader_options(const RunConfig& config, bool training) {
  data::LoaderOptions options{
      .batch_size = config.batch_size,
      .shuffle = training,
      .seed = static_cast<std::uint64_t>(config.seed),
      .samples_max = config.limit};
  if (training) options.shards.of = config.shards;
  if (training && config.augment) options.augment = {.crop_padding = 2, .flip = true};
  return options;
}

}  // namespace troupe::cli
