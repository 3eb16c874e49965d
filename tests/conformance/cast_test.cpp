#include "case.hpp"

#include <troupe/core/system.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

using namespace troupe;
using namespace troupe::conformance;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// A binary format by its widths: what the 16-bit floats, float32 and float64 differ in.
struct Format {
  int digits;    ///< of the significand, the leading one included
  int exponent;  ///< of the largest power of two
};

/// `x` rounded to the format: to the nearest, halves to even. By scaling alone, in double.
double rounded(double x, const Format& format) {
  if (x == 0 || !std::isfinite(x)) return x;
  int exponent = 0;
  (void)std::frexp(x, &exponent);         // x in [2^(exponent − 1), 2^exponent)
  const int least = 1 - format.exponent;  // of the smallest normal number
  const int last = std::max(exponent - 1, least) - (format.digits - 1);
  const double whole = std::nearbyint(std::ldexp(x, -last));
  const double result = std::ldexp(whole, last);
  return std::abs(result) >= std::ldexp(1.0, format.exponent + 1) ? std::copysign(infinity, x)
                                                                  : result;
}

Format format_of(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return {11, 15};
    case DType::bfloat16:
      return {8, 127};
    case DType::float32:
      return {24, 127};
    default:
      return {53, 1023};
  }
}

/// A tensor's elements as doubles, 16-bit floats by their own bits.
std::vector<double> doubles_of(const Tensor& x) {
  std::vector<std::byte> bytes(x.meta().bytes());
  x.download(x.dtype(), bytes);
  const auto at = [&]<class T>(std::size_t i, T) {
    T element;
    std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
    return element;
  };
  const auto widened = [](std::uint16_t bits, int exponent_bits, int mantissa_bits) {
    const int sign = bits >> 15;
    const int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
    const int mantissa = bits & ((1 << mantissa_bits) - 1);
    const int bias = (1 << (exponent_bits - 1)) - 1;
    double size = 0;
    if (exponent == (1 << exponent_bits) - 1)
      size = mantissa ? std::numeric_limits<double>::quiet_NaN() : infinity;
    else if (exponent == 0)
      size = std::ldexp(mantissa, 1 - bias - mantissa_bits);
    else
      size = std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    return sign ? -size : size;
  };
  std::vector<double> out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.elements()); ++i) {
    switch (x.dtype()) {
      case DType::float32:
        out.push_back(at(i, float{}));
        break;
      case DType::float64:
        out.push_back(at(i, double{}));
        break;
      case DType::int32:
        out.push_back(at(i, std::int32_t{}));
        break;
      case DType::int64:
        out.push_back(static_cast<double>(at(i, std::int64_t{})));
        break;
      case DType::uint8:
      case DType::boolean:
        out.push_back(at(i, std::uint8_t{}));
        break;
      case DType::bfloat16:
        out.push_back(widened(at(i, std::uint16_t{}), 8, 7));
        break;
      case DType::float16:
        out.push_back(widened(at(i, std::uint16_t{}), 5, 10));
        break;
    }
  }
  return out;
}

/// What `x`, an element of `from`, must become; NaN stands for "unspecified" among the integers.
double converted(double x, DType to) {
  constexpr double unspecified = std::numeric_limits<double>::quiet_NaN();
  if (is_floating(to)) return std::isnan(x) ? x : rounded(x, format_of(to));
  if (to == DType::boolean) return x != 0 ? 1 : 0;
  const double whole = std::trunc(x) + 0.0;  // −0 becomes 0
  const double least = to == DType::uint8 ? 0 : to == DType::int32 ? -0x1p31 : -0x1p63;
  const double most = to == DType::uint8 ? 255 : to == DType::int32 ? 0x1p31 - 1 : 0x1p63;
  if (!(whole >= least && whole <= most) || whole == 0x1p63) return unspecified;
  return whole;
}

/// Numbers near every edge of every format, and drawn ones of all magnitudes.
std::vector<double> numbers() {
  std::vector<double> list;
  for (const double x :
       {0.0,
        1.0,
        1.5,
        2.5,
        0.5,
        255.0,
        255.9,
        256.0,
        257.0,
        65504.0,
        65519.0,
        65520.0,
        65536.0,
        0x1p31 - 1,
        0x1p31,
        0x1p53 + 2,
        0x1p62,
        0x1p-14,
        0x1p-15,
        0x1.8p-24,
        0x1p-24,
        0x1p-25,
        0x1.8p-25,
        0x1p-26,
        0x1p-126,
        0x1p-127,
        0x1p-133,
        0x1p-134,
        0x1.8p-134,
        0x1p-149,
        0x1p-150,
        0x1.8p-150,
        3.4028235677973366e38,
        0x1.fffffep127,
        0x1.fep127,
        0x1.ffp127,
        0x1p128,
        1e300,
        5e-324,
        infinity,
        std::numeric_limits<double>::quiet_NaN(),
        // Halfway between two 16-bit floats, and a hair beyond, which float32 does not see.
        1 + 0x1p-11,
        1 + 0x1.8p-10,
        1 + 0x1p-11 + 0x1p-40,
        1 + 0x1p-8,
        1 + 0x1.8p-7,
        1 + 0x1p-8 + 0x1p-40,
        1 + 0x1p-24,
        1 + 0x1.8p-23}) {
    list.push_back(x);
    list.push_back(-x);
  }
  Generator random(17);
  std::uniform_real_distribution<double> fraction(1, 2);
  std::uniform_int_distribution<int> exponent(-160, 130);
  std::uniform_int_distribution<int> small(-26, 20);
  for (int i = 0; i < 500; ++i) {
    list.push_back(std::ldexp(fraction(random), exponent(random)));
    list.push_back(-std::ldexp(fraction(random), small(random)));
  }
  return list;
}

}  // namespace

// Goal: every dtype becomes every other as IEEE 754 says. Method: a reference that rounds by
// scaling in double; the first dtype's elements are read back, so that only one conversion is
// judged.
TEST_CASE("casts round to the nearest, halves to even, for all pairs of dtypes", "[conformance]") {
  const std::vector<double> given = numbers();
  const auto count = static_cast<std::int64_t>(given.size());
  for (const std::string_view set : cpu::instruction_sets()) {
    System system(System::Options{.threads = 1});
    cpu::attach(system, {.instruction_set = std::string(set)});
    const Scope scope(system);
    const Tensor source = Tensor::copy_of<double>(given, {count});
    for (std::size_t f = 0; f < dtype_count; ++f)
      for (std::size_t t = 0; t < dtype_count; ++t) {
        const auto from = static_cast<DType>(f);
        const auto to = static_cast<DType>(t);
        INFO(set << ": " << name_of(from) << " to " << name_of(to));
        // Only what the first dtype holds is asked for.
        std::vector<double> held;
        for (const double x : given)
          if (const double y = converted(x, from); is_floating(from) || !std::isnan(y))
            held.push_back(x);
        const Tensor x =
            cast(Tensor::copy_of<double>(held, {static_cast<std::int64_t>(held.size())}), from);
        const std::vector<double> before = doubles_of(x);
        for (std::size_t i = 0; i < held.size(); ++i) {
          const double want = converted(held[i], from);
          const bool same = before[i] == want || (std::isnan(before[i]) && std::isnan(want));
          if (!same) UNSCOPED_INFO(held[i] << " became " << before[i] << ", not " << want);
          REQUIRE(same);
        }
        const std::vector<double> after = doubles_of(cast(x, to));
        for (std::size_t i = 0; i < held.size(); ++i) {
          const double want = converted(before[i], to);
          if (std::isnan(want) && !is_floating(to)) continue;
          const bool same = (after[i] == want && std::signbit(after[i]) == std::signbit(want)) ||
                            (std::isnan(after[i]) && std::isnan(want));
          if (!same) UNSCOPED_INFO(before[i] << " became " << after[i] << ", not " << want);
          REQUIRE(same);
        }
      }
  }
}
