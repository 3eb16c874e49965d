#include <troupe/core/error.hpp>
#include <troupe/tensor/meta.hpp>

#include <limits>

namespace troupe {

void check_sizes(const Meta& meta) {
  // Sizes of 0 count as 1: they leave no element, but strides are multiplied past them.
  auto room =
      std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(size_of(meta.dtype));
  for (const std::int64_t size : meta.shape) {
    if (size < 0)
      throw Error(ErrorCode::invalid_argument, "a negative size in shape " + to_string(meta.shape))
          .hint("sizes are 0 or more");
    if (size > 1) room /= size;
  }
  if (room == 0)
    throw Error(
        ErrorCode::invalid_argument,
        "a tensor " + to_string(meta) + " would have more bytes than 63 bits count")
        .hint("look for a size that was computed wrongly");
}

std::string to_string(const Meta& meta) {
  return std::string(name_of(meta.dtype)) + to_string(meta.shape);
}

}  // namespace troupe
