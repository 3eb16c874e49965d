#pragma once

#include <troupe/core/result.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace troupe::fuzz {

/// Ends the program, so that the fuzzer keeps the input, when something that must hold does not.
inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// A refusal is typed as one of a bad file and begins with the name of one of these; one for what
/// is in the file says where.
inline void expect_file_error(const Error& error, std::initializer_list<std::string_view> files) {
  const bool typed =
      error.code() == ErrorCode::file_corrupt || error.code() == ErrorCode::file_truncated ||
      error.code() == ErrorCode::file_mismatch || error.code() == ErrorCode::file_not_found ||
      error.code() == ErrorCode::file_io || error.code() == ErrorCode::unsupported;
  expect(typed, "an error of a bad file has a file's code");
  const std::string& message = error.message();
  const bool named = std::any_of(files.begin(), files.end(), [&](std::string_view file) {
    return message.starts_with(std::string(file) + ": ");
  });
  expect(named, "an error names its file");
  const bool damaged =
      error.code() == ErrorCode::file_corrupt || error.code() == ErrorCode::file_truncated;
  expect(
      !damaged || message.find(": at byte ") != std::string::npos,
      "an error of damaged content names the offset");
  expect(message.size() < 1000, "an error is no longer than a person reads");
}

inline std::span<const std::byte> bytes_of(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace troupe::fuzz
