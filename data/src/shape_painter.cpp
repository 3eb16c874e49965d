#include "shape_painter.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

// Nothing here calls sin or cos, whose last bit differs between libraries: additions,
// multiplications, divisions and square roots alone give the same bytes everywhere.

namespace troupe::data {
namespace {

/// Counter-based random numbers: the n-th of image i depends on seed, i and n alone. The mixing is
/// SplitMix64's (Steele, Lea, Flood 2014), applied to each of the three.
class Numbers {
 public:
  Numbers(std::uint64_t seed, std::uint64_t index) : key_(mix(mix(seed) ^ index)) {}

  std::uint64_t next() { return mix(key_ + golden * ++count_); }
  /// In [low, high).
  double between(double low, double high) {
    return low + (high - low) * (static_cast<double>(next() >> 11) * 0x1p-53);
  }
  /// In 0 … count−1.
  std::uint64_t below(std::uint64_t count) { return next() % count; }

 private:
  static constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;

  static std::uint64_t mix(std::uint64_t z) {
    z += golden;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t key_;
  std::uint64_t count_ = 0;
};

/// Red, green, blue, each 0 … 255.
using Colour = std::array<double, 3>;

Colour any_colour(Numbers& numbers) {
  return {numbers.between(0, 255), numbers.between(0, 255), numbers.between(0, 255)};
}

double distance(const Colour& a, const Colour& b) {
  return std::abs(a[0] - b[0]) + std::abs(a[1] - b[1]) + std::abs(a[2] - b[2]);
}

/// A colour that an eye can tell from the others: any that is far from them, or the best of 32.
Colour distinct_colour(Numbers& numbers, const Colour& a, const Colour& b) {
  constexpr double far = 160;
  Colour best{};
  double best_distance = -1;
  for (int tries = 0; tries < 32 && best_distance < far; ++tries) {
    const Colour colour = any_colour(numbers);
    const double nearest = std::min(distance(colour, a), distance(colour, b));
    if (nearest > best_distance) {
      best = colour;
      best_distance = nearest;
    }
  }
  return best;
}

/// A unit vector in a direction that is equally likely all around.
struct Direction {
  double x = 1;
  double y = 0;
};
Direction any_direction(Numbers& numbers) {
  while (true) {
    const double x = numbers.between(-1, 1);
    const double y = numbers.between(-1, 1);
    const double squared = x * x + y * y;
    if (squared < 0.01 || squared > 1) continue;
    const double length = std::sqrt(squared);
    return {x / length, y / length};
  }
}

/// How many of five half-planes, placed as a regular pentagon's sides, hold the point.
int pentagon_sides_holding(double u, double v, double reach) {
  // cos and sin of 90°, 162°, 234°, 306°, 18°.
  constexpr double normals[5][2] = {
      {0, 1},
      {-0.9510565162951535, 0.3090169943749474},
      {-0.5877852522924731, -0.8090169943749475},
      {0.5877852522924731, -0.8090169943749475},
      {0.9510565162951535, 0.3090169943749474}};
  int holding = 0;
  for (const auto& normal : normals) holding += u * normal[0] + v * normal[1] <= reach ? 1 : 0;
  return holding;
}

/// Whether the shape of that label covers the point (u, v); all shapes fit in the unit circle.
bool covers(std::uint8_t label, double u, double v) {
  const double squared = u * u + v * v;
  const double side = std::max(std::abs(u), std::abs(v));
  switch (label) {
    case 0:
      return squared <= 0.9 * 0.9;
    case 1:
      return squared <= 0.95 * 0.95 && squared >= 0.58 * 0.58;
    case 2:
      return side <= 0.7;
    case 3:
      return side <= 0.7 && side >= 0.42;
    case 4:
      return v >= -0.48 && 1.7320508075688772 * std::abs(u) + v <= 0.96;
    case 5:
      return side <= 0.92 && std::min(std::abs(u), std::abs(v)) <= 0.26;
    // A pentagram is what at least four of the five half-planes hold.
    case 6:
      return squared <= 1 && pentagon_sides_holding(u, v, 0.32) >= 4;
    case 7:
      return v >= -0.4 && u * u + (v + 0.4) * (v + 0.4) <= 0.9 * 0.9;
    case 8:
      return std::abs(u) <= 0.95 && std::abs(v) <= 0.24;
    default:
      return squared <= 0.95 * 0.95 && (u - 0.5) * (u - 0.5) + v * v >= 0.75 * 0.75;
  }
}

/// A shape's place in the image: pixels to the shape's own coordinates.
struct Frame {
  double x = 0;
  double y = 0;
  double radius = 1;
  Direction turn;

  /// Which part of the pixel at (column, row) the shape covers, by nine samples.
  [[nodiscard]] double coverage(std::uint8_t label, std::int64_t column, std::int64_t row) const {
    constexpr int samples = 3;
    int hits = 0;
    for (int i = 0; i < samples * samples; ++i) {
      const std::div_t at = std::div(i, samples);
      const double dx = (static_cast<double>(column) + (at.rem + 0.5) / samples - x) / radius;
      const double dy = (static_cast<double>(row) + (at.quot + 0.5) / samples - y) / radius;
      if (dx * dx + dy * dy > 1.02) continue;
      hits += covers(label, dx * turn.x + dy * turn.y, dy * turn.x - dx * turn.y) ? 1 : 0;
    }
    return static_cast<double>(hits) / (samples * samples);
  }
};

/// A frame of the given size range, far enough inside the image to show most of the shape.
Frame any_frame(Numbers& numbers, double radius_min, double radius_max) {
  Frame frame;
  frame.radius = numbers.between(radius_min, radius_max);
  const double margin = 0.85 * frame.radius;
  frame.x = numbers.between(margin, shape_side - margin);
  frame.y = numbers.between(margin, shape_side - margin);
  frame.turn = any_direction(numbers);
  return frame;
}

using Canvas = std::array<Colour, static_cast<std::size_t>(shape_side* shape_side)>;

void paint(Canvas& canvas, const Frame& frame, std::uint8_t label, const Colour& colour) {
  for (std::int64_t row = 0; row < shape_side; ++row) {
    for (std::int64_t column = 0; column < shape_side; ++column) {
      const double part = frame.coverage(label, column, row);
      if (part == 0) continue;
      Colour& pixel = canvas[static_cast<std::size_t>(row * shape_side + column)];
      for (std::size_t c = 0; c < 3; ++c) pixel[c] += part * (colour[c] - pixel[c]);
    }
  }
}

/// Two colours that fade into each other in some direction.
void paint_background(Canvas& canvas, Numbers& numbers, const Colour& a, const Colour& b) {
  const Direction fade = any_direction(numbers);
  Colour* pixel = canvas.data();
  for (std::int64_t row = 0; row < shape_side; ++row) {
    for (std::int64_t column = 0; column < shape_side; ++column, ++pixel) {
      const double x = (static_cast<double>(column) + 0.5) / shape_side - 0.5;
      const double y = (static_cast<double>(row) + 0.5) / shape_side - 0.5;
      const double part = std::clamp(0.5 + 0.8 * (x * fade.x + y * fade.y), 0.0, 1.0);
      for (std::size_t c = 0; c < 3; ++c) (*pixel)[c] = a[c] + part * (b[c] - a[c]);
    }
  }
}

}  // namespace

std::uint8_t paint_shape(
    std::uint64_t seed, std::uint64_t index, std::span<std::byte, shape_image_bytes> pixels) {
  Numbers numbers(seed, index);
  const auto label = static_cast<std::uint8_t>(numbers.below(std::size(shape_names)));
  const Colour background = any_colour(numbers);
  Colour fade = any_colour(numbers);
  for (std::size_t c = 0; c < 3; ++c) fade[c] = 0.6 * background[c] + 0.4 * fade[c];
  const Colour colour = distinct_colour(numbers, background, fade);

  Canvas canvas{};
  paint_background(canvas, numbers, background, fade);
  // Stray marks, small and any shape at all: colour and edges alone must not give the label away.
  for (std::uint64_t marks = numbers.below(4); marks > 0; --marks) {
    const auto mark = static_cast<std::uint8_t>(numbers.below(std::size(shape_names)));
    const Frame frame = any_frame(numbers, 1.5, 3);
    paint(canvas, frame, mark, any_colour(numbers));
  }
  paint(canvas, any_frame(numbers, 6, 13), label, colour);

  const double noise = numbers.between(2, 40);
  constexpr auto plane = static_cast<std::size_t>(shape_side * shape_side);
  for (std::size_t i = 0; i < plane; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      const double value = canvas[i][c] + numbers.between(-noise, noise);
      pixels[c * plane + i] = std::byte(static_cast<unsigned char>(std::clamp(value, 0.0, 255.0)));
    }
  }
  return label;
}

}  // namespace troupe::data
