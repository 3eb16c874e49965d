#pragma once

#include "divisor.hpp"
#include "encoder.hpp"
#include "fold.hpp"

#include <troupe/tensor/fused.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

namespace troupe::vulkan {

/// What makes the elements that a fold takes in: a segment, which runs where the fold would load
/// them, in the fold's own order.
struct FoldedChain {
  Segment segment;         ///< its outputs: what is stored, then what is folded, unless that is
  std::size_t folded = 0;  ///< the number, among them, of what is folded
  std::span<const Value> inputs;
  std::span<const Value> stored;  ///< contiguous, of the chain's shape
  Shape shape;
  DType dtype{};  ///< of what is folded
};

/// How a chain's inputs are found by the place of the element that is made.
struct ChainPlaces {
  enum class Place : std::uint32_t {
    alike,   ///< there too
    one,     ///< one element for all
    row,     ///< of the last axes alone: by the rest of a division by `split`
    column,  ///< of the first axes alone: by the quotient
  };

  Place of_input[bindings_max] = {};
  std::uint32_t split = 1;

  /// None where an input is repeated otherwise, or two are split differently: there is room for one
  /// divisor among the parameters that every device takes.
  [[nodiscard]] static std::optional<ChainPlaces> of(
      const Shape& shape, std::span<const Shape> inputs) noexcept;
};

/// Whether a fold's shader takes so many tensors beside its own.
[[nodiscard]] bool chain_has_room(std::size_t inputs, std::size_t stored) noexcept;

/// A fold's shader, whose elements lie in a tensor or are made by the launch's chain.
class ChainShader {
 public:
  /// @param shader  its element.glsl takes binding 0
  ///
  /// Throws `unsupported` and `internal` as `encode_segment` does.
  ChainShader(Encoder& encoder, const Shader& shader, const FoldInput& input);

  [[nodiscard]] const Shader& shader() const noexcept { return *shader_; }
  [[nodiscard]] Divisor split() const noexcept { return split_; }

  /// @param others  those of the shader from binding 1 on
  [[nodiscard]] OperandList operands(std::initializer_list<Operand> others) const noexcept;

 private:
  const Shader* shader_;
  Divisor split_;
  Value inputs_[bindings_max];
  std::size_t count_ = 0;
  std::span<const Value> stored_;
};

}  // namespace troupe::vulkan
