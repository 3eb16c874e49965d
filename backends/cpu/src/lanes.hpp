#pragma once

#include "pack.hpp"
#include "stream.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace troupe::cpu {

/// Loads and stores that reach over fewer elements than a register has lanes, and sums across lanes
/// in a fixed order. Tails so run the very code that whole registers run, and an element's bits do
/// not depend on where it stands.
template <class T, class A>
struct Lanes {
  using V = Vec<T, A>;
  static constexpr std::int64_t count = static_cast<std::int64_t>(V::size);

  /// The first `n` elements; the other lanes hold `rest`.
  static V load(const T* from, std::int64_t n, T rest) {
    if (n >= count) return V::load_unaligned(from);
#ifdef __AVX512F__
    if constexpr (sizeof(V) == 64) {
      if constexpr (std::is_same_v<T, float>)
        return _mm512_mask_loadu_ps(V(rest), first_lanes(n), from);
      else
        return _mm512_mask_loadu_pd(V(rest), first_lanes(n), from);
    }
#endif
    alignas(64) T lanes[count];
    for (std::int64_t i = 0; i < count; ++i) lanes[i] = i < n ? from[i] : rest;
    return V::load_aligned(lanes);
  }
  static void store(T* to, std::int64_t n, V value) {
    if (n >= count) {
      value.store_unaligned(to);
      return;
    }
#ifdef __AVX512F__
    if constexpr (sizeof(V) == 64) {
      if constexpr (std::is_same_v<T, float>)
        _mm512_mask_storeu_ps(to, first_lanes(n), value);
      else
        _mm512_mask_storeu_pd(to, first_lanes(n), value);
      return;
    }
#endif
    alignas(64) T lanes[count];
    value.store_aligned(lanes);
    for (std::int64_t i = 0; i < n; ++i) to[i] = lanes[i];
  }

  /// Folds halves onto each other until one lane is left.
  static T sum(V value) {
    return fold(
        value, [](auto a, auto b) { return Half::add(a, b); }, [](T a, T b) { return a + b; });
  }
  static T max(V value) {
    return fold(
        value,
        [](auto a, auto b) { return Half::max(a, b); },
        [](T a, T b) { return a < b ? b : a; });
  }

 private:
#ifdef __AVX512F__
  static constexpr auto first_lanes(std::int64_t n) {
    using Mask = std::conditional_t<std::is_same_v<T, float>, __mmask16, __mmask8>;
    return static_cast<Mask>((1u << n) - 1);
  }
#endif
  /// What registers narrower than `V` are joined by: by intrinsics, for xsimd's functions on them
  /// belong to another instruction set.
  struct Half {
    static __m128 add(__m128 a, __m128 b) { return _mm_add_ps(a, b); }
    static __m128d add(__m128d a, __m128d b) { return _mm_add_pd(a, b); }
    // b where a is less: the processor gives its second operand where either is a NaN.
    static __m128 max(__m128 a, __m128 b) { return _mm_max_ps(b, a); }
    static __m128d max(__m128d a, __m128d b) { return _mm_max_pd(b, a); }
#ifdef __AVX__
    static __m256 add(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
    static __m256d add(__m256d a, __m256d b) { return _mm256_add_pd(a, b); }
    static __m256 max(__m256 a, __m256 b) { return _mm256_max_ps(b, a); }
    static __m256d max(__m256d a, __m256d b) { return _mm256_max_pd(b, a); }
#endif
  };
  template <class Join, class Last>
  static T fold(V value, const Join& join, const Last& last) {
#ifdef __AVX512F__
    if constexpr (sizeof(V) == 64) {
      if constexpr (std::is_same_v<T, float>)
        return fold(
            join(_mm512_castps512_ps256(value), _mm512_extractf32x8_ps(value, 1)), join, last);
      else
        return fold(
            join(_mm512_castpd512_pd256(value), _mm512_extractf64x4_pd(value, 1)), join, last);
    }
#endif
#ifdef __AVX__
    if constexpr (sizeof(V) == 32) {
      if constexpr (std::is_same_v<T, float>)
        return fold(__m256(value), join, last);
      else
        return fold(__m256d(value), join, last);
    }
#endif
    if constexpr (sizeof(V) == 16) {
      if constexpr (std::is_same_v<T, float>)
        return fold(__m128(value), join, last);
      else
        return fold(__m128d(value), join, last);
    }
  }
#ifdef __AVX__
  template <class Join, class Last>
  static float fold(__m256 value, const Join& join, const Last& last) {
    return fold(join(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1)), join, last);
  }
  template <class Join, class Last>
  static double fold(__m256d value, const Join& join, const Last& last) {
    return fold(join(_mm256_castpd256_pd128(value), _mm256_extractf128_pd(value, 1)), join, last);
  }
#endif
  template <class Join, class Last>
  static float fold(__m128 value, const Join& join, const Last& last) {
    const __m128 two = join(value, _mm_movehl_ps(value, value));
    return last(_mm_cvtss_f32(two), _mm_cvtss_f32(_mm_shuffle_ps(two, two, 1)));
  }
  template <class Join, class Last>
  static double fold(__m128d value, const Join&, const Last& last) {
    return last(_mm_cvtsd_f64(value), _mm_cvtsd_f64(_mm_unpackhi_pd(value, value)));
  }
};

/// The first `n` elements of a pack; the other lanes hold `rest`. None where n ≤ 0.
template <class T, class A>
void load_some(Pack<T, A>& pack, const T* from, std::int64_t n, T rest) {
  pack.r = Lanes<T, A>::load(from, n < 0 ? 0 : n, rest);
}
template <class P, class T>
void load_some(Twin<P>& pack, const T* from, std::int64_t n, T rest) {
  load_some(pack.low, from, n, rest);
  load_some(pack.high, from + P::size, n - P::size, rest);
}
template <class T, class A>
void store_some(Pack<T, A> pack, T* to, std::int64_t n) {
  Lanes<T, A>::store(to, n < 0 ? 0 : n, pack.r);
}
template <class P, class T>
void store_some(const Twin<P>& pack, T* to, std::int64_t n) {
  store_some(pack.low, to, n);
  store_some(pack.high, to + P::size, n - P::size);
}

/// How the lines of one group lie in a tensor seen as [outer, length, inner], lines being along the
/// middle.
enum class Along {
  one,     ///< one line, whose neighbours are adjacent in memory; a pack holds pieces of it
  across,  ///< adjacent lines, as many as four registers have lanes
};

/// One group of lines. A kernel written against this serves both ways in which they lie.
template <class T, class A, Along along>
struct Line {
  using One = Pack<T, A>;
  using V = std::conditional_t<along == Along::across, Twin<Twin<One>>, One>;
  static constexpr bool across = along == Along::across;
  static constexpr std::int64_t lines = across ? V::size : 1;    ///< at most
  static constexpr std::int64_t width = across ? 1 : One::size;  ///< elements of a line in a pack

  std::int64_t base;    ///< the first element's place in the tensor
  std::int64_t length;  ///< elements in a line
  std::int64_t stride;  ///< between a line's elements: `inner`
  std::int64_t lanes;   ///< lines in the group; 1 unless across

  /// Groups in a tensor of that many outer and inner places; of lines along, one each.
  static std::int64_t groups(std::int64_t outer, std::int64_t inner) {
    return across ? outer * ((inner + lines - 1) / lines) : outer;
  }
  static Line at(std::int64_t group, std::int64_t length, std::int64_t inner) {
    if constexpr (!across) return {group * length, length, 1, 1};
    const std::int64_t per_outer = (inner + lines - 1) / lines;
    const std::int64_t first = group % per_outer * lines;
    const std::int64_t left = inner - first;
    return {group / per_outer * length * inner + first, length, inner, left < lines ? left : lines};
  }
  /// The place of this group's first line among all lines [outer, inner].
  [[nodiscard]] std::int64_t first_line() const {
    if constexpr (!across) return base / (length ? length : 1);
    const std::int64_t outer = base / (length * stride);
    return outer * stride + base % stride;
  }

  /// One pack of the group's elements: all its lanes hold elements, or the first `active` do.
  template <bool whole>
  struct At {
    std::int64_t place;  ///< of its first element in the tensor
    std::int64_t index;  ///< of that element along the line
    std::int64_t active;
    std::int64_t length;  ///< of the lines

    [[nodiscard]] V load(const T* tensor, T rest) const {
      if constexpr (whole) return V::load(tensor + place);
      V pack;
      load_some(pack, tensor + place, active, rest);
      return pack;
    }
    void store(T* tensor, const V& value) const {
      if constexpr (whole)
        value.store(tensor + place);
      else
        store_some(value, tensor + place, active);
    }
    /// Stores what nobody will read soon; past the caches if `streams`, as `Line::streams` allows.
    void put(T* tensor, const V& value, bool streams) const {
      if (whole && streams)
        value.stream(tensor + place);
      else
        store(tensor, value);
    }
    /// The same place of the line behind this one, or of the one before.
    [[nodiscard]] At next() const { return {place + length, index, active, length}; }
    [[nodiscard]] At previous() const { return {place - length, index, active, length}; }
    /// Brings the same place of the next line near, before anyone waits for it.
    void fetch_next(const T* tensor) const {
      if constexpr (!across)
        _mm_prefetch(reinterpret_cast<const char*>(tensor + place + length), _MM_HINT_T1);
    }
    /// A value for each element of the middle, the same for all lines, as class weights are. Lanes
    /// beyond the line hold 0.
    [[nodiscard]] V shared(const T* values) const {
      if constexpr (across) return V(values[index]);
      if constexpr (whole && !across) return V::load(values + index);
      V pack;
      load_some(pack, values + index, active, T(0));
      return pack;
    }
    /// Stores such values; along lines only.
    void store_shared(T* values, const V& value) const {
      static_assert(!across);
      if constexpr (whole)
        value.store(values + index);
      else
        store_some(value, values + index, active);
    }
    /// `value` in the lanes that hold elements, 0 in the others.
    [[nodiscard]] V where_active(const V& value) const {
      if constexpr (whole || across) return value;
      alignas(64) T ones[V::size];
      for (std::int64_t i = 0; i < V::size; ++i) ones[i] = i < active ? T(1) : T(0);
      return select(V(0) < V::load(ones), value, V(0));
    }
  };

  /// Whether a result [outer, length, inner] of such lines is stored past the caches: it is large,
  /// and every register of it is aligned.
  static bool streams(
      const T* result, std::int64_t outer, std::int64_t length, std::int64_t inner) {
    constexpr auto bytes = static_cast<std::int64_t>(sizeof(typename One::Register));
    return Stream<A>::pays(outer * length * inner * static_cast<std::int64_t>(sizeof(T))) &&
           reinterpret_cast<std::uintptr_t>(result) % bytes == 0 &&
           (across ? inner : length) % One::size == 0;
  }

  /// Calls `body(at)` for each pack of the group, in order.
  template <class Body>
  [[gnu::always_inline]] void each(const Body& body) const {
    const std::int64_t count = whole_packs();
    for (std::int64_t i = 0; i < count; ++i) body(at_pack<true>(i));
    for (std::int64_t i = count; i * width < length; ++i) body(at_pack<false>(i));
  }
  /// What `start` becomes by `step(so_far, at)` for each pack; along a line in four partial
  /// results, so that none waits for the one before, which `join` makes one.
  template <class S, class Step, class Join>
  [[gnu::always_inline]] S folded(const S& start, const Step& step, const Join& join) const {
    if constexpr (across) {
      S so_far = start;
      each([&](auto at) { so_far = step(so_far, at); });
      return so_far;
    }
    S a = start;
    S b = start;
    S c = start;
    S d = start;
    const std::int64_t count = whole_packs();
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
      a = step(a, at_pack<true>(i));
      b = step(b, at_pack<true>(i + 1));
      c = step(c, at_pack<true>(i + 2));
      d = step(d, at_pack<true>(i + 3));
    }
    for (; i < count; ++i) a = step(a, at_pack<true>(i));
    if (i * width < length) b = step(b, at_pack<false>(i));
    return join(join(a, b), join(c, d));
  }
  /// How many of the group's elements there are in each lane of its packs.
  [[nodiscard]] V counts() const {
    if constexpr (across) return V(static_cast<double>(length));
    const auto whole = static_cast<double>(length / width);
    if (length % width == 0) return V(whole);
    return V(whole) + at_pack<false>(length / width).where_active(V(1));
  }
  /// The sum of `term(at)` over each line, in all lanes that hold its elements. Terms must be 0
  /// beyond the line.
  template <class Term>
  [[gnu::always_inline]] V sum_of(const Term& term) const {
    return summed(folded(
        V(0),
        [&](const V& so_far, auto at) { return so_far + term(at); },
        [](const V& a, const V& b) { return a + b; }));
  }
  /// The sum over the lanes of packs along a line, in all of them; across lines it stands already.
  static V summed(const V& sum) {
    return in_lines(sum, [](Vec<T, A> lanes) { return Lanes<T, A>::sum(lanes); });
  }
  /// The largest element of each line, in all lanes that hold its elements.
  [[gnu::always_inline]] V max_of(const T* tensor) const {
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    const V most = folded(
        V(-std::numeric_limits<double>::infinity()),
        [&](const V& so_far, auto at) { return larger(so_far, at.load(tensor, lowest)); },
        [](const V& a, const V& b) { return larger(a, b); });
    return largest(most);
  }
  static V largest(const V& most) {
    return in_lines(most, [](Vec<T, A> lanes) { return Lanes<T, A>::max(lanes); });
  }
  /// A value for each line, in all lanes that hold its elements.
  static V spread(const T* of_lines) {
    if constexpr (across)
      return V::load(of_lines);
    else
      return one(of_lines[0]);
  }
  /// Writes down each line's value; `of_lines` has room for all lines that a group can have.
  static void write_down(const V& value, T* of_lines) {
    alignas(64) T lanes_of[V::size];
    value.store(lanes_of);
    for (std::int64_t i = 0; i < lines; ++i) of_lines[i] = lanes_of[i];
  }

 private:
  static One one(T number) { return Vec<T, A>(number); }
  [[nodiscard]] std::int64_t whole_packs() const {
    return across ? (lanes == lines ? length : 0) : length / width;
  }
  template <bool whole>
  [[nodiscard]] At<whole> at_pack(std::int64_t i) const {
    return {
        base + i * (across ? stride : width),
        i * width,
        across ? lanes : length - i * width,
        length};
  }
  template <class Fold>
  static V in_lines(const V& pack, const Fold& fold) {
    if constexpr (across)
      return pack;
    else
      return one(fold(pack.r));
  }
};

}  // namespace troupe::cpu
