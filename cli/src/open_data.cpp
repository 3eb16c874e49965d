#include "open_data.hpp"

#include <troupe/data/cifar10.hpp>
#include <troupe/data/shapes10.hpp>

namespace troupe::cli {

data::ImageDataset open_data(Disk& disk, const std::string& spec, Console& console) {
  constexpr std::string_view shapes = "shapes10:";
  if (!spec.starts_with(shapes)) {
    auto dataset = data::open_image_dataset(disk, spec);
    if (dataset) return std::move(dataset).value();
    Error error = dataset.error();
    if (error.code() == ErrorCode::invalid_argument)
      error.hint("use fashion-mnist, idx:DIR, cifar10:DIR or shapes10:DIR");
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

}  // namespace troupe::cli
