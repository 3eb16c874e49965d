#include <troupe/core/error.hpp>
#include <troupe/tensor/creation.hpp>

#include <algorithm>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

namespace {

/// Adds to an error whose call it was.
template <class Body>
auto called(std::string_view op, Where where, Body body) {
  try {
    return body();
  } catch (Error& error) {
    throw error.op(op).at(where.file, where.line);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, "the host has no memory for the elements")
        .op(op)
        .at(where.file, where.line)
        .hint("look for a size that was computed wrongly");
  }
}

/// A list of `elements` for a checked shape; what no list can hold counts as no memory.
template <class T>
std::vector<T> list_of(const Meta& meta, T value) {
  const auto n = static_cast<std::size_t>(meta.elements());
  std::vector<T> list;
  if (n > list.max_size()) throw std::bad_alloc();
  list.assign(n, value);
  return list;
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
      ErrorCode::dtype_mismatch, std::string(name_of(dtype)) + " is for storage, not for computing")
      .hint("make it of float32 and cast() it");
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

namespace {

Tensor filled(const Shape& size, Number value, DType dtype, std::string_view op, Where where) {
  return called(op, where, [&] {
    const Meta meta{dtype, size};
    check_sizes(meta);
    return with_type(
        dtype, [&]<class T>(T) { return make(size, list_of<T>(meta, value.to<T>()), where); });
  });
}

}  // namespace

Tensor full(const Shape& size, Number fill_value, DType dtype, Where where) {
  return filled(size, fill_value, dtype, "full", where);
}

Tensor full_like(const Tensor& x, Number fill_value, Where where) {
  const Tensor& like = checked_tensor(Operand(x, where), "full_like");
  return filled(like.shape(), fill_value, like.dtype(), "full_like", where);
}

Tensor arange(std::int64_t start, std::int64_t end, std::int64_t step, Where where) {
  return called("arange", where, [&] {
    if (step == 0)
      throw Error(ErrorCode::invalid_argument, "a step of 0 from " + std::to_string(start))
          .hint("1 counts up, -1 down");
    // In unsigned numbers, which hold every distance.
    const bool up = step > 0;
    const auto distance = up ? static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(start)
                             : static_cast<std::uint64_t>(start) - static_cast<std::uint64_t>(end);
    const std::uint64_t stride =
        up ? static_cast<std::uint64_t>(step) : std::uint64_t{0} - static_cast<std::uint64_t>(step);
    const bool none = up ? start >= end : start <= end;
    const std::uint64_t count = none ? 0 : (distance - 1) / stride + 1;
    const Meta meta{
        DType::int64, {static_cast<std::int64_t>(std::min(count, std::uint64_t{1} << 62))}};
    check_sizes(meta);
    auto elements = list_of<std::int64_t>(meta, start);
    for (std::size_t i = 1; i < elements.size(); ++i) elements[i] = elements[i - 1] + step;
    return make(meta.shape, elements, where);
  });
}

Tensor linspace(double start, double end, std::int64_t steps, DType dtype, Where where) {
  return called("linspace", where, [&] {
    const Meta meta{dtype, {steps}};
    check_sizes(meta);
    return with_type(dtype, [&]<class T>(T) {
      auto elements = list_of<T>(meta, T(0));
      const std::size_t n = elements.size();
      const double step = n > 1 ? (end - start) / static_cast<double>(n - 1) : 0;
      // From both ends, so that the last is `end` to the bit.
      for (std::size_t i = 0; i < n; ++i)
        elements[i] = Number(
                          i < n / 2 || n == 1 ? start + step * static_cast<double>(i)
                                              : end - step * static_cast<double>(n - 1 - i))
                          .to<T>();
      return make(meta.shape, elements, where);
    });
  });
}

Tensor eye(std::int64_t rows, std::int64_t columns, DType dtype, Where where) {
  return called("eye", where, [&] {
    if (columns == -1) columns = rows;
    const Meta meta{dtype, {rows, columns}};
    check_sizes(meta);
    return with_type(dtype, [&]<class T>(T) {
      auto elements = list_of<T>(meta, T(0));
      for (std::int64_t i = 0; i < std::min(rows, columns); ++i)
        elements[static_cast<std::size_t>(i * columns + i)] = T(1);
      return make(meta.shape, elements, where);
    });
  });
}

}  // namespace troupe
