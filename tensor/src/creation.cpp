#include <troupe/core/error.hpp>
#include <troupe/tensor/creation.hpp>

#include <algorithm>
#include <vector>

namespace troupe {

namespace {

std::size_t checked_elements(const Shape& shape, Where where) {
  for (const std::int64_t size : shape)
    if (size < 0)
      throw Error(ErrorCode::invalid_argument, "a negative size in shape " + to_string(shape))
          .at(where.file, where.line);
  return static_cast<std::size_t>(elements_in(shape));
}

/// Calls `body` with a value of the C++ type of a dtype.
template <class Body>
auto with_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::float32:
      return body(float{});
    case DType::float64:
      return body(double{});
    case DType::int32:
      return body(std::int32_t{});
    case DType::int64:
      return body(std::int64_t{});
    case DType::uint8:
      return body(std::uint8_t{});
    case DType::boolean:
      return body(bool{});
    case DType::bfloat16:
    case DType::float16:
      break;
  }
  throw Error(
      ErrorCode::dtype_mismatch, std::string(name_of(dtype)) + " tensors are made by cast()");
}

template <class T>
Tensor make(const Shape& shape, const std::vector<T>& elements, Where where) {
  return Tensor::upload(Meta{dtype_of<T>, shape}, std::as_bytes(std::span(elements)), where);
}
/// std::vector<bool> has no bytes to show.
Tensor make(const Shape& shape, const std::vector<bool>& elements, Where where) {
  std::vector<std::uint8_t> bytes(elements.begin(), elements.end());
  return Tensor::upload(Meta{DType::boolean, shape}, std::as_bytes(std::span(bytes)), where);
}

}  // namespace

Tensor full(const Shape& shape, double value, DType dtype, Where where) {
  const std::size_t n = checked_elements(shape, where);
  return with_type(dtype, [&]<class T>(T) {
    return make(shape, std::vector<T>(n, static_cast<T>(value)), where);
  });
}

Tensor full_like(const Tensor& x, double value, Where where) {
  return full(x.shape(), value, x.dtype(), where);
}

Tensor arange(std::int64_t start, std::int64_t end, std::int64_t step, Where where) {
  if (step == 0)
    throw Error(ErrorCode::invalid_argument, "arange with a step of 0").at(where.file, where.line);
  std::vector<std::int64_t> elements;
  for (std::int64_t x = start; step > 0 ? x < end : x > end; x += step) elements.push_back(x);
  return make(Shape{static_cast<std::int64_t>(elements.size())}, elements, where);
}

Tensor linspace(double start, double end, std::int64_t steps, DType dtype, Where where) {
  const std::size_t n = checked_elements(Shape{steps}, where);
  return with_type(dtype, [&]<class T>(T) {
    std::vector<T> elements(n);
    const double step = n > 1 ? (end - start) / static_cast<double>(n - 1) : 0;
    // From both ends, so that the last is `end` to the bit.
    for (std::size_t i = 0; i < n; ++i)
      elements[i] = static_cast<T>(
          i < n / 2 || n == 1 ? start + step * static_cast<double>(i)
                              : end - step * static_cast<double>(n - 1 - i));
    return make(Shape{steps}, elements, where);
  });
}

Tensor eye(std::int64_t rows, std::int64_t columns, DType dtype, Where where) {
  if (columns < 0) columns = rows;
  const Shape shape{rows, columns};
  const std::size_t n = checked_elements(shape, where);
  return with_type(dtype, [&]<class T>(T) {
    std::vector<T> elements(n, T(0));
    for (std::int64_t i = 0; i < std::min(rows, columns); ++i)
      elements[static_cast<std::size_t>(i * columns + i)] = T(1);
    return make(shape, elements, where);
  });
}

}  // namespace troupe
