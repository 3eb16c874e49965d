#include "collate.hpp"

#include "philox.hpp"

#include <troupe/core/error.hpp>

#include <string>

namespace troupe::data {

ImageCollate::ImageCollate(
    std::shared_ptr<const ImageSet> set,
    std::span<const float> mean,
    std::span<const float> deviation,
    Augment augment,
    std::uint64_t seed)
    : set_(std::move(set)), augment_(augment), seed_(seed) {
  const auto channels = static_cast<std::size_t>(set_->channels);
  if (mean.size() != deviation.size() || (!mean.empty() && mean.size() != channels))
    throw Error(
        ErrorCode::invalid_argument,
        "mean and deviation have " + std::to_string(mean.size()) + " and " +
            std::to_string(deviation.size()) + " values for images of " + std::to_string(channels) +
            " channels");
  if (augment_.crop_padding < 0)
    throw Error(ErrorCode::invalid_argument, "the padding of random crops is negative");
  channels_.assign(channels, Affine{1.0f / 255, 0});
  for (std::size_t c = 0; c < mean.size(); ++c)
    channels_[c] = {1.0f / (255 * deviation[c]), -mean[c] / deviation[c]};
}

void ImageCollate::make(
    std::int64_t epoch,
    std::span<const std::uint32_t> samples,
    std::byte* inputs,
    std::int64_t* labels) const noexcept {
  const std::size_t size = set_->bytes_per_image();
  auto* images = reinterpret_cast<float*>(inputs);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::byte* image = set_->images.data() + samples[i] * size;
    if (augment_.any())
      copy_augmented(epoch, samples[i], image, images + i * size);
    else
      copy_plain(image, images + i * size);
    labels[i] = set_->labels[samples[i]];
  }
}

void ImageCollate::copy_plain(const std::byte* image, float* out) const noexcept {
  const auto plane = static_cast<std::size_t>(set_->height * set_->width);
  for (const Affine& channel : channels_) {
    for (std::size_t i = 0; i < plane; ++i)
      out[i] = static_cast<float>(std::to_integer<std::uint8_t>(image[i])) * channel.scale +
               channel.shift;
    image += plane;
    out += plane;
  }
}

void ImageCollate::copy_augmented(
    std::int64_t epoch, std::uint32_t sample, const std::byte* image, float* out) const noexcept {
  // Stream 2³² + epoch: apart from the orders, which are drawn from stream `epoch`. Three draws at
  // most are made, and a counter gives four.
  PhiloxDraws numbers(seed_, (std::uint64_t{1} << 32) + static_cast<std::uint64_t>(epoch), sample);
  const std::uint32_t range = 2 * static_cast<std::uint32_t>(augment_.crop_padding) + 1;
  const std::int64_t down = numbers.next() % range - augment_.crop_padding;
  const std::int64_t right = numbers.next() % range - augment_.crop_padding;
  const bool flipped = augment_.flip && (numbers.next() >> 31) != 0;

  const std::int64_t height = set_->height;
  const std::int64_t width = set_->width;
  for (const Affine& channel : channels_) {
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x) {
        const std::int64_t from_y = y + down;
        const std::int64_t from_x = (flipped ? width - 1 - x : x) + right;
        // What a crop takes from beyond the edge is black, as in a padded image.
        const bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
        const float pixel =
            inside
                ? static_cast<float>(std::to_integer<std::uint8_t>(image[from_y * width + from_x]))
                : 0;
        *out++ = pixel * channel.scale + channel.shift;
      }
    image += height * width;
  }
}

}  // namespace troupe::data
