#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace troupe::cli {

/// Bytes that a model made, as text that no terminal is upset by: what is not UTF-8 becomes U+FFFD,
/// once for each longest beginning of a character, as the Unicode standard recommends; so do
/// control characters, but tab, line feed and carriage return.
class TerminalText {
 public:
  /// What can be written once this byte is known: nothing while a character is not whole.
  [[nodiscard]] std::string add(std::byte byte);
  [[nodiscard]] std::string add(std::string_view bytes);
  /// What is left at the end.
  [[nodiscard]] std::string finish();

 private:
  std::array<char, 4> begun_{};  // of a character
  std::size_t have_ = 0;
  std::size_t need_ = 0;
};

}  // namespace troupe::cli
