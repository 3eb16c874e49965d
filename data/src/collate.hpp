#pragma once

#include <troupe/data/dataset.hpp>
#include <troupe/data/loader.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::data {

/// Turns chosen images of a set into one batch: bytes into normalized floats, crops and flips drawn
/// by (seed, epoch, sample). The same bits whoever does it.
///
/// Threads   immutable; any.
class Collate {
 public:
  /// @param mean, deviation  for each channel, of pixels scaled to [0, 1]; empty: pixels stay in
  /// [0, 1]
  Collate(
      std::shared_ptr<const ImageSet> set,
      std::span<const float> mean,
      std::span<const float> deviation,
      Augment augment,
      std::uint64_t seed);

  [[nodiscard]] const ImageSet& set() const noexcept { return *set_; }

  /// @param images  float32 [samples, channels, height, width]
  /// @param labels  int64 [samples]
  void operator()(
      std::int64_t epoch,
      std::span<const std::uint32_t> samples,
      std::span<float> images,
      std::span<std::int64_t> labels) const noexcept;

 private:
  /// One channel's pixels become pixel × scale + shift.
  struct Affine {
    float scale;
    float shift;
  };
  void copy_plain(const std::byte* image, float* out) const noexcept;
  void copy_augmented(
      std::int64_t epoch, std::uint32_t sample, const std::byte* image, float* out) const noexcept;

  std::shared_ptr<const ImageSet> set_;
  std::vector<Affine> channels_;
  Augment augment_;
  std::uint64_t seed_;
};

}  // namespace troupe::data
