#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace troupe::cpu {

template <class Word>
inline void repeat_word(const std::byte* from, std::byte* to, std::int64_t n) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  std::fill_n(reinterpret_cast<Word*>(to), n, word);
}

/// Writes one element of so many bytes `n` times. For code that is compiled for any processor.
inline void repeat(
    const std::byte* from, std::size_t bytes, std::byte* to, std::int64_t n) noexcept {
  switch (bytes) {
    case 8:
      return repeat_word<std::uint64_t>(from, to, n);
    case 4:
      return repeat_word<std::uint32_t>(from, to, n);
    case 2:
      return repeat_word<std::uint16_t>(from, to, n);
    default:
      return repeat_word<std::uint8_t>(from, to, n);
  }
}

}  // namespace troupe::cpu
