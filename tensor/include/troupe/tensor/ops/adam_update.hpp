#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// One step of Adam, or of AdamW when the weight decay is decoupled from the gradient.
///
///     decoupled: w = w − lr · weight_decay · w, d = g;  else d = g + weight_decay · w
///     m' = beta1 · m + (1 − beta1) · d
///     v' = beta2 · v + (1 − beta2) · d²
///     u = amsgrad ? u' = max(u, v') : v'
///     w' = w − lr / (1 − beta1^step) · m' / (√u / √(1 − beta2^step) + eps)
///
/// Shape    w, m, v, u when amsgrad, g: all alike; scalars [2] = {lr, step}, steps counted from 1
///          → w', m', v', u' when amsgrad.
/// Dtype    w … g float32 or float64, all the same; scalars float64, in which the powers are taken.
/// Saves    nothing: an update has no gradient.
/// Errors   `shape_mismatch`, `dtype_mismatch`; `invalid_argument` for attributes out of range.
/// Source   Kingma and Ba 2015; Loshchilov and Hutter 2019; torch.optim.Adam, AdamW. Works in
///          place: an output may be its input's own memory.
struct AdamUpdate : OpDefaults {
  static constexpr OpId id{901};
  static constexpr std::string_view name = "adam_update";
  static constexpr std::int8_t donates = 0;

  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;  ///< AdamW
  bool amsgrad = false;
  bool maximize = false;

  void infer(std::span<const Meta> in, Metas& out) const {
    const std::size_t states = amsgrad ? 3 : 2;
    require_inputs(in, 3 + states, 3 + states);
    require_update(in, states);
    if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1))
      throw Error(ErrorCode::invalid_argument, "the betas must be at least 0 and below 1")
          .hint("0.9 and 0.999 are the usual ones");
    if (!(eps >= 0) || !(weight_decay >= 0))
      throw Error(ErrorCode::invalid_argument, "eps and weight decay must not be negative")
          .hint("1e-8 and 0 are the usual ones");
    for (std::size_t i = 0; i <= states; ++i) out.push_back(in[0]);
  }

  template <class V>
  void fields(V& visit) {
    visit.field("beta1", beta1);
    visit.field("beta2", beta2);
    visit.field("eps", eps);
    visit.field("weight_decay", weight_decay);
    visit.field("decoupled", decoupled);
    visit.field("amsgrad", amsgrad);
    visit.field("maximize", maximize);
  }
  bool operator==(const AdamUpdate&) const = default;
};

}  // namespace troupe
