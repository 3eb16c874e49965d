#pragma once

#include <troupe/tensor/ops/uniform.hpp>

namespace troupe {

/// Whole numbers drawn evenly from low, …, high − 1.
///
/// Shape    as given.
/// Dtype    int64.
/// Errors   `invalid_argument` unless low < high ≤ low + 2³².
/// Source   Philox; even to one part in 2³².
struct Randint : RandomTensor {
  static constexpr OpId id{352};
  static constexpr std::string_view name = "randint";

  std::int64_t low = 0;
  std::int64_t high = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    RandomTensor::infer(in, out);
    if (low >= high || static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) >
                           (std::uint64_t{1} << 32))
      throw Error(
          ErrorCode::invalid_argument,
          "'low' is " + std::to_string(low) + ", but 'high' is " + std::to_string(high))
          .hint("high must be above low, and by at most 4,294,967,296; it is never drawn itself");
  }
  template <class V>
  void fields(V& visit) {
    RandomTensor::fields(visit);
    visit.field("low", low);
    visit.field("high", high);
  }
  bool operator==(const Randint&) const = default;
};

/// torch.randint.
[[nodiscard]] inline Tensor randint(
    std::int64_t low, std::int64_t high, const Shape& size, Where where = Where::here()) {
  Randint op;
  op.shape = size;
  op.dtype = DType::int64;
  op.low = low;
  op.high = high;
  return apply(make_op(op), where);
}
[[nodiscard]] inline Tensor randint(
    std::int64_t high, const Shape& size, Where where = Where::here()) {
  return randint(0, high, size, where);
}

}  // namespace troupe
