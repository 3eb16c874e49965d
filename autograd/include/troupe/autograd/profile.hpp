#pragma once

#include <troupe/autograd/graph.hpp>
#include <troupe/tensor/cost.hpp>
#include <troupe/tensor/dtype.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Where the time of a program's steps went. Times are means over the steps, in seconds.
struct ProgramProfile {
  struct Op {
    std::string name{};            ///< "linear + relu" for a fused one
    std::string_view vjp_of{};     ///< the op whose gradient it is part of, if any
    bool late = false;             ///< an update
    DType dtype = DType::float32;  ///< of the first input; without inputs, of the output
    std::string result{};          ///< dtype and shape of the first output
    Cost cost{};
    double seconds = 0;  ///< from its launch to its completion
    double began = 0;    ///< in the last step, since its first launch
    double ended = 0;
  };

  std::vector<Op> ops;  ///< in the program's order
  std::int64_t steps = 0;
  double seconds = 0;  ///< from a step's first launch to its end

  /// Of all ops: what `seconds` has besides went by between them.
  [[nodiscard]] double seconds_in_ops() const noexcept;
};

/// What each op of a graph takes at least. A value that it reads twice is read once, and of one
/// that was expanded, only what it was expanded from.
[[nodiscard]] std::vector<Cost> costs_of(const Graph& graph);

}  // namespace troupe
