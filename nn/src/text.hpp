#pragma once

#include <troupe/nn/pair.hpp>

#include <charconv>
#include <cstdint>
#include <string>

namespace troupe::nn {

/// Settings as people read them: the shortest text that names the number, "True" and "(3, 3)" as
/// PyTorch prints them.
inline std::string text_of(double number) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  return {buffer, end};
}
inline std::string text_of(std::int64_t number) { return std::to_string(number); }
inline std::string text_of(bool flag) { return flag ? "True" : "False"; }
inline std::string text_of(Pair pair) {
  return pair.height == pair.width
             ? std::to_string(pair.height)
             : "(" + std::to_string(pair.height) + ", " + std::to_string(pair.width) + ")";
}

}  // namespace troupe::nn
