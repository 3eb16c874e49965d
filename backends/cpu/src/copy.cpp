#include "contiguous.hpp"
#include "elementwise.hpp"
#include "simd.hpp"

#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/copy.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <bit>
#include <cstring>
#include <type_traits>

namespace troupe::cpu {

namespace {

template <std::size_t Bytes>
void copy_elements(const void*, void* out, const void* const* in, std::int64_t n) {
  std::memcpy(out, in[0], static_cast<std::size_t>(n) * Bytes);
}

void copy_chunk(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  StridedCopy<Arch>(call.in[0]).run(size_of(call.in[0].dtype), chunk, call.out[0].data);
}

// --- conversions
// -----------------------------------------------------------------------------------

inline float widen(BFloat16 x) { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }

inline float widen(Float16 x) {
  // The exponent's bias differs by 112; scaling mends it, subnormal numbers included.
  const std::uint32_t magnitude = (x.bits & 0x7fffu) << 13;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  if (magnitude >= 0x0f800000u) bits |= 0x7f800000u;  // ∞ and NaN
  return std::bit_cast<float>(bits | (x.bits & 0x8000u) << 16);
}

inline BFloat16 narrow_to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40u;
  return {static_cast<std::uint16_t>(x == x ? rounded : quiet)};
}

inline Float16 narrow_to_float16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const float size = std::bit_cast<float>(magnitude);
  const std::uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
  // Adding ½ lets the addition itself round at the place of a subnormal's last bit.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(size + 0.5f) - 0x3f000000u;
  std::uint32_t result = magnitude < 0x38800000u ? subnormal : normal;
  result = magnitude >= 0x477ff000u ? 0x7c00u : result;  // from 65,520 on
  result = magnitude > 0x7f800000u ? 0x7e00u : result;
  return {static_cast<std::uint16_t>(result | (bits >> 16 & 0x8000u))};
}

/// A double as a float that rounds on to 16 bits as the double itself would: cut toward 0, with the
/// last bit set if anything was lost.
inline float keep_rounding(double x) {
  const auto near = static_cast<float>(x);
  auto bits = std::bit_cast<std::uint32_t>(near);
  const double back = near;
  bits -= (back < 0 ? -back : back) > (x < 0 ? -x : x) ? 1 : 0;
  bits |= back != x ? 1 : 0;
  return std::bit_cast<float>(bits);
}

template <class T>
inline constexpr bool is_16_bit = std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>;

template <class To, class From>
inline To converted(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (is_16_bit<From>) {
    return converted<To>(widen(x));
  } else if constexpr (is_16_bit<To>) {
    float single;
    if constexpr (std::is_same_v<From, float>)
      single = x;
    else
      single = keep_rounding(static_cast<double>(x));
    if constexpr (std::is_same_v<To, BFloat16>)
      return narrow_to_bfloat16(single);
    else
      return narrow_to_float16(single);
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && sizeof(To) < 4) {
    return static_cast<To>(static_cast<std::int32_t>(x));
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void convert_elements(const void*, void* out, const void* const* in, std::int64_t n) {
  const auto* const from = static_cast<const From*>(in[0]);
  auto* const to = static_cast<To*>(out);
  // Loops of a known length are what the compiler makes SIMD of; what it makes of them and of the
  // rest gives the same bits, for nothing is summed.
  constexpr std::int64_t block = 64;
  std::int64_t i = 0;
  for (; i + block <= n; i += block)
    for (std::int64_t j = 0; j < block; ++j) to[i + j] = converted<To, From>(from[i + j]);
  for (; i < n; ++i) to[i] = converted<To, From>(from[i]);
}

template <class From>
Expression conversion_from(DType to) {
  switch (to) {
    case DType::float32:
      return &convert_elements<float, From>;
    case DType::float64:
      return &convert_elements<double, From>;
    case DType::int32:
      return &convert_elements<std::int32_t, From>;
    case DType::int64:
      return &convert_elements<std::int64_t, From>;
    case DType::uint8:
      return &convert_elements<std::uint8_t, From>;
    case DType::boolean:
      return &convert_elements<bool, From>;
    case DType::bfloat16:
      return &convert_elements<BFloat16, From>;
    case DType::float16:
      return &convert_elements<Float16, From>;
  }
  return nullptr;
}

Expression conversion(DType from, DType to) {
  switch (from) {
    case DType::float32:
      return conversion_from<float>(to);
    case DType::float64:
      return conversion_from<double>(to);
    case DType::int32:
      return conversion_from<std::int32_t>(to);
    case DType::int64:
      return conversion_from<std::int64_t>(to);
    case DType::uint8:
      return conversion_from<std::uint8_t>(to);
    case DType::boolean:
      return conversion_from<bool>(to);
    case DType::bfloat16:
      return conversion_from<BFloat16>(to);
    case DType::float16:
      return conversion_from<Float16>(to);
  }
  return nullptr;
}

// --- a slice's gradient
// -----------------------------------------------------------------------------

enum Place : std::size_t { rows, row_bytes, per_outer, first, count, step, rows_per_chunk };

void scatter_chunk(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const auto& n = plan.numbers;
  const std::byte* const dy = Contiguous<Arch>::in<std::byte>(call, scratch, 0);
  auto* const dx = call.out[0].as<std::byte>();
  const std::int64_t begin = chunk * n[rows_per_chunk];
  const std::int64_t end =
      begin + n[rows_per_chunk] < n[rows] ? begin + n[rows_per_chunk] : n[rows];
  std::memset(dx + begin * n[row_bytes], 0, static_cast<std::size_t>((end - begin) * n[row_bytes]));
  for (std::int64_t row = begin; row < end;) {
    const std::int64_t outer = row / n[per_outer];
    const std::int64_t from = row - outer * n[per_outer];
    const std::int64_t left = end - row < n[per_outer] - from ? end - row : n[per_outer] - from;
    // The first of the slice's elements that lies in this stretch.
    std::int64_t j = from <= n[first] ? 0 : (from - n[first] + n[step] - 1) / n[step];
    for (; j < n[count] && n[first] + j * n[step] < from + left; ++j)
      std::memcpy(
          dx + (outer * n[per_outer] + n[first] + j * n[step]) * n[row_bytes],
          dy + (outer * n[count] + j) * n[row_bytes],
          static_cast<std::size_t>(n[row_bytes]));
    row += left;
  }
}

}  // namespace

template <>
Expression ElementwiseLoops<Arch>::copy_of(std::size_t element_bytes) {
  switch (element_bytes) {
    case 8:
      return &copy_elements<8>;
    case 4:
      return &copy_elements<4>;
    case 2:
      return &copy_elements<2>;
    default:
      return &copy_elements<1>;
  }
}

template <>
Expression ElementwiseLoops<Arch>::conversion_of(DType from, DType to) {
  return conversion(from, to);
}

template <>
void Kernel<Copy, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.out[0].elements() == 0) return;
  const StridedCopy<Arch> copy(call.in[0]);
  plan.cost_ns = copy.cost_ns(size_of(call.in[0].dtype)) + 20;
  plan.add(&copy_chunk, copy.chunks());
}

template <>
void Kernel<Cast, Arch>::plan(const KernelCall& call, Plan& plan) {
  ElementwiseLoops<Arch>::plan(call, plan, conversion(call.in[0].dtype, call.out[0].dtype), true);
}

template <>
void Kernel<SliceBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  const Shape& shape = call.out[0].shape;
  const Slice& slice = call.op<SliceBackward>().slice;
  const std::size_t rank = shape.size();
  const auto axis = static_cast<std::size_t>(
      slice.dim < 0 ? slice.dim + static_cast<std::int64_t>(rank) : slice.dim);
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
  for (std::size_t i = axis + 1; i < rank; ++i) inner *= shape[i];
  const Slice::Range range = slice.range(shape[axis]);
  const auto element = static_cast<std::int64_t>(size_of(call.out[0].dtype));
  plan.numbers[rows] = outer * shape[axis];
  plan.numbers[row_bytes] = inner * element;
  plan.numbers[per_outer] = shape[axis];
  plan.numbers[first] = range.first;
  plan.numbers[count] = range.count;
  plan.numbers[step] = slice.step;
  if (plan.numbers[rows] * inner == 0) return;
  Contiguous<Arch>::plan(call, plan);
  constexpr std::int64_t chunk_elements = 65536;
  plan.numbers[rows_per_chunk] = inner < chunk_elements ? chunk_elements / inner : 1;
  plan.cost_ns += static_cast<double>(plan.numbers[rows] * plan.numbers[row_bytes]) / 8;
  plan.add(
      &scatter_chunk,
      (plan.numbers[rows] + plan.numbers[rows_per_chunk] - 1) / plan.numbers[rows_per_chunk]);
}

}  // namespace troupe::cpu
