#include "predict.hpp"

#include "picture.hpp"
#include "saved_model.hpp"
#include "session.hpp"

#include <troupe/data/idx.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/tensor/ops/softmax.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <vector>

namespace troupe::cli {

namespace {

/// Enough to keep all threads busy, and no more memory for ten thousand images than for these.
constexpr std::int64_t batch_size = 128;

/// The images of an IDX file, without labels, from `first` on.
data::ImageSet read_images(Disk& disk, const PredictOptions& options, const Shape& expected) {
  data::IdxArray array = data::read_idx(disk, options.images).value();
  const Shape& shape = array.shape;
  const bool grey = shape.size() == 3 && expected[0] == 1;
  const Shape image = grey                ? Shape{1, shape[1], shape[2]}
                      : shape.size() == 4 ? Shape{shape[1], shape[2], shape[3]}
                                          : Shape{};
  if (array.dtype != DType::uint8 || !(image == expected))
    throw Error(
        ErrorCode::shape_mismatch,
        options.images + " holds " + to_string(Meta{array.dtype, shape}) +
            "; the model takes uint8 images " + to_string(expected))
        .hint("give a file of images like those the model was trained on");
  if (options.first >= shape[0])
    throw Error(
        ErrorCode::invalid_argument,
        options.images + " holds " + std::to_string(shape[0]) + " images; there is no number " +
            std::to_string(options.first))
        .hint("images are counted from 0");

  data::ImageSet set{
      std::min(options.count, shape[0] - options.first), image[0], image[1], image[2], {}, {}};
  const auto from =
      array.bytes.begin() + static_cast<std::ptrdiff_t>(options.first * elements_in(image));
  set.images.assign(from, from + static_cast<std::ptrdiff_t>(set.count * elements_in(image)));
  set.labels.assign(static_cast<std::size_t>(set.count), 0);
  return set;
}

/// "  97.1 %  Ankle boot", the three likeliest.
std::string likeliest(std::span<const float> probabilities, const std::vector<std::string>& names) {
  std::vector<std::size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return probabilities[a] > probabilities[b];
  });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, order.size()); ++i) {
    char number[32];
    std::snprintf(
        number, sizeof number, "%6.1f %%  ", 100 * static_cast<double>(probabilities[order[i]]));
    text += number + names[order[i]] + "\n";
  }
  return text;
}

}  // namespace

int predict(const PredictOptions& options, Console& console) {
  Session session(options.machine, console);
  const Scope scope(session.system(), session.device());
  const NoGrad no_grad;
  const SavedModel saved = load_model(session.system().disk(), options.run);
  if (kind_of(saved.facts) == DataKind::text)
    throw Error(
        ErrorCode::invalid_argument,
        options.run + " is a gpt, which goes on with text and knows no images")
        .hint("troupe generate " + options.run + " --prompt \"Once\"");
  const Autocast products(saved.config.product_dtype());
  const auto& facts = std::get<ImageFacts>(saved.facts);
  const auto set = std::make_shared<const data::ImageSet>(
      read_images(session.system().disk(), options, facts.image));

  data::Loader loader(
      session.device(),
      set,
      facts.mean,
      facts.deviation,
      {.batch_size = batch_size, .shuffle = false});
  loader.begin_epoch(0);
  const std::size_t classes = facts.class_names.size();
  std::size_t number = 0;
  while (const std::optional<data::Batch> batch = loader.next()) {
    const std::vector<float> probabilities =
        softmax(saved.model(batch->inputs), 1).to_vector<float>();
    for (std::size_t at = 0; at < probabilities.size(); at += classes, ++number) {
      const std::size_t size = set->bytes_per_image();
      const auto pixels = std::span(set->images).subspan(number * size, size);
      console.print(
          "image " + std::to_string(options.first + static_cast<std::int64_t>(number)) + "\n");
      console.print(
          picture(pixels, set->channels, set->height, set->width, console.options().colour));
      console.print(
          likeliest(std::span(probabilities).subspan(at, classes), facts.class_names) + "\n");
    }
  }
  return 0;
}

}  // namespace troupe::cli
