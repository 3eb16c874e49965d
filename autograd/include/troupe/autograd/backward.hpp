#pragma once

#include <troupe/tensor/tensor.hpp>

#include <span>
#include <vector>

namespace troupe {

struct BackwardOptions {
  bool retain_graph = false;  ///< keep what was saved, for another pass through the same graph
};

/// Sends gradient messages from the root back through the graph that made it, to be added to the
/// `grad` of every leaf and parameter. Returns once the messages are on their way; whoever reads a
/// gradient waits for it.
///
/// @param gradient  of the root, of its shape and dtype; may be left out for a scalar, where it
/// is 1. Throws `not_differentiable` when the root does not depend on anything that requires a
/// gradient, `graph_freed` after an earlier pass that did not retain the graph, `shape_mismatch`.
void backward(
    const Tensor& root,
    const Tensor& gradient = {},
    BackwardOptions options = {},
    Where where = Where::here());

struct GradOptions {
  bool retain_graph = false;
  bool create_graph = false;  ///< the gradients are recorded and can be differentiated again
  bool allow_unused =
      false;  ///< an input that the outputs do not depend on gives an undefined tensor
};

/// The gradients of the outputs' sum, each weighted by its `output_gradients` (ones when left out),
/// with respect to the inputs. Adds to no `grad`. Errors as `backward`, and `not_differentiable`
/// for an input that is not used, unless that is allowed.
[[nodiscard]] std::vector<Tensor> grad(
    std::span<const Tensor> outputs,
    std::span<const Tensor> inputs,
    std::span<const Tensor> output_gradients = {},
    GradOptions options = {},
    Where where = Where::here());
[[nodiscard]] inline Tensor grad(
    const Tensor& output,
    const Tensor& input,
    GradOptions options = {},
    Where where = Where::here()) {
  return grad(std::span(&output, 1), std::span(&input, 1), {}, options, where)[0];
}

}  // namespace troupe
