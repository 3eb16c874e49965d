#pragma once

#include <troupe/tensor/record.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <mutex>
#include <span>
#include <vector>

namespace troupe {

class Engine;

/// The records that a backward pass goes through, found by one iterative walk from the roots.
///
/// Marks each record with the pass and counts in it how many gradients will come, so the records
/// must not be walked by another pass meanwhile: the walk holds the engine's lock for as long as it
/// lives. So nothing may be called meanwhile that could begin another: no vjp, no hook, no actor.
class Walk {
 public:
  /// @param targets  when not empty, only what lies on a path from a root to one of them is
  /// visited.
  Walk(
      Engine& engine,
      std::uint64_t pass,
      std::span<const Tensor> roots,
      std::span<const Tensor> targets,
      Where where);

  /// Roots first: a record comes before everything it was made from.
  [[nodiscard]] std::span<Record* const> order() const noexcept { return order_; }
  [[nodiscard]] bool visited(const Record& record) const noexcept {
    return record.walk_pass == pass_;
  }
  /// Bit i: a gradient goes on along input edge i.
  [[nodiscard]] std::uint32_t needed(Record& record) const noexcept;
  /// Whether a gradient goes along this edge.
  [[nodiscard]] bool follows(Record& record, std::size_t edge) const noexcept;

 private:
  std::unique_lock<std::mutex> lock_;
  std::uint64_t pass_;
  // Room for some hundred records, so that the walk over a usual network allocates nothing.
  alignas(std::max_align_t) std::byte room_[8192];
  std::pmr::monotonic_buffer_resource memory_{room_, sizeof room_};
  std::pmr::vector<Record*> order_{&memory_};
};

/// Whether gradients can flow along input edge i of the record at all.
[[nodiscard]] bool wants_gradient(Record& record, std::size_t i) noexcept;

/// Throws unless `gradient` fits the output; ones when it is undefined and the output is a scalar.
[[nodiscard]] Tensor root_gradient(const Tensor& root, const Tensor& gradient, Where where);

/// A backward pass whose vjps are called here, one after another, with recorded tensors: in
/// captures, and where gradients shall be differentiable themselves. Sums in the order of edges, as
/// nodes do.
///
/// `on_leaf(record, gradient)` is called for each leaf reached; for `targets`, gradients are
/// returned in their order, undefined where none came.
std::vector<Tensor> symbolic_backward(
    std::span<const Tensor> roots,
    std::span<const Tensor> root_gradients,
    std::span<const Tensor> targets,
    void (*on_leaf)(void* context, Record& leaf, const Tensor& gradient),
    void* context,
    Where where);

}  // namespace troupe
