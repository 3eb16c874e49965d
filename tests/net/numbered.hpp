#pragma once

#include <troupe/core/bytes.hpp>
#include <troupe/core/message.hpp>

#include <cstdint>
#include <string_view>

namespace troupe::testing {

/// A message that says which of its kind it is, and carries something.
struct Numbered {
  static constexpr MessageId id{70'010};
  static constexpr std::string_view name = "numbered";
  std::uint64_t number = 0;
  Bytes bytes;
  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
    visit.field("bytes", bytes);
  }
};

}  // namespace troupe::testing
