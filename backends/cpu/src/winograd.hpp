#pragma once

#include "simd.hpp"

#include <cstdint>
#include <utility>

/// Winograd's minimal filtering with six points, for kernels of 3×3 at stride 1: F(4×4, 3×3) makes
/// 4×4 results of a channel from 36 products where the plain sum takes 144, and F(3×3, 4×4) does
/// the same for the gradient of the weights.
///
/// Along one axis, with sources d (6 of them), weights g (3), results y (4):
///
///     y = Aᵀ·(G·g ⊙ Bᵀ·d)
///
/// where a row of Aᵀ and of G holds powers of the points, and Bᵀ the coefficients of the
/// polynomials that are 0 at all other points.
///
/// Points   0, ±5/8, ±3/2 and ∞. The usual 0, ±1, ±2 make six times the rounding error of the plain
///          sum, these under three times; their squares and products are floats, so Aᵀ and Bᵀ are
///          exact.
/// Source   Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015); the choice
/// of
///          points after Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd
///          Convolution" (2018).
namespace troupe::cpu {

template <class A>
struct Winograd {
  using V = Vec<float, A>;
  static constexpr int lanes = static_cast<int>(V::size);
  static constexpr int points = 6;

  static constexpr float a = 0.625f;
  static constexpr float b = 1.5f;
  static constexpr float aa = a * a;
  static constexpr float bb = b * b;
  /// What G is divided by: the other points' polynomials at a point.
  static constexpr double divisor[points] = {
      double(aa) * bb,
      2.0 * aa*(double(aa) - bb),
      2.0 * aa*(double(aa) - bb),
      2.0 * bb*(double(bb) - aa),
      2.0 * bb*(double(bb) - aa),
      1.0};

  static V fma(V x, V y, V z) noexcept { return fused_multiply_add<float, A>(x, y, z); }

  /// Bᵀ·d.
  static void source(const V (&d)[6], V (&to)[6]) noexcept {
    const V outer(aa * bb);
    const V sum(-(aa + bb));
    to[0] = fma(outer, d[0], fma(sum, d[2], d[4]));
    to[5] = fma(outer, d[1], fma(sum, d[3], d[5]));
    pair(fma(V(-bb), d[2], d[4]), fma(V(-bb), d[1], d[3]), a, to[1], to[2]);
    pair(fma(V(-aa), d[2], d[4]), fma(V(-aa), d[1], d[3]), b, to[3], to[4]);
  }
  /// G·g for three weights.
  static void weights(const V (&g)[3], V (&to)[6]) noexcept {
    to[0] = g[0] * V(float(1 / divisor[0]));
    to[5] = g[2];
    pair(fma(V(aa), g[2], g[0]), g[1], a, to[1], to[2]);
    pair(fma(V(bb), g[2], g[0]), g[1], b, to[3], to[4]);
    const V near(float(1 / divisor[1]));
    const V far(float(1 / divisor[3]));
    to[1] = to[1] * near;
    to[2] = to[2] * near;
    to[3] = to[3] * far;
    to[4] = to[4] * far;
  }
  /// Aᵀ·m: four results.
  static void result(const V (&m)[6], V (&to)[4]) noexcept {
    const V even_a = m[1] + m[2];
    const V even_b = m[3] + m[4];
    const V odd_a = m[1] - m[2];
    const V odd_b = m[3] - m[4];
    to[0] = m[0] + even_a + even_b;
    to[1] = fma(V(b), odd_b, V(a) * odd_a);
    to[2] = fma(V(bb), even_b, V(aa) * even_a);
    to[3] = fma(V(bb * b), odd_b, fma(V(aa * a), odd_a, m[5]));
  }
  /// G·dy for four gradients of results, not yet divided.
  static void gradient(const V (&dy)[4], V (&to)[6]) noexcept {
    to[0] = dy[0];
    to[5] = dy[3];
    pair(fma(V(aa), dy[2], dy[0]), fma(V(aa), dy[3], dy[1]), a, to[1], to[2]);
    pair(fma(V(bb), dy[2], dy[0]), fma(V(bb), dy[3], dy[1]), b, to[3], to[4]);
  }
  /// Aᵀ·m for three weights, and what gradient() left undivided.
  static void weight_result(const V (&m)[6], V (&to)[3]) noexcept {
    const V near(float(1 / divisor[1]));
    const V far(float(1 / divisor[3]));
    const V even_a = (m[1] + m[2]) * near;
    const V even_b = (m[3] + m[4]) * far;
    const V odd_a = (m[1] - m[2]) * near;
    const V odd_b = (m[3] - m[4]) * far;
    to[0] = fma(V(float(1 / divisor[0])), m[0], even_a + even_b);
    to[1] = fma(V(b), odd_b, V(a) * odd_a);
    to[2] = fma(V(bb), even_b, fma(V(aa), even_a, m[5]));
  }

  // Registers are shuffled as the compiler's own vectors, which works for any width.

  /// Elements 0, 2, 4, … and 1, 3, 5, … of two registers in a row.
  static V even(V x, V y) noexcept { return every_other<0>(x, y, order); }
  static V odd(V x, V y) noexcept { return every_other<1>(x, y, order); }
  /// Registers of x0 y0 x1 y1 …: the first half and the second.
  static V zip_low(V x, V y) noexcept { return zip<0>(x, y, order); }
  static V zip_high(V x, V y) noexcept { return zip<lanes / 2>(x, y, order); }
  /// Elements from the fourth on of two registers in a row.
  static V from_fourth(V x, V y) noexcept { return fourth(x, y, order); }

  /// Parts four registers in a row, from[0 … 4·lanes), into places 0 to 3 of each four.
  static void part(const float* from, V (&to)[4]) noexcept {
    V halves[4];
    part_halves(from, halves);
    to[0] = even(halves[0], halves[1]);
    to[1] = even(halves[2], halves[3]);
    to[2] = odd(halves[0], halves[1]);
    to[3] = odd(halves[2], halves[3]);
  }
  /// Places 0 and 1 only.
  static void part_first(const float* from, V& first, V& second) noexcept {
    V halves[4];
    part_halves(from, halves);
    first = even(halves[0], halves[1]);
    second = even(halves[2], halves[3]);
  }
  /// What part() would part.
  static void join(const V (&from)[4], float* to) noexcept {
    const V low0 = zip_low(from[0], from[2]);
    const V high0 = zip_high(from[0], from[2]);
    const V low1 = zip_low(from[1], from[3]);
    const V high1 = zip_high(from[1], from[3]);
    zip_low(low0, low1).store_unaligned(to);
    zip_high(low0, low1).store_unaligned(to + lanes);
    zip_low(high0, high1).store_unaligned(to + 2 * lanes);
    zip_high(high0, high1).store_unaligned(to + 3 * lanes);
  }

 private:
  using Register [[gnu::vector_size(lanes * sizeof(float))]] = float;
  static constexpr auto order = std::make_index_sequence<static_cast<std::size_t>(lanes)>();

  static Register raw(V x) noexcept {
    return static_cast<Register>(static_cast<typename V::register_type>(x));
  }
  static V pack(Register x) noexcept { return static_cast<typename V::register_type>(x); }

  /// sum ± point·rest
  static void pair(V sum, V rest, float point, V& plus, V& minus) noexcept {
    plus = fma(V(point), rest, sum);
    minus = fma(V(-point), rest, sum);
  }
  static void part_halves(const float* from, V (&to)[4]) noexcept {
    const V r0 = V::load_unaligned(from);
    const V r1 = V::load_unaligned(from + lanes);
    const V r2 = V::load_unaligned(from + 2 * lanes);
    const V r3 = V::load_unaligned(from + 3 * lanes);
    to[0] = even(r0, r1);
    to[1] = even(r2, r3);
    to[2] = odd(r0, r1);
    to[3] = odd(r2, r3);
  }
  template <int First, std::size_t... L>
  static V every_other(V x, V y, std::index_sequence<L...>) noexcept {
    return pack(__builtin_shufflevector(raw(x), raw(y), static_cast<int>(2 * L + First)...));
  }
  template <int First, std::size_t... L>
  static V zip(V x, V y, std::index_sequence<L...>) noexcept {
    return pack(__builtin_shufflevector(
        raw(x), raw(y), static_cast<int>(First + L / 2 + L % 2 * lanes)...));
  }
  template <std::size_t... L>
  static V fourth(V x, V y, std::index_sequence<L...>) noexcept {
    return pack(__builtin_shufflevector(raw(x), raw(y), static_cast<int>(4 + L)...));
  }
};

}  // namespace troupe::cpu
