#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe::cli {

/// Text as SVG and HTML take it.
[[nodiscard]] inline std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

/// Longer names are cut; the whole one is in what the mouse shows.
[[nodiscard]] inline std::string shortened(const std::string& text) {
  constexpr std::size_t letters_max = 44;
  return text.size() <= letters_max ? text : text.substr(0, letters_max - 1) + "…";
}

}  // namespace troupe::cli
