#pragma once

#include <cstddef>
#include <string_view>

namespace troupe::test {

/// How often a word stands in a text.
inline std::size_t count(std::string_view text, std::string_view word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++found;
  return found;
}

}  // namespace troupe::test
