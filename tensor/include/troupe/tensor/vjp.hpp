#pragma once

#include <troupe/tensor/tensor.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace troupe {

/// What a vjp rule sees of the launch whose gradient it computes. Its tensors are constants in an
/// ordinary backward pass and recorded ones under `create_graph` or in a capture; the rule, plain
/// tensor algebra, cannot tell.
class Vjp {
 public:
  Vjp(std::span<const Tensor> inputs,
      std::span<const Meta> input_metas,
      std::span<const Tensor> outputs,
      std::span<const Meta> output_metas,
      std::span<const Tensor> gradients,
      std::uint32_t needed) noexcept
      : inputs_(inputs),
        input_metas_(input_metas),
        outputs_(outputs),
        output_metas_(output_metas),
        gradients_(gradients),
        needed_(needed) {}

  [[nodiscard]] std::size_t input_count() const noexcept { return input_metas_.size(); }
  /// Input i's data; only if `saves_inputs` has the bit.
  [[nodiscard]] const Tensor& input(std::size_t i = 0) const noexcept { return inputs_[i]; }
  [[nodiscard]] const Meta& input_meta(std::size_t i = 0) const noexcept { return input_metas_[i]; }
  /// Output i's data; only if `saves_outputs` has the bit.
  [[nodiscard]] const Tensor& output(std::size_t i = 0) const noexcept { return outputs_[i]; }
  [[nodiscard]] const Meta& output_meta(std::size_t i = 0) const noexcept {
    return output_metas_[i];
  }
  /// The gradient of output i, of its shape and dtype; undefined when none came. With one output it
  /// is always there.
  [[nodiscard]] const Tensor& grad(std::size_t i = 0) const noexcept { return gradients_[i]; }
  /// Whether input i's gradient is wanted; what is not wanted may be left undefined.
  [[nodiscard]] bool needs(std::size_t i) const noexcept {
    return i >= 32 || (needed_ >> i & 1) != 0;
  }

 private:
  std::span<const Tensor> inputs_;
  std::span<const Meta> input_metas_;
  std::span<const Tensor> outputs_;
  std::span<const Meta> output_metas_;
  std::span<const Tensor> gradients_;
  std::uint32_t needed_;
};

/// The gradients of an op's inputs, in their order; undefined tensors stand for "none". Those of an
/// elementwise op may have the output's shape: the family sums them back to each input's.
class Gradients {
 public:
  Gradients() noexcept = default;
  template <class... Tensors>
  requires(
      sizeof...(Tensors) > 0 && sizeof...(Tensors) <= 4 &&
      (std::is_convertible_v<Tensors, Tensor> && ...)) Gradients(Tensors... gradients)
      : size_(sizeof...(Tensors)) {  // NOLINT: meant implicit
    std::size_t i = 0;
    ((few_[i++] = std::move(gradients)), ...);
  }
  /// `count` undefined gradients, to be assigned.
  explicit Gradients(std::size_t count) : size_(count) {
    if (count > 4) many_ = std::make_unique<Tensor[]>(count);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Tensor& operator[](std::size_t i) noexcept { return many_ ? many_[i] : few_[i]; }

 private:
  Tensor few_[4];
  std::unique_ptr<Tensor[]> many_;
  std::size_t size_ = 0;
};

}  // namespace troupe
