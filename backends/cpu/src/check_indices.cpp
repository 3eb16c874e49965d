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

/// Whether all are in [low, low + range), in steps that compilers turn into vectors: a block's
/// numbers set a sign bit where one is below, or above.
template <class T>
bool all_inside(const T* data, std::int64_t count, std::int64_t low, std::uint64_t range) {
  constexpr std::int64_t block = 64;
  const std::uint64_t last = range - 1;
  const auto outside = [&](T value) {
    const std::uint64_t place = static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(low);
    return place | (last - place);
  };
  std::uint64_t any = 0;
  std::int64_t i = 0;
  for (; i + block <= count; i += block)
    for (std::int64_t k = 0; k < block; ++k) any |= outside(data[i + k]);
  for (; i < count; ++i) any |= outside(data[i]);
  return any >> 63 == 0;
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
  if (indices.contiguous && range > 0 && all_inside(data, count, low, range)) return;
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
