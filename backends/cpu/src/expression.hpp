#pragma once

#include "elementwise.hpp"
#include "pack_math.hpp"

#include <troupe/tensor/all_ops.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace troupe::cpu {

/// The loop of one op on one dtype. Whole packs first; the rest is padded to a pack, never computed
/// otherwise, so that an element's bits do not depend on where it stands.
template <class Op, class T, class A>
struct ExpressionOf {
  using P = Pack<T, A>;
  static constexpr std::size_t arity = Op::arity;
  static constexpr bool has_condition = requires { Op::first_is_condition; };

  template <std::size_t... I>
  static auto compute(const Op& op, const P (&x)[arity], std::index_sequence<I...>) {
    if constexpr (has_condition)
      return op.kernel(x[0] != P(0), x[I + 1]...);
    else
      return op.kernel(x[I]...);
  }
  static auto compute(const Op& op, const P (&x)[arity]) {
    return compute(op, x, std::make_index_sequence<arity - (has_condition ? 1 : 0)>{});
  }
  static constexpr bool answers = !std::is_same_v<
      decltype(compute(std::declval<const Op&>(), std::declval<const P (&)[arity]>())),
      P>;

  static void run(const void* attributes, void* out, const void* const* in, std::int64_t n) {
    const Op& op = *static_cast<const Op*>(attributes);
    if constexpr (answers)
      run_answers(op, static_cast<bool*>(out), in, n);
    else
      run_plain(op, static_cast<T*>(out), in, n);
  }

  /// What input k lies in memory as: a condition as bytes that are 0 or 1.
  template <std::size_t K>
  using Stored = std::conditional_t<has_condition && K == 0, std::uint8_t, T>;

  template <std::size_t K>
  static P load(const void* in, std::int64_t at) {
    const auto* const from = static_cast<const Stored<K>*>(in) + at;
    if constexpr (has_condition && K == 0)
      return P::of_bytes(from);
    else
      return P::load(from);
  }

  /// Output and inputs of one type, but for a condition. Flattened: a function that is called
  /// computes its constants anew for every pack.
  [[gnu::flatten]] static void run_plain(
      const Op& op, T* out, const void* const* in, std::int64_t n) {
    run_plain(op, out, in, n, std::make_index_sequence<arity>{});
  }
  template <std::size_t... K>
  static void run_plain(
      const Op& op, T* out, const void* const* in, std::int64_t n, std::index_sequence<K...>) {
    const void* const from[arity] = {in[K]...};
    const std::int64_t whole = n - n % P::size;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < whole; i += P::size) {
      const P x[arity] = {load<K>(from[K], i)...};
      compute(op, x).store(out + i);
    }
    if (whole == n) return;
    alignas(64) T padded[arity + 1][P::size] = {};
    const auto pad = [&]<std::size_t I>() {
      for (std::int64_t i = whole; i < n; ++i)
        padded[I][i - whole] = static_cast<T>(static_cast<const Stored<I>*>(from[I])[i]);
      return P::load(padded[I]);
    };
    const P x[arity] = {pad.template operator()<K>()...};
    compute(op, x).store(padded[arity]);
    for (std::int64_t i = whole; i < n; ++i) out[i] = padded[arity][i - whole];
  }

  /// Of yes-or-no bytes: they pass through blocks of the wide type, whose conversions the compiler
  /// vectorizes.
  [[gnu::flatten]] static void run_answers(
      const Op& op, bool* out, const void* const* in, std::int64_t n) {
    static_assert(!(answers && has_condition));
    constexpr std::int64_t block = 64 * (8 / sizeof(T));
    alignas(64) T staged[arity + 1][block];
    for (std::int64_t begin = 0; begin < n; begin += block) {
      const std::int64_t count = n - begin < block ? n - begin : block;
      const T* from[arity];
      for (std::size_t k = 0; k < arity; ++k) {
        from[k] = static_cast<const T*>(in[k]) + begin;
        if (count % P::size == 0) continue;
        for (std::int64_t i = count / P::size * P::size; i < count; ++i) staged[k][i] = from[k][i];
        for (std::int64_t i = count; i % P::size != 0; ++i) staged[k][i] = T(0);
      }
      for (std::int64_t i = 0; i < count; i += P::size) {
        P x[arity];
        for (std::size_t k = 0; k < arity; ++k)
          x[k] = P::load((i + P::size <= count ? from[k] : staged[k]) + i);
        select(compute(op, x), P(1), P(0)).store(staged[arity] + i);
      }
      for (std::int64_t i = 0; i < count; ++i) out[begin + i] = staged[arity][i] != T(0);
    }
  }
};

template <class Op, class A, class... Types>
constexpr Expressions expressions_for() {
  Expressions all;
  ((all.by_dtype[static_cast<std::size_t>(dtype_of<Types>)] = &ExpressionOf<Op, Types, A>::run),
   ...);
  all.waits = Op::promotion != Promotion::floating;
  return all;
}
template <class Op, class A>
constexpr Expressions expressions_of() {
  if constexpr (Op::floating_only)
    return expressions_for<Op, A, float, double>();
  else
    return expressions_for<Op, A, float, double, std::int32_t, std::int64_t, std::uint8_t, bool>();
}
template <class Op, class A>
inline constexpr Expressions expressions = expressions_of<Op, A>();

template <class Op, class A, bool Mine>
void add_expressions_of(const Expressions** place) {
  if constexpr (Mine && Op::family == OpFamily::elementwise) *place = &expressions<Op, A>;
}
/// Every fourth op is this part's: neighbours in the list are alike in what they cost the compiler.
template <class A, int Part, class... Ops, std::size_t... I>
void add_expressions_of(const Expressions** of_ops, OpList<Ops...>, std::index_sequence<I...>) {
  (add_expressions_of<Ops, A, I % expression_parts == Part>(of_ops + I), ...);
}

}  // namespace troupe::cpu
