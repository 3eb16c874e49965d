#pragma once

#include <troupe/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::io {

/// Hears what a JSON text says, piece by piece, so that nothing hostile in it is ever built.
///
/// Each call returns an empty reason to go on, or why the text is refused.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;

  virtual std::string on_null() = 0;
  virtual std::string on_bool(bool value) = 0;
  virtual std::string on_int(std::int64_t value) = 0;    ///< below zero
  virtual std::string on_uint(std::uint64_t value) = 0;  ///< zero or above
  virtual std::string on_double(double value) = 0;       ///< finite
  virtual std::string on_string(std::string&& value) = 0;
  virtual std::string on_map_begin() = 0;
  virtual std::string on_name(std::string&& name) = 0;
  virtual std::string on_map_end() = 0;
  virtual std::string on_list_begin() = 0;
  virtual std::string on_list_end() = 0;
};

/// Reads the whole text. Errors are `file_corrupt` at `text_offset` + the place in the text, which
/// is exact to the token.
[[nodiscard]] Result<void> read_json(
    std::string_view text, const std::string& path, std::uint64_t text_offset, JsonEvents& events);

}  // namespace troupe::io
