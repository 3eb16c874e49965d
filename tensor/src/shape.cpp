#include <troupe/core/error.hpp>
#include <troupe/tensor/shape.hpp>

#include <algorithm>

namespace troupe {

void Dims::too_many() {
  throw Error(
      ErrorCode::invalid_argument,
      "a tensor has at most " + std::to_string(rank_max) + " dimensions")
      .hint("reshape() merges some of them");
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i) text += ", ";
    text += std::to_string(dims[i]);
  }
  return text + "]";
}

Shape broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  const std::size_t offset = longer.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    std::int64_t& size = out[offset + i];
    if (shorter[i] == size || shorter[i] == 1) continue;
    if (size != 1)
      throw Error(
          ErrorCode::shape_mismatch,
          "shapes " + to_string(a) + " and " + to_string(b) +
              " do not broadcast: sizes must be equal or 1, counted from the last axis")
          .hint("reshape or unsqueeze one of them so that the axes line up");
    size = shorter[i];
  }
  return out;
}

bool broadcasts_to(const Shape& from, const Shape& to) noexcept {
  if (from.size() > to.size()) return false;
  const std::size_t offset = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i] != 1 && from[i] != to[offset + i]) return false;
  for (const std::int64_t size : to)
    if (size < 0) return false;
  return true;
}

std::size_t normalize_axis(std::int64_t axis, std::size_t rank) {
  const auto n = static_cast<std::int64_t>(rank);
  if (axis < -n || axis >= n)
    throw Error(
        ErrorCode::axis_out_of_range,
        "axis " + std::to_string(axis) + " of a tensor with " + std::to_string(rank) +
            " dimensions")
        .hint(
            rank == 0 ? "a scalar has no axes; reshape(x, {1}) gives it one"
                      : "axes run from " + std::to_string(-n) + " to " + std::to_string(n - 1));
  return static_cast<std::size_t>(axis < 0 ? axis + n : axis);
}

void check_axis(std::int64_t axis, std::size_t rank) {
  (void)normalize_axis(axis, rank == 0 ? 1 : rank);
}

Dims normalize_axes(const Dims& axes, std::size_t rank) {
  Dims out;
  if (axes.empty()) {
    for (std::size_t i = 0; i < rank; ++i) out.push_back(static_cast<std::int64_t>(i));
    return out;
  }
  // A scalar counts as having one axis, which is then no axis to fold.
  for (const std::int64_t axis : axes)
    out.push_back(static_cast<std::int64_t>(normalize_axis(axis, rank == 0 ? 1 : rank)));
  std::sort(out.begin(), out.end());
  if (std::adjacent_find(out.begin(), out.end()) != out.end())
    throw Error(ErrorCode::invalid_argument, "an axis is named twice in " + to_string(axes))
        .hint("name each axis once; negative ones count from the end");
  return rank == 0 ? Dims{} : out;
}

Shape reduced_shape(const Shape& shape, const Dims& axes, bool keepdim) {
  Shape out;
  std::size_t next = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool reduced = next < axes.size() && axes[next] == static_cast<std::int64_t>(i);
    if (!reduced) {
      out.push_back(shape[i]);
    } else {
      ++next;
      if (keepdim) out.push_back(1);
    }
  }
  return out;
}

}  // namespace troupe
