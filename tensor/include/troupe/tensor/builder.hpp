#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/tensor.hpp>

#include <span>

namespace troupe {

class Device;

/// What adds ops to a graph that is recorded rather than run: a capture derives it. Where a scope
/// has none, `apply` makes live nodes.
class Builder {
 public:
  virtual ~Builder() = default;

  /// Records the op, which the device is to run. Inputs are checked and promoted already; `outputs`
  /// are what the shape rule gave. The number of a random op's call is the one that the scope's
  /// random state has.
  virtual void add(
      Device& device,
      const OpRef& op,
      std::span<const Tensor* const> inputs,
      std::span<const Meta> metas,
      bool requires_grad,
      Where where,
      std::span<Tensor> outputs) = 0;
};

}  // namespace troupe
