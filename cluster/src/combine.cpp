#include "combine.hpp"

#include <bit>
#include <cstdint>
#include <type_traits>

namespace troupe::cluster {

namespace {

// What comes from a wire lies at any address.
template <class T>
struct Unaligned {
  using type [[gnu::aligned(1), gnu::may_alias]] = T;
};

float widen(BFloat16 x) noexcept { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }

BFloat16 narrow(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40u;
  return {static_cast<std::uint16_t>(x == x ? rounded : quiet)};
}

struct Sum {
  template <class T>
  static T of(T a, T b) noexcept {
    if constexpr (std::is_integral_v<T>) {
      using Wrapping = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<Wrapping>(a) + static_cast<Wrapping>(b));
    } else {
      return a + b;
    }
  }
};
// A NaN on the left is unequal to itself; one on the right makes the comparison false.
struct Max {
  template <class T>
  static T of(T a, T b) noexcept {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <class T>
  static T of(T a, T b) noexcept {
    return a < b || a != a ? a : b;
  }
};

template <class T, class Op>
void loop(
    std::byte* out, const std::byte* left, const std::byte* right, std::size_t bytes) noexcept {
  using Bits = std::conditional_t<std::is_same_v<T, BFloat16>, std::uint16_t, T>;
  using Element = typename Unaligned<Bits>::type;
  auto* o = reinterpret_cast<Element*>(out);
  const auto* l = reinterpret_cast<const Element*>(left);
  const auto* r = reinterpret_cast<const Element*>(right);
  const std::size_t n = bytes / sizeof(Bits);
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<T, BFloat16>) {
      o[i] = narrow(Op::of(widen(BFloat16{l[i]}), widen(BFloat16{r[i]}))).bits;
    } else {
      o[i] = Op::of(Bits{l[i]}, Bits{r[i]});
    }
  }
}

template <class T>
auto loop_of(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::max:
      return &loop<T, Max>;
    case Reduction::min:
      return &loop<T, Min>;
    default:
      return &loop<T, Sum>;
  }
}

}  // namespace

void combine(
    DType dtype,
    Reduction reduction,
    std::byte* out,
    const std::byte* left,
    const std::byte* right,
    std::size_t bytes) noexcept {
  switch (dtype) {
    case DType::float32:
      return loop_of<float>(reduction)(out, left, right, bytes);
    case DType::float64:
      return loop_of<double>(reduction)(out, left, right, bytes);
    case DType::bfloat16:
      return loop_of<BFloat16>(reduction)(out, left, right, bytes);
    case DType::int32:
      return loop_of<std::int32_t>(reduction)(out, left, right, bytes);
    case DType::int64:
      return loop_of<std::int64_t>(reduction)(out, left, right, bytes);
    default:
      return;  // refused before: is_reducible()
  }
}

}  // namespace troupe::cluster
