#include "json_events.hpp"

#include <troupe/core/disk.hpp>

#include <nlohmann/json.hpp>

#include <iterator>
#include <utility>

namespace troupe::io {
namespace {

/// Goes over the text and counts, for the errors' offsets.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, std::size_t* passed) : at_(at), passed_(passed) {}

  reference operator*() const { return *at_; }
  Cursor& operator++() {
    ++at_;
    ++*passed_;
    return *this;
  }
  Cursor operator++(int) {
    Cursor before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) { return a.at_ == b.at_; }

 private:
  const char* at_;
  std::size_t* passed_;
};

/// The parser's own words without its error number, short and printable whatever the file holds.
std::string plain_reason(std::string_view what) {
  constexpr std::size_t reason_chars_max = 160;
  const std::size_t bracket = what.find("] ");
  if (bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
  const bool cut = what.size() > reason_chars_max;
  std::string reason(what.substr(0, reason_chars_max));
  for (char& c : reason) {
    if (c < ' ' || c > '~') c = '?';
  }
  return cut ? reason + "..." : reason;
}

/// The shape in which nlohmann's parser wants its listener.
struct Listener {
  using Json = nlohmann::json;

  bool null() { return go_on(events.on_null()); }
  bool boolean(bool value) { return go_on(events.on_bool(value)); }
  bool number_integer(Json::number_integer_t value) { return go_on(events.on_int(value)); }
  bool number_unsigned(Json::number_unsigned_t value) { return go_on(events.on_uint(value)); }
  bool number_float(Json::number_float_t value, const std::string&) {
    return go_on(events.on_double(value));
  }
  bool string(std::string& value) { return go_on(events.on_string(std::move(value))); }
  bool binary(Json::binary_t&) { return false; }  // JSON text has none
  bool start_object(std::size_t) { return go_on(events.on_map_begin()); }
  bool key(std::string& name) { return go_on(events.on_name(std::move(name))); }
  bool end_object() { return go_on(events.on_map_end()); }
  bool start_array(std::size_t) { return go_on(events.on_list_begin()); }
  bool end_array() { return go_on(events.on_list_end()); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    reason = plain_reason(error.what());
    return false;
  }

  bool go_on(std::string refusal) {
    reason = std::move(refusal);
    return reason.empty();
  }

  JsonEvents& events;
  std::string reason;
};

}  // namespace

Result<void> read_json(
    std::string_view text, const std::string& path, std::uint64_t text_offset, JsonEvents& events) {
  std::size_t passed = 0;
  Listener listener{events, {}};
  const bool whole = nlohmann::json::sax_parse(
      Cursor(text.data(), &passed), Cursor(text.data() + text.size(), &passed), &listener);
  if (!whole) {
    return file_error(ErrorCode::file_corrupt, path, text_offset + passed, listener.reason);
  }
  return {};
}

}  // namespace troupe::io
