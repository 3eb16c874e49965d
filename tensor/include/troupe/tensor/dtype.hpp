#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe {

/// The type of a tensor's elements. The numbers are wire ids, never renumbered.
///
/// float32 … bool compute; bfloat16 and float16 are stored, converted and multiplied as matrices.
enum class DType : std::uint8_t {
  float32 = 0,
  float64 = 1,
  int32 = 2,
  int64 = 3,
  uint8 = 4,
  boolean = 5,
  bfloat16 = 6,
  float16 = 7,
};
inline constexpr std::size_t dtype_count = 8;

/// Bytes of one element.
[[nodiscard]] constexpr std::size_t size_of(DType dtype) noexcept {
  constexpr std::uint8_t sizes[dtype_count] = {4, 8, 4, 8, 1, 1, 2, 2};
  return sizes[static_cast<std::size_t>(dtype)];
}

/// As printed and as written in files: "float32", "bool", …
[[nodiscard]] constexpr std::string_view name_of(DType dtype) noexcept {
  constexpr std::string_view names[dtype_count] = {
      "float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16"};
  return names[static_cast<std::size_t>(dtype)];
}

[[nodiscard]] constexpr bool is_floating(DType dtype) noexcept {
  return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::bfloat16 ||
         dtype == DType::float16;
}
[[nodiscard]] constexpr bool is_integer(DType dtype) noexcept {
  return dtype == DType::int32 || dtype == DType::int64 || dtype == DType::uint8;
}
/// Whether ops compute on it; the others must be cast first, but for products of matrices.
[[nodiscard]] constexpr bool is_computable(DType dtype) noexcept {
  return dtype != DType::bfloat16 && dtype != DType::float16;
}

/// The dtype in which two operands of equal standing meet, as PyTorch's promotion of tensors that
/// both have dimensions: bool < uint8 < int32 < int64 < float16/bfloat16 < float32 < float64;
/// float16 with bfloat16 gives float32.
[[nodiscard]] constexpr DType promote(DType a, DType b) noexcept {
  constexpr std::uint8_t rank[dtype_count] = {6, 7, 2, 3, 1, 0, 4, 5};
  if (a == b) return a;
  if ((a == DType::float16 && b == DType::bfloat16) ||
      (a == DType::bfloat16 && b == DType::float16))
    return DType::float32;
  return rank[static_cast<std::size_t>(a)] > rank[static_cast<std::size_t>(b)] ? a : b;
}

/// A 16-bit float with float32's exponent range; a storage type: convert to compute, but for
/// products of matrices.
struct BFloat16 {
  std::uint16_t bits;
};
/// An IEEE 754 binary16; a storage type: convert to compute, but for products of matrices.
struct Float16 {
  std::uint16_t bits;
};

/// The DType of a C++ element type.
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::float32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::float64;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::int32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::int64;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::uint8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bfloat16;
};
template <>
struct DTypeOf<Float16> {
  static constexpr DType value = DType::float16;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace troupe
