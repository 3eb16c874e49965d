#pragma once

#include <troupe/core/fields.hpp>
#include <troupe/core/ref.hpp>
#include <troupe/tensor/meta.hpp>
#include <troupe/tensor/tensor.hpp>
#include <troupe/tensor/vjp.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace troupe {

/// An op's number: dispatch index and wire id, never renumbered. Users' own begin at 65,536.
enum class OpId : std::uint32_t {};
inline constexpr OpId first_user_op{65'536};

/// How an op's inputs meet before its kernel sees them; done by casts that the call inserts.
enum class Promotion : std::uint8_t {
  none,      ///< inputs as they are; the shape rule checks them
  common,    ///< all to their common dtype
  floating,  ///< to their common dtype, and integers on to float32
};

/// Which family's machinery runs an op.
enum class OpFamily : std::uint8_t {
  structured,   ///< a kernel of its own on each device
  elementwise,  ///< one expression, broadcast over the inputs
  view,         ///< no kernel: another look at the input's memory
  transfer,     ///< no kernel: the same elements in another device's memory
  fused,        ///< several of the above, made into one launch by the compiler of programs
  exchange,     ///< no kernel: sums over the processes of a cluster
  packing,  ///< a product's weights laid out for its kernel, or the product that is given them so
  pooled,   ///< a convolution with the pooling of its result, made by the compiler of programs
};

/// Where an elementwise op is tried out by the generated tests, and how near it must come.
struct Samples {
  double low = -3;  ///< inputs are drawn from [low, high]
  double high = 3;
  double ulp_max =
      4;           ///< float32 error bound against the double reference, in units in the last place
  double gap = 0;  ///< keep this far from `kinks`, where no derivative exists
  double kink = 0;
  double scale = 0;     ///< errors count relative to at least this magnitude, where terms cancel
  bool linear = false;  ///< between kinks; the first derivative then depends on no input
};

/// Lists what a shape rule produces. At most `outputs_max` outputs.
inline constexpr std::size_t outputs_max = 4;
class Metas {
 public:
  Metas() noexcept {}
  void push_back(const Meta& meta) { std::construct_at(&metas_[size_++], meta); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const Meta& operator[](std::size_t i) const noexcept { return metas_[i]; }
  [[nodiscard]] const Meta* begin() const noexcept { return metas_; }
  [[nodiscard]] const Meta* end() const noexcept { return metas_ + size_; }
  operator std::span<const Meta>() const noexcept { return {metas_, size_}; }  // NOLINT

 private:
  union {  // made as they come: an array would be zeroed for each call of an op
    Meta metas_[outputs_max];
  };
  std::size_t size_ = 0;
};

/// What a view rule answers: where the output lies in the input's buffer.
struct ViewOf {
  Dims strides;             ///< in elements
  std::int64_t offset = 0;  ///< in elements, from the start of the buffer
};

class OpInstance;

/// What the engine knows of one op: one constant for each, made from the op's struct by `OpInfoOf`.
struct OpInfo {
  OpId id;
  std::string_view name;
  OpFamily family;
  Promotion promotion;
  bool differentiable;          ///< floating outputs have a gradient, whether offered or not
  bool random;                  ///< draws random numbers: never merged with an equal op
  std::uint32_t saves_inputs;   ///< bit i: the vjp reads input i's data
  std::uint32_t saves_outputs;  ///< bit i: the vjp reads output i's data
  std::uint32_t
      no_gradient;      ///< bit i: input i never gets a gradient (indices, running statistics)
  std::int8_t donates;  ///< output k may take the memory of input k + donates; −1: none may
  std::uint8_t arity;   ///< inputs of an op that segments may hold; 0 for others
  std::uint32_t attributes_bytes;
  bool (*equal)(const void* a, const void* b);
  void (*visit)(void* attributes, FieldVisitor& visitor);
  void (*infer)(const void* attributes, std::span<const Meta> inputs, Metas& outputs);
  Gradients (*vjp)(const void* attributes, const Vjp& vjp);
  std::optional<ViewOf> (*view)(const void* attributes, const ValueBody& input, const Meta& output);
  void (*destroy)(OpInstance& instance) noexcept;
};

/// An op with its attributes: counted, immutable, shared by record, node and program.
class OpInstance {
 public:
  constexpr OpInstance(const OpInfo& info, System* system) noexcept
      : info_(&info), system_(system) {}

  void add_ref() noexcept {
    if (system_) refs_.fetch_add(1, std::memory_order_relaxed);
  }
  void release() noexcept {
    if (system_ && last_reference(refs_)) info_->destroy(*this);
  }
  [[nodiscard]] const OpInfo& info() const noexcept { return *info_; }
  [[nodiscard]] const void* attributes() const noexcept;
  [[nodiscard]] System* system() const noexcept { return system_; }  ///< null: lives for ever

 private:
  const OpInfo* info_;
  System* system_;  // null for the one shared instance of an op without attributes
  std::atomic<std::uint64_t> refs_{1};  // 64 bits, to leave no padding before the attributes
};
static_assert(sizeof(OpInstance) == 24);
using OpRef = Ref<OpInstance>;
/// Whether both are the same op with equal attributes.
[[nodiscard]] inline bool equal(const OpInstance& a, const OpInstance& b) {
  return &a == &b || (a.info().id == b.info().id && a.info().equal(a.attributes(), b.attributes()));
}

template <class Op>
class OpInstanceOf final : public OpInstance {
 public:
  constexpr OpInstanceOf(const OpInfo& info, System* system, const Op& attributes) noexcept
      : OpInstance(info, system), attributes(attributes) {}
  Op attributes;
};

/// The constant that describes `Op`. Defined where `troupe/tensor/op_info.hpp` is included: once,
/// in tensor's all_ops.cpp, for Troupe's own ops; in the user's file for theirs.
template <class Op>
struct OpInfoOf {
  static const OpInfo info;
  /// The instance of an op whose struct is empty.
  static OpInstanceOf<Op> shared;
};

/// Calls an op: checks shapes, makes the record, and the node that runs it. The heart of every free
/// function. Throws `Error` with the op's name, the shapes and the caller's line.
[[nodiscard]] Tensor apply(OpRef op, std::span<const Operand> inputs);
/// The same for an op without inputs, called at `where`.
[[nodiscard]] Tensor apply(OpRef op, Where where);
/// The same on the device that `beside` is on, not the scope's.
[[nodiscard]] Tensor apply(OpRef op, const Tensor& beside, Where where);
/// All outputs of an op that has several.
void apply(OpRef op, std::span<const Operand> inputs, std::span<Tensor> outputs);

/// The same for an op that may take its inputs' memory for its outputs, as update rules do: the
/// inputs are let go of before it runs, so that what nobody else holds can be written in place.
/// Records nothing. If the launch throws, `inputs` are as they were.
void apply_donating(
    OpRef op, std::span<Tensor> inputs, std::span<Tensor> outputs, Where where = {});

/// An instance of the op in the current scope's system.
[[nodiscard]] void* allocate_op(std::size_t bytes, System*& system);
template <class Op>
[[nodiscard]] OpRef make_op(const Op& op) {
  if constexpr (std::is_empty_v<Op>) {
    return OpRef::share(&OpInfoOf<Op>::shared);
  } else {
    System* system = nullptr;
    void* block = allocate_op(sizeof(OpInstanceOf<Op>), system);
    return OpRef::adopt(new (block) OpInstanceOf<Op>(OpInfoOf<Op>::info, system, op));
  }
}

template <class Op, class... Operands>
[[nodiscard]] Tensor apply(const Op& op, const Operand& first, const Operands&... rest) {
  const Operand inputs[] = {first, rest...};
  return apply(make_op(op), std::span<const Operand>(inputs));
}

/// What every op struct begins from; an op overrides what differs.
struct OpDefaults {
  static constexpr OpFamily family = OpFamily::structured;
  static constexpr Promotion promotion = Promotion::none;
  static constexpr bool random = false;
  static constexpr std::uint32_t saves_inputs = 0;
  static constexpr std::uint32_t saves_outputs = 0;
  static constexpr std::uint32_t no_gradient = 0;
  static constexpr std::int8_t donates = -1;
  static constexpr std::size_t arity = 0;
  /// The output changes in jumps only, so that mathematics has no gradient for it. Outputs that are
  /// not floating have none anyway; any other op without a vjp throws when it is differentiated.
  static constexpr bool piecewise_constant = false;

  template <class V>
  void fields(V&) {}

  /// Lets an op's defaulted comparison compare its bases that hold nothing; never chosen for an op
  /// with attributes and no comparison of its own, which stays different from every other.
  template <class T>
  requires(std::is_empty_v<T>&& std::is_base_of_v<OpDefaults, T>) friend constexpr bool operator==(
      const T&, const T&) noexcept {
    return true;
  }
};

/// Base of the ops that compute each element of the output from the elements at the same place of
/// `Arity` inputs. The family broadcasts and promotes the inputs, runs the expression over tiles on
/// every device, and sums gradients back to the inputs' shapes.
///
///     template <class V> static V kernel(V x, …)     the expression; V: a SIMD register of the
///     compute
///                                                    dtype, or a plain number
///     static double reference(double x, …)           the same by plain C++, for the tests
template <class Op, std::size_t Arity>
struct Elementwise : OpDefaults {
  static constexpr OpFamily family = OpFamily::elementwise;
  static constexpr Promotion promotion = Promotion::common;
  static constexpr std::size_t arity = Arity;
  static constexpr Samples samples{};
  /// The expression is for floating inputs alone: the promotion sees to it, or the shape rule.
  static constexpr bool floating_only = false;

  void infer(std::span<const Meta> in, Metas& out) const {
    Meta meta = in[0];
    for (const Meta& other : in.subspan(1)) meta.shape = broadcast(meta.shape, other.shape);
    meta.dtype = Op::result(meta.dtype);
    out.push_back(meta);
  }
  /// The output's dtype given the inputs' common one.
  static constexpr DType result(DType common) noexcept { return common; }
};

/// Elementwise ops on real numbers: integers become float32 first.
template <class Op, std::size_t Arity>
struct ElementwiseFloating : Elementwise<Op, Arity> {
  static constexpr Promotion promotion = Promotion::floating;
  static constexpr bool floating_only = true;
};

/// Elementwise ops that answer yes or no; without a gradient.
template <class Op, std::size_t Arity>
struct ElementwisePredicate : Elementwise<Op, Arity> {
  static constexpr bool piecewise_constant = true;
  static constexpr DType result(DType) noexcept { return DType::boolean; }
};

/// A list of op types.
template <class... Ops>
struct OpList {
  static constexpr std::size_t size = sizeof...(Ops);
};

}  // namespace troupe
