#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace troupe {

/// Whoever adds up what several processes have made of one step.
///
/// Threads   any; nothing waits.
class Exchanger {
 public:
  virtual ~Exchanger() = default;

  /// Begins to add up.
  ///
  /// @param number  which of a step's exchanges it is, alike in all processes
  /// @param inputs  [contribution][tensor]; theirs again once this returns
  /// @param total   filled before the ticket is complete; a ticket that failed says why
  [[nodiscard]] virtual Ticket exchange(
      std::uint32_t number, std::span<const Value> inputs, const Value& total) = 0;
};

/// The sums of tensors over all processes of a cluster, one behind the other: an op whose kernel is
/// the network. A program runs it as soon as its last input is made, before anything else that is
/// ready, and goes on with other ops meanwhile.
///
/// Shape    x_ij for contribution i < n and tensor j, with the shape of x_0j; y [elements of all
///          x_0j].
/// Dtype    one for all.
/// Saves    nothing.
/// Errors   `shape_mismatch`, `dtype_mismatch`; those of the `Exchanger`.
/// Source   sums of gradients; not differentiated.
struct Exchange : OpDefaults {
  static constexpr OpId id{994};
  static constexpr std::string_view name = "exchange";
  static constexpr OpFamily family = OpFamily::exchange;
  static constexpr bool piecewise_constant = true;

  std::shared_ptr<Exchanger> by;
  std::uint32_t number = 0;
  std::uint32_t contributions = 1;

  void infer(std::span<const Meta> in, Metas& out) const;
  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
    visit.field("contributions", contributions);
  }
  /// Two that are alike are still two, for each is called for once by every process.
  bool operator==(const Exchange& other) const noexcept { return this == &other; }
};

template <>
const OpInfo OpInfoOf<Exchange>::info;

/// The sums, each with its tensor's shape again.
///
/// @param contributions  of this process, each the same tensors in the same order
[[nodiscard]] std::vector<Tensor> exchange(
    std::shared_ptr<Exchanger> by,
    std::uint32_t number,
    std::span<const std::vector<Tensor>> contributions);

}  // namespace troupe
