#include "picture.hpp"

#include <array>
#include <string_view>

namespace troupe::cli {

namespace {

using Colour = std::array<int, 3>;

/// Reads pixels by place; below the last row everything is black.
class Pixels {
 public:
  Pixels(
      std::span<const std::byte> bytes,
      std::int64_t channels,
      std::int64_t height,
      std::int64_t width)
      : bytes_(bytes), channels_(channels), height_(height), width_(width) {}

  [[nodiscard]] Colour at(std::int64_t y, std::int64_t x) const {
    if (y >= height_) return {};
    Colour colour{};
    for (std::int64_t c = 0; c < 3; ++c) {
      const std::int64_t channel = channels_ >= 3 ? c : 0;
      const std::int64_t place = (channel * height_ + y) * width_ + x;
      colour[static_cast<std::size_t>(c)] =
          std::to_integer<int>(bytes_[static_cast<std::size_t>(place)]);
    }
    return colour;
  }

 private:
  std::span<const std::byte> bytes_;
  std::int64_t channels_;
  std::int64_t height_;
  std::int64_t width_;
};

std::string code(int layer, const Colour& colour) {
  return "\x1b[" + std::to_string(layer) + ";2;" + std::to_string(colour[0]) + ";" +
         std::to_string(colour[1]) + ";" + std::to_string(colour[2]) + "m";
}

/// The eye's weights for red, green and blue, of Rec. 709.
double brightness(const Colour& colour) {
  return (0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]) / 255;
}

}  // namespace

std::string picture(
    std::span<const std::byte> bytes,
    std::int64_t channels,
    std::int64_t height,
    std::int64_t width,
    bool colour) {
  static constexpr std::string_view shades = " .:-=+*#%@";
  const Pixels pixels(bytes, channels, height, width);
  std::string text;
  for (std::int64_t y = 0; y < height; y += 2) {
    for (std::int64_t x = 0; x < width; ++x) {
      const Colour upper = pixels.at(y, x);
      const Colour lower = pixels.at(y + 1, x);
      if (colour) {
        text += code(38, upper) + code(48, lower) + "▀";
      } else {
        const double mean = (brightness(upper) + brightness(lower)) / 2;
        text += shades[static_cast<std::size_t>(mean * 9.999)];
      }
    }
    text += colour ? "\x1b[0m\n" : "\n";
  }
  return text;
}

}  // namespace troupe::cli
