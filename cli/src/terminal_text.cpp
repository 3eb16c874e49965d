#include "terminal_text.hpp"

#include <utility>

namespace troupe::cli {

namespace {

constexpr const char* replacement = "\xef\xbf\xbd";

/// Bytes of the character that a byte begins; 0 for one that begins none.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;  // continues one, or spells ASCII in two bytes
  if (first < 0xe0) return 2;
  if (first < 0xf0) return 3;
  return first < 0xf5 ? 4 : 0;
}

/// Whether a byte may come second: not where a shorter spelling, a surrogate or a number above
/// U+10FFFF would come of it.
bool may_follow(unsigned char first, unsigned char second) {
  switch (first) {
    case 0xe0:
      return second >= 0xa0 && second < 0xc0;
    case 0xed:
      return second >= 0x80 && second < 0xa0;
    case 0xf0:
      return second >= 0x90 && second < 0xc0;
    case 0xf4:
      return second >= 0x80 && second < 0x90;
    default:
      return second >= 0x80 && second < 0xc0;
  }
}

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1)
    return (first < 0x20 && first != '\t' && first != '\n' && first != '\r') || first == 0x7f;
  // U+0080 to U+009F, of which one begins commands to a terminal.
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

}  // namespace

std::string TerminalText::add(std::byte added) {
  const auto byte = std::to_integer<unsigned char>(added);
  std::string out;
  if (have_ > 0) {
    const auto first = static_cast<unsigned char>(begun_[0]);
    const bool fits = have_ == 1 ? may_follow(first, byte) : (byte & 0xc0) == 0x80;
    if (!fits) out = finish();
  }
  if (have_ == 0) {
    need_ = length_of(byte);
    if (need_ == 0) return out + replacement;
  }
  begun_[have_++] = static_cast<char>(byte);
  if (have_ < need_) return out;
  const std::string_view character(begun_.data(), std::exchange(have_, 0));
  return out + (is_control(character) ? std::string(replacement) : std::string(character));
}

std::string TerminalText::add(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += add(static_cast<std::byte>(byte));
  return out;
}

std::string TerminalText::finish() { return std::exchange(have_, 0) > 0 ? replacement : ""; }

}  // namespace troupe::cli
