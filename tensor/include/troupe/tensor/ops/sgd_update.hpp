#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// One step of stochastic gradient descent.
///
///     d = (maximize ? −g : g) + weight_decay · w
///     with momentum: buf' = step == 1 ? d : momentum · buf + (1 − dampening) · d
///                    d = nesterov ? d + momentum · buf' : buf'
///     w' = w − lr · d
///
/// Shape    w; buf when momentum is not 0; g: all alike; scalars [2] = {lr, step}, steps counted
///          from 1 → w'; buf'.
/// Dtype    w, buf, g float32 or float64, all the same; scalars float64.
/// Saves    nothing: an update has no gradient.
/// Errors   `shape_mismatch`, `dtype_mismatch`; `invalid_argument` for negative attributes, and for
///          Nesterov's momentum without momentum or with dampening.
/// Source   torch.optim.SGD. Works in place: an output may be its input's own memory.
struct SgdUpdate : OpDefaults {
  static constexpr OpId id{900};
  static constexpr std::string_view name = "sgd_update";
  static constexpr std::int8_t donates = 0;

  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
  bool maximize = false;

  void infer(std::span<const Meta> in, Metas& out) const {
    const std::size_t states = momentum == 0 ? 0 : 1;
    require_inputs(in, 3 + states, 3 + states);
    require_update(in, states);
    if (!(momentum >= 0) || !(weight_decay >= 0))
      throw Error(ErrorCode::invalid_argument, "momentum and weight decay must not be negative")
          .hint("0 turns either off");
    if (nesterov && (momentum == 0 || dampening != 0))
      throw Error(
          ErrorCode::invalid_argument,
          "Nesterov's momentum needs a momentum above 0 and no dampening")
          .hint("0.9 is a usual momentum; dampening must be 0 beside it");
    for (std::size_t i = 0; i <= states; ++i) out.push_back(in[0]);
  }

  template <class V>
  void fields(V& visit) {
    visit.field("momentum", momentum);
    visit.field("dampening", dampening);
    visit.field("weight_decay", weight_decay);
    visit.field("nesterov", nesterov);
    visit.field("maximize", maximize);
  }
  bool operator==(const SgdUpdate&) const = default;
};

}  // namespace troupe
