#pragma once

#include "dispatch.hpp"
#include "shader.hpp"
#include "sink.hpp"
#include "workgroups.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/op.hpp>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <type_traits>

namespace troupe::vulkan {

class VulkanDevice;
struct Epilogue;
struct FoldedChain;
class Prologue;

/// A tensor as a shader's binding: its elements from the first on.
struct Operand {
  const ValueBody* value = nullptr;
  bool written = false;
  /// Bytes of what the shader declares for it, when that is not the tensor's own element: 16 for
  /// vec4, 4 for the halves of an int64.
  std::uint32_t unit = 0;
};
[[nodiscard]] inline Operand read(const Value& value, std::uint32_t unit = 0) {
  return {value.get(), false, unit};
}
[[nodiscard]] inline Operand write(const Value& value, std::uint32_t unit = 0) {
  return {value.get(), true, unit};
}

/// A shader's operands in the order of its bindings, of which what is fused with it adds some.
class OperandList {
 public:
  void add(const Operand& operand) noexcept { operands_[count_++] = operand; }
  void add(std::initializer_list<Operand> operands) noexcept {
    for (const Operand& operand : operands) add(operand);
  }
  [[nodiscard]] const Operand* begin() const noexcept { return operands_; }
  [[nodiscard]] const Operand* end() const noexcept { return operands_ + count_; }

 private:
  Operand operands_[bindings_max];
  std::size_t count_ = 0;
};

/// The bytes of its buffer that a value reaches, from its first element on.
[[nodiscard]] std::uint64_t reach(const ValueBody& value) noexcept;

/// How elements are given to invocations that do not work together (FOR_SPREAD).
struct Spread {
  std::uint32_t group = 0;
  std::uint32_t turns = 1;  ///< elements that each invocation takes, a workgroup's size apart
  std::uint32_t groups = 0;
  Grid grid;
};

/// Turns one launch of an op into dispatches. Made for the launch, on the thread that calls it;
/// what it records goes to the sink in order.
class Encoder {
 public:
  /// Throws `unsupported` for a tensor of more elements than kernels count, 2^31.
  ///
  /// @param epilogue  of a fused op: what its head, the launch, ends with
  /// @param chain     of a fused op: what its fold, the launch, takes in
  /// @param prologue  of a fused update: what makes the gradient of its rule, the launch, whose
  ///                  inputs stand in the gradient's place
  Encoder(
      VulkanDevice& device,
      const Launch& launch,
      Sink& sink,
      const Epilogue* epilogue = nullptr,
      const FoldedChain* chain = nullptr,
      const Prologue* prologue = nullptr);

  [[nodiscard]] VulkanDevice& device() const noexcept { return device_; }
  [[nodiscard]] const Launch& launch() const noexcept { return launch_; }
  [[nodiscard]] const Value& in(std::size_t i) const noexcept { return launch_.inputs[i]; }
  [[nodiscard]] const Value& out(std::size_t i) const noexcept { return launch_.outputs[i]; }
  /// Whether the work is kept and not done.
  [[nodiscard]] bool recording() const noexcept;
  [[nodiscard]] std::size_t inputs() const noexcept { return launch_.inputs.size(); }
  /// Null for none; only heads that the device said yes to get one.
  [[nodiscard]] const Epilogue* epilogue() const noexcept { return epilogue_; }
  /// The same of folds: what makes the elements that they take in.
  [[nodiscard]] const FoldedChain* chain() const noexcept { return chain_; }
  /// And of updates: what makes the gradient that they take.
  [[nodiscard]] const Prologue* prologue() const noexcept { return prologue_; }

  /// The value itself if it lies in row-major order without gaps; else a copy that does.
  [[nodiscard]] Value contiguous(const Value& value);
  /// Memory for what one dispatch leaves to the next.
  [[nodiscard]] Value scratch(DType dtype, const Shape& shape);
  /// Copies `count` elements that lie side by side from one value to another of the same dtype.
  /// Places count from the values' first elements.
  void copy_bytes(
      const Value& from,
      std::int64_t from_place,
      const Value& to,
      std::int64_t to_place,
      std::int64_t count);
  /// Writes zeros (all bytes 0) over a contiguous value.
  void fill_zero(const Value& value);

  /// Records one dispatch.
  ///
  /// @param shader     from the table of shaders, in the variant that fits
  /// @param constants  for constant_id 0 (the workgroup's size along x), 1, 2, …
  /// @param operands   for bindings 0, 1, …; as many as the shader's BINDINGS
  /// @param params     a struct of 32-bit numbers, laid out as the shader's PARAMS
  /// @param joined_groups  of a shader that includes update.glsl, how many workgroups have work:
  /// the
  ///                   dispatch becomes one with those before and after it that differ in tensors
  ///                   alone. The first of the params is the number of elements
  template <class Params>
  void dispatch(
      const Shader& shader,
      std::initializer_list<std::uint32_t> constants,
      std::initializer_list<Operand> operands,
      const Params& params,
      Grid grid,
      std::uint32_t joined_groups = 0) {
    static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) % 4 == 0);
    dispatch(
        shader,
        std::span<const std::uint32_t>(constants.begin(), constants.size()),
        std::span<const Operand>(operands.begin(), operands.size()),
        std::as_bytes(std::span<const Params, 1>(&params, 1)),
        grid,
        joined_groups);
  }
  void dispatch(
      const Shader& shader,
      std::span<const std::uint32_t> constants,
      std::span<const Operand> operands,
      std::span<const std::byte> params,
      Grid grid,
      std::uint32_t joined_groups = 0);
  /// The size of a workgroup whose invocations do not work together.
  [[nodiscard]] std::uint32_t plain_group() const noexcept;
  /// `turns` of the elements to each invocation of a GPU. A processor that plays one gets them in
  /// stretches: a workgroup of one subgroup takes a long one, and walks through it in order, as the
  /// processor's own caches and prefetchers expect.
  [[nodiscard]] Spread spread(std::uint64_t elements, std::uint32_t turns = 1) const;
  /// The size of a workgroup that folds a line of `length` elements (fold.glsl): one subgroup where
  /// that is long enough or the device is a processor, whose shared memory costs more than it
  /// saves.
  [[nodiscard]] std::uint32_t fold_group(std::uint64_t length) const noexcept;
  [[nodiscard]] WorkgroupLimits workgroup_limits() const noexcept;
  /// Whether the device is a processor that plays a GPU.
  [[nodiscard]] bool software() const noexcept;

  /// The variant for a dtype; refuses one that there is none for.
  [[nodiscard]] const Shader& shader(const ShaderByDType& shaders, DType dtype) const {
    if (const Shader* shader = shaders[dtype]) return *shader;
    refuse(dtype);
  }
  /// Throws `unsupported`, naming op and dtype, for a dtype that the kernel does not have.
  [[noreturn]] void refuse(DType dtype) const;

  /// A binding through which a shader reports an index out of range: it writes, by
  /// `atomicCompSwap(AT(fault, 0), 0u, push.op)`, the number of the call. Whoever downloads next
  /// gets `invalid_argument` naming the op and the line. Atomics need no barrier between them; the
  /// layers would ask for one.
  [[nodiscard]] Operand fault() const;
  /// A tensor that the shader writes in other variants, but only reads in this one. Validation
  /// layers see the shader's text and not what its constants make of it, so for them it counts as
  /// written.
  [[nodiscard]] Operand unwritten(const Value& value, std::uint32_t unit = 0) const;
  /// Seed and number of the call, for the shaders that draw (philox.glsl).
  [[nodiscard]] RandomSource random() const { return sink_.random(launch_); }
  /// The binding that goes with them.
  [[nodiscard]] Operand random_operand(const RandomSource& source) const {
    return source.state ? read(source.state, 4) : unused();
  }
  /// For a binding that the shader does not touch in this variant: something must be bound.
  [[nodiscard]] Operand unused() const { return unwritten(out(0)); }
  [[nodiscard]] std::uint32_t fault_code() const;

 private:
  VulkanDevice& device_;
  const Launch& launch_;
  Sink& sink_;
  const Epilogue* epilogue_;
  const FoldedChain* chain_;
  const Prologue* prologue_;
};

/// The kernel of one op: encodes a launch. Each structured op has one, in a file of its name.
template <class Op>
struct Kernel {
  static void encode(Encoder& encoder, const Op& op);
};

}  // namespace troupe::vulkan
