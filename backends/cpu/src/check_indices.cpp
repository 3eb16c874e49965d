#include "check_indices.hpp"

#include <troupe/core/error.hpp>

#include <string>

namespace troupe::cpu {

namespace {

[[noreturn]] void refuse(
    const View& indices,
    std::int64_t place,
    std::int64_t value,
    std::int64_t low,
    std::int64_t high,
    std::string_view what) {
  Dims position = indices.shape;
  for (std::size_t d = position.size(); d-- > 0;) {
    position[d] = place % indices.shape[d];
    place /= indices.shape[d];
  }
  throw Error(
      ErrorCode::invalid_argument,
      std::string(what) + " at " + to_string(position) + " is " + std::to_string(value) +
          ", but must be in [" + std::to_string(low) + ", " + std::to_string(high) + ")");
}

template <class T>
void check(
    const View& indices,
    std::int64_t low,
    std::int64_t high,
    std::string_view what,
    const std::int64_t* ignored) {
  const T* data = indices.as<const T>();
  const std::int64_t count = indices.elements();
  const auto range = static_cast<std::uint64_t>(high - low);
  const std::size_t rank = indices.shape.size();
  std::int64_t index[rank_max] = {};
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<std::int64_t>(data[indices.contiguous ? i : offset]);
    if (static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(low) >= range &&
        !(ignored && value == *ignored))
      refuse(indices, i, value, low, high, what);
    if (indices.contiguous) continue;
    for (std::size_t d = rank; d-- > 0;) {
      offset += indices.strides[d];
      if (++index[d] < indices.shape[d]) break;
      offset -= indices.shape[d] * indices.strides[d];
      index[d] = 0;
    }
  }
}

}  // namespace

void check_indices(
    const View& indices,
    std::int64_t low,
    std::int64_t high,
    std::string_view what,
    const std::int64_t* ignored) {
  if (indices.dtype == DType::int64)
    check<std::int64_t>(indices, low, high, what, ignored);
  else
    check<std::int32_t>(indices, low, high, what, ignored);
}

}  // namespace troupe::cpu
