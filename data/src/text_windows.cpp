#include "text_windows.hpp"

#include "philox.hpp"

#include <troupe/core/error.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace troupe::data {

TextWindows::TextWindows(
    std::shared_ptr<const Text> text, std::int64_t context, bool moving, std::uint64_t seed)
    : text_(std::move(text)), context_(context), seed_(seed) {
  const auto bytes = text_ ? static_cast<std::int64_t>(text_->bytes.size()) : 0;
  windows_ = context_ > 0 ? windows_in(bytes, context_) : 0;
  if (windows_ < 1)
    throw Error(
        ErrorCode::invalid_argument,
        "a text of " + std::to_string(bytes) + " bytes has no window of " +
            std::to_string(context_) + " and one more")
        .hint("give a longer text or a smaller context");
  if (!moving) return;
  windows_ = std::max<std::int64_t>(1, windows_ - 1);
  places_ = std::min(context_, bytes - windows_ * context_);
}

std::int64_t TextWindows::first_byte(std::int64_t epoch) const noexcept {
  // Stream 2³² + epoch: apart from the orders, which are drawn from stream `epoch`.
  PhiloxDraws numbers(seed_, (std::uint64_t{1} << 32) + static_cast<std::uint64_t>(epoch));
  return static_cast<std::int64_t>(numbers.below(static_cast<std::uint64_t>(places_)));
}

void TextWindows::make(
    std::int64_t epoch,
    std::span<const std::uint32_t> samples,
    std::byte* inputs,
    std::int64_t* labels) const noexcept {
  auto* input = reinterpret_cast<std::int64_t*>(inputs);
  const std::byte* begin = text_->bytes.data() + first_byte(epoch);
  for (const std::uint32_t sample : samples) {
    const std::byte* window = begin + static_cast<std::int64_t>(sample) * context_;
    for (std::int64_t i = 0; i < context_; ++i) {
      *input++ = std::to_integer<std::int64_t>(window[i]);
      *labels++ = std::to_integer<std::int64_t>(window[i + 1]);
    }
  }
}

}  // namespace troupe::data
