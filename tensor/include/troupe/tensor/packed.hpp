#pragma once

#include <troupe/tensor/op.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace troupe {

/// Lays the weights of a product, its operand 1, out as the device's kernel reads them. Made by the
/// compiler of programs, never called by people.
///
/// Inputs   the weights.
/// Outputs  uint8 [bytes], which says something to that kernel only.
struct Pack {
  static constexpr OpId id{991};
  static constexpr std::string_view name = "pack";

  OpRef product;
  std::vector<Meta> operands;  ///< of the product: its kernel may be chosen by any of their shapes
  Meta result;

  [[nodiscard]] bool operator==(const Pack& other) const noexcept;
};

/// A product, or a fused op with one for a head, that is given its weights packed too. Made by the
/// compiler of programs.
///
/// Inputs   those of the op, then what a `Pack` of its product made.
/// Outputs  those of the op.
/// Bits     those of the op: packing moves weights, and computes what each launch would compute of
///          them.
struct Packed {
  static constexpr OpId id{992};
  static constexpr std::string_view name = "packed";

  OpRef op;

  [[nodiscard]] bool operator==(const Packed& other) const noexcept;
};

/// The product in an op, and how many of the op's first inputs are its operands; null for an op
/// that is none and has none for a head.
struct ProductIn {
  const OpInstance* product = nullptr;
  std::size_t operands = 0;
};
[[nodiscard]] ProductIn product_in(const OpInstance& op, std::size_t inputs) noexcept;

template <>
const OpInfo OpInfoOf<Pack>::info;
template <>
const OpInfo OpInfoOf<Packed>::info;

}  // namespace troupe
