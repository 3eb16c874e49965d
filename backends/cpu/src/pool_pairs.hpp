#pragma once

#include "simd.hpp"

#include <troupe/tensor/ops/max_pool2d.hpp>

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

/// Max pooling by windows of 2×2 that tile the plane, on whole registers: pairs of rows are parted
/// into even and odd columns.
namespace troupe::cpu {

/// What elements are compared as: bfloat16, the upper half of a float32, as that.
template <class T>
using Compared = std::conditional_t<std::is_same_v<T, BFloat16>, float, T>;

/// Registers of `N` elements as the compiler's own vectors, whose shuffles work for any width.
template <class T, int N, class A>
struct Pairs {
  using Value = Compared<T>;
  using Number = std::conditional_t<sizeof(Value) == 4, std::int32_t, std::int64_t>;
  typedef Value V __attribute__((vector_size(sizeof(Value) * N)));
  typedef Number I __attribute__((vector_size(sizeof(Value) * N)));
  typedef std::uint8_t Bytes __attribute__((vector_size(N)));
  // Elements that are only moved, as they are, and their places; words that bfloat16 is widened to.
  // All of types that depend on T, or GCC 12 takes vectors of N for complete too soon.
  using Raw = std::conditional_t<sizeof(T) == 2, std::uint16_t, T>;
  using Place = std::conditional_t<sizeof(T) == 2, std::int16_t, Number>;
  using Word = std::conditional_t<sizeof(T) == 2, std::uint32_t, T>;
  typedef Raw Moved __attribute__((vector_size(sizeof(Raw) * N)));
  typedef Place Places __attribute__((vector_size(sizeof(Place) * N)));
  typedef Word Words __attribute__((vector_size(sizeof(Word) * N)));

  static V load(const T* from) {
    V v;
    if constexpr (std::is_same_v<T, BFloat16>) {
      Moved upper;
      std::memcpy(&upper, from, sizeof upper);
      const Words words = __builtin_convertvector(upper, Words) << 16;
      std::memcpy(&v, &words, sizeof v);
    } else {
      std::memcpy(&v, from, sizeof(V));
    }
    return v;
  }
  static void store(T* to, V v) {
    if constexpr (std::is_same_v<T, BFloat16>) {
      Words words;
      std::memcpy(&words, &v, sizeof words);
      const Moved upper = __builtin_convertvector(words >> 16, Moved);
      std::memcpy(static_cast<void*>(to), &upper, sizeof upper);
    } else {
      std::memcpy(to, &v, sizeof(V));
    }
  }

  template <std::size_t... L>
  static V even(V a, V b, std::index_sequence<L...>) {
    return __builtin_shufflevector(a, b, static_cast<int>(2 * L)...);
  }
  template <std::size_t... L>
  static V odd(V a, V b, std::index_sequence<L...>) {
    return __builtin_shufflevector(a, b, static_cast<int>(2 * L + 1)...);
  }
  /// The first (Half = 0) or second half of a0 b0 a1 b1 …
  template <int Half, class W, std::size_t... L>
  static W mixed(W a, W b, std::index_sequence<L...>) {
    return __builtin_shufflevector(a, b, static_cast<int>(L / 2 + L % 2 * N + Half * (N / 2))...);
  }

  /// Takes `value`, and its place, where it is larger or a NaN.
  static void take(V& most, I& where, V value, Number place) {
    const I better = (value > most) | (value != value);
    most = better ? value : most;
    where = better ? I{} + place : where;
  }

  /// `places`: null where they are not kept.
  static void forward(const T* upper, const T* lower, bool relu, T* y, std::uint8_t* places) {
    constexpr auto lanes = std::make_index_sequence<N>();
    const V upper0 = load(upper);
    const V upper1 = load(upper + N);
    const V lower0 = load(lower);
    const V lower1 = load(lower + N);
    V most = even(upper0, upper1, lanes);
    I where{};
    take(most, where, odd(upper0, upper1, lanes), 1);
    take(most, where, even(lower0, lower1, lanes), 2);
    take(most, where, odd(lower0, lower1, lanes), 3);
    if (relu) {
      const I positive = most > 0;
      most = (positive | (most != most)) ? most : V{};
      where = positive ? where : I{} + 4;
    }
    store(y, most);
    if (!places) return;
    const Bytes bytes = __builtin_convertvector(where, Bytes);
    std::memcpy(places, &bytes, N);
  }

  static void backward(const T* dy, const std::uint8_t* places, T* upper, T* lower) {
    constexpr auto lanes = std::make_index_sequence<N>();
    Bytes bytes;
    std::memcpy(&bytes, places, N);
    const Places where = __builtin_convertvector(bytes, Places);
    Moved d;
    std::memcpy(&d, dy, sizeof d);
    const Moved zero{};
    const Moved at0 = where == 0 ? d : zero;
    const Moved at1 = where == 1 ? d : zero;
    const Moved at2 = where == 2 ? d : zero;
    const Moved at3 = where == 3 ? d : zero;
    const auto put = [](T* to, Moved numbers) {
      std::memcpy(static_cast<void*>(to), &numbers, sizeof numbers);
    };
    put(upper, mixed<0>(at0, at1, lanes));
    put(upper + N, mixed<1>(at0, at1, lanes));
    put(lower, mixed<0>(at2, at3, lanes));
    put(lower + N, mixed<1>(at2, at3, lanes));
  }
};

/// Calls `at(j)` for the beginnings of pieces of N that cover [0, size); the last one overlaps the
/// one before rather than be shorter, and does the same work again. Needs size ≥ N.
template <int N, class A, class At>
void for_pieces(std::int64_t size, const At& at) {
  for (std::int64_t j = 0; j + N <= size; j += N) at(j);
  if (size % N) at(size - N);
}

/// Calls `at.operator()<Pairs>(j)` for pieces of a row. A row that is shorter than a register is
/// one piece all the same, which takes in the beginning of the next row: what is written there is
/// written again with that row. The last row of a chunk has no next one, and goes by shorter
/// pieces.
template <class T, int N, class A, class At>
void for_row(std::int64_t out_width, bool last, const At& at) {
  if (out_width >= N) {
    for_pieces<N, A>(out_width, [&](std::int64_t j) { at.template operator()<Pairs<T, N, A>>(j); });
  } else if (!last) {
    at.template operator()<Pairs<T, N, A>>(0);
  } else if constexpr (N > 2) {
    for_pieces<N / 2, A>(
        out_width, [&](std::int64_t j) { at.template operator()<Pairs<T, N / 2, A>>(j); });
  }
}

/// Calls `use.operator()<N>()` with the widest pieces of which a row fills more than a half; not
/// for rows of one element.
template <class T, class A, class Use>
void with_piece(std::int64_t out_width, const Use& use) {
  using Value = Compared<T>;
  constexpr int most = static_cast<int>(sizeof(Vec<Value, A>) / sizeof(Value));
  if constexpr (most >= 16)
    if (out_width > 8) return use.template operator()<16>();
  if constexpr (most >= 8)
    if (out_width > 4) return use.template operator()<8>();
  if constexpr (most >= 4)
    if (out_width > 2) return use.template operator()<4>();
  if (out_width >= 2) use.template operator()<2>();
}

/// Whether windows are 2×2 and tile the plane.
template <class A>
bool tiles_of_two(const MaxPool2dRule& rule) noexcept {
  for (std::size_t i = 0; i < 2; ++i)
    if (rule.kernel_size[i] != 2 || rule.stride[i] != 2 || rule.padding[i] != 0 ||
        rule.dilation[i] != 1)
      return false;
  return !rule.ceil_mode;
}

/// Pools `out_height` pairs of dense rows of `width` elements, half as many in a row of the result,
/// at least 2. `places`: null where they are not kept.
template <class T, class A>
void pool_rows(
    const T* x,
    std::int64_t width,
    std::int64_t out_height,
    bool relu,
    T* y,
    std::uint8_t* places) noexcept {
  const std::int64_t out_width = width / 2;
  with_piece<T, A>(out_width, [&]<int N>() {
    for (std::int64_t i = 0; i < out_height; ++i) {
      const T* const upper = x + 2 * i * width;
      const std::int64_t out = i * out_width;
      for_row<T, N, A>(out_width, i + 1 == out_height, [&]<class Piece>(std::int64_t j) {
        Piece::forward(
            upper + 2 * j,
            upper + width + 2 * j,
            relu,
            y + out + j,
            places ? places + out + j : nullptr);
      });
    }
  });
}

}  // namespace troupe::cpu
