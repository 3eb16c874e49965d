#pragma once

#include "lanes.hpp"
#include "pack_math.hpp"

#include <limits>

namespace troupe::cpu {

/// Σ e^(x − max x) of lines, one group after the other.
///
/// Powers keep the processor's arithmetic busy, the pass for the maximum its ways to memory: so the
/// next line's maximum is found while a line's powers are computed.
template <class Group, class T>
class PowerSum {
 public:
  using V = typename Group::V;

  explicit PowerSum(const T* x) : x_(x) {}

  /// Moves on to a group; `more`: the next call will be for the one behind it.
  [[gnu::always_inline]] void take(const Group& line, bool more) {
    most = ready_ ? ahead_ : line.max_of(x_);
    ready_ = more && !Group::across;
    struct State {
      V total;
      V ahead;
    };
    const State state = line.folded(
        State{V(0), V(lowest)},
        [&](State so_far, auto at) {
          so_far.total = so_far.total + exp_below_one(at.load(x_, lowest) - most);
          if (ready_) so_far.ahead = larger(so_far.ahead, at.next().load(x_, lowest));
          return so_far;
        },
        [](const State& a, const State& b) {
          return State{a.total + b.total, larger(a.ahead, b.ahead)};
        });
    total = Group::summed(state.total);
    ahead_ = Group::largest(state.ahead);
  }

  V most;   ///< the largest element
  V total;  ///< the sum

 private:
  static constexpr T lowest = -std::numeric_limits<T>::infinity();
  const T* x_;
  V ahead_;
  bool ready_ = false;
};

}  // namespace troupe::cpu
