#pragma once

#include <troupe/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace troupe::fuzz {

/// Ends the program, so that the fuzzer keeps the input, when something that must hold does not.
inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// A refusal is typed as one of a bad file and names it.
inline void expect_file_error(const Error& error) {
  const bool typed =
      error.code() == ErrorCode::file_corrupt || error.code() == ErrorCode::file_truncated ||
      error.code() == ErrorCode::file_mismatch || error.code() == ErrorCode::file_not_found ||
      error.code() == ErrorCode::file_io || error.code() == ErrorCode::unsupported;
  expect(typed, "an error of a bad file has a file's code");
  expect(error.message().find(": ") != std::string::npos, "an error names its file");
  expect(error.message().size() < 1000, "an error is no longer than a person reads");
}

inline std::span<const std::byte> bytes_of(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace troupe::fuzz
