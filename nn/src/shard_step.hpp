#pragma once

#include <troupe/nn/module.hpp>
#include <troupe/nn/optimizer.hpp>
#include <troupe/nn/shards.hpp>

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace troupe::nn {

/// Which rows of a batch a tensor holds.
struct BatchRows {
  std::int64_t of = 0;     ///< rows of the whole batch
  std::int64_t first = 0;  ///< the first of those here

  bool operator==(const BatchRows&) const = default;
};

/// Loss, the mean over the labels, and number of right answers of some rows.
using Score =
    std::function<void(const Tensor& inputs, const Tensor& labels, Tensor& loss, Tensor& correct)>;

/// The gradients, buffers and results of one step whose batches are cut into logical shards.
///
/// Each shard goes through the step's batches by itself, from the buffers as they were when the
/// step began, with random calls numbered alike. Then everything is added up by one `ShardSum`:
/// gradients and losses weighted by the shard's rows in each batch, buffers by those in the step.
/// An integer buffer, such as a count of batches, moves by the mean of what the shards move it by,
/// to the nearest.
///
/// Errors   `unsupported` for a loss that depends on a parameter in some shards only, and for a
///          boolean buffer that a forward pass writes; `invalid_argument` when the `ShardSum` does
///          not return as many tensors as it was given.
class ShardStep {
 public:
  /// @param sum  empty: `sum_of_shards`
  ShardStep(const Shards& shards, const ShardSum& sum, Score score)
      : shards_(shards), sum_(sum), score_(std::move(score)) {}

  /// Goes forward and backward through a step's batches, inputs and labels in turn, and leaves the
  /// sums: as gradients of the optimizer's parameters, which have none, in the model's buffers, and
  /// in `outputs`, loss and right answers of each batch in turn.
  void run(
      const Module& model,
      const optim::Optimizer& optimizer,
      std::span<const Tensor> batches,
      std::span<const BatchRows> rows,
      std::span<Tensor> outputs);

 private:
  struct Part;
  /// Goes through the batches for one shard.
  [[nodiscard]] Part part_of(
      std::int64_t shard,
      std::span<const Tensor> values,
      std::span<const Tensor> batches,
      std::span<const BatchRows> rows) const;

  const Shards& shards_;
  const ShardSum& sum_;
  Score score_;
};

}  // namespace troupe::nn
