#pragma once

#include <troupe/data/dataset.hpp>
#include <troupe/data/loader.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace troupe::data {

/// Turns chosen samples of a set into one batch. The same bits whoever does it.
///
/// Threads   immutable; any.
class Collate {
 public:
  virtual ~Collate() = default;

  /// Samples of one epoch.
  [[nodiscard]] virtual std::int64_t samples() const noexcept = 0;
  /// What one sample is, and the shape of its labels, which are int64.
  [[nodiscard]] virtual Meta input() const = 0;
  [[nodiscard]] virtual Shape label() const = 0;

  /// Fills a batch: as many inputs and labels as there are samples, one after another.
  virtual void make(
      std::int64_t epoch,
      std::span<const std::uint32_t> samples,
      std::byte* inputs,
      std::int64_t* labels) const noexcept = 0;
};

/// Images: bytes become normalized floats, cropped and flipped as drawn by (seed, epoch, sample).
class ImageCollate final : public Collate {
 public:
  /// @param mean, deviation  for each channel, of pixels scaled to [0, 1]; empty: pixels stay in
  /// [0, 1]
  ImageCollate(
      std::shared_ptr<const ImageSet> set,
      std::span<const float> mean,
      std::span<const float> deviation,
      Augment augment,
      std::uint64_t seed);

  [[nodiscard]] std::int64_t samples() const noexcept override { return set_->count; }
  [[nodiscard]] Meta input() const override {
    return {DType::float32, {set_->channels, set_->height, set_->width}};
  }
  [[nodiscard]] Shape label() const override { return {}; }
  void make(
      std::int64_t epoch,
      std::span<const std::uint32_t> samples,
      std::byte* inputs,
      std::int64_t* labels) const noexcept override;

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
