#pragma once

#include "collate.hpp"

#include <troupe/data/text.hpp>

#include <cstdint>
#include <memory>
#include <span>

namespace troupe::data {

/// Cuts a text into windows: a sample is `context` bytes, and its labels are the bytes that come
/// after each.
///
/// Cuts   at multiples of the context. Those that move begin each epoch at another of the first
///        `context` bytes, drawn by (seed, epoch), so that the same byte is not always the first of
///        its window; what moves needs room, for which a text that has more has one window less.
/// Threads   immutable; any.
class TextWindows final : public Collate {
 public:
  /// Throws `invalid_argument` for a context below 1 and for a text without a window.
  TextWindows(
      std::shared_ptr<const Text> text, std::int64_t context, bool moving, std::uint64_t seed);

  [[nodiscard]] std::int64_t samples() const noexcept override { return windows_; }
  [[nodiscard]] Meta input() const override { return {DType::int64, {context_}}; }
  [[nodiscard]] Shape label() const override { return {context_}; }
  void make(
      std::int64_t epoch,
      std::span<const std::uint32_t> samples,
      std::byte* inputs,
      std::int64_t* labels) const noexcept override;

  /// The byte that an epoch's first window begins with.
  [[nodiscard]] std::int64_t first_byte(std::int64_t epoch) const noexcept;

 private:
  std::shared_ptr<const Text> text_;
  std::int64_t context_;
  std::int64_t windows_;
  std::int64_t places_ = 1;  // at which the first window may begin
  std::uint64_t seed_;
};

}  // namespace troupe::data
