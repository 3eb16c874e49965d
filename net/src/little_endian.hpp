#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::net {

/// Writes a number's bytes from the lowest up, whatever the machine's own order.
template <class T>
void put_number(std::byte* at, T number) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<std::byte>(number >> 8 * i);
}

template <class T>
[[nodiscard]] T get_number(const std::byte* at) noexcept {
  T number = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    number = static_cast<T>(number | static_cast<T>(at[i]) << 8 * i);
  return number;
}

}  // namespace troupe::net
