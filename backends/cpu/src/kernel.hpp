#pragma once

#include <troupe/cpu/precision.hpp>
#include <troupe/tensor/dtype.hpp>
#include <troupe/tensor/shape.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace troupe::cpu {

/// A tensor in host memory as kernels see it: a pointer to its first element, sizes, strides.
struct View {
  void* data;
  DType dtype;
  bool contiguous;  ///< row-major without gaps: strides need not be looked at
  Shape shape;
  Dims strides;  ///< in elements; 0 along broadcast dimensions, may be negative never

  template <class T>
  [[nodiscard]] T* as() const noexcept {
    return static_cast<T*>(data);
  }
  [[nodiscard]] std::int64_t elements() const noexcept { return elements_in(shape); }
};

inline constexpr std::size_t operands_max = 8;

struct SegmentCall;

/// What a kernel is asked to compute: an op's attributes and its operands. Lives, unmoved, until
/// the last chunk of the launch has run.
struct KernelCall {
  const void* attributes = nullptr;          ///< the op struct, `const Op*`
  std::uint64_t random_seed = 0;             ///< for random ops: Philox key and
  std::uint64_t random_call = 0;             ///< the number of the random call since seeding
  Precision precision = Precision::highest;  ///< of float32 products: what the device is set to
  std::uint8_t in_count = 0;
  std::uint8_t out_count = 0;
  /// Nothing is computed: operand 1 is laid out, into the scratch, as the kernel for such operands
  /// reads it. The other operands have shapes and no data.
  bool packs = false;
  /// What that made, if the caller has it; a kernel that then finds it of no use looks at
  /// operand 1.
  const std::byte* packed = nullptr;
  View in[operands_max];
  View out[operands_max];  ///< always contiguous, allocated, uninitialized
  /// What becomes of the elements of `out[0]`, if anything: a kernel that says `ends_with_segment`
  /// calls `run_segment` for those that it has finished, while they are in a cache.
  const SegmentCall* segment = nullptr;
  void (*run_segment)(const SegmentCall& segment, std::int64_t begin, std::int64_t end) noexcept =
      nullptr;
  /// The same for `rows` times `width` elements, which begin `row_step` apart.
  void (*run_segment_rows)(
      const SegmentCall& segment,
      std::int64_t begin,
      std::int64_t rows,
      std::int64_t row_step,
      std::int64_t width) noexcept = nullptr;
  /// `out[0]` has a shape and no data: as it is made, a kernel of which the plan says `pools` gives
  /// the largest elements of its windows of 2×2 to `out[1]`, made as relu makes them if
  /// `pools_with_relu`, and their places to `out[2]`, if that is there.
  bool pools = false;
  bool pools_with_relu = false;
  /// Where the elements that a fold takes, those of `in[0]`, or an update, those of its gradient,
  /// come from, if they are not there yet; no other kernels can. Each of them is made once, just
  /// before it is taken: `rows` times `width` of them, which begin `row_step` apart. They come to
  /// lie side by side at `to`; where that is null, in `in[0]`'s own memory.
  void (*make_elements)(
      const SegmentCall& segment,
      std::int64_t begin,
      std::int64_t rows,
      std::int64_t row_step,
      std::int64_t width,
      void* to) noexcept = nullptr;

  template <class Op>
  [[nodiscard]] const Op& op() const noexcept {
    return *static_cast<const Op*>(attributes);
  }
};

/// How a kernel cut its work. Filled by the kernel's `plan` function, then run by the scheduler:
/// all chunks of a phase, in any order and on any worker, before the first of the next phase.
///
/// The cut depends on shapes only, never on the number of threads: that is what makes results equal
/// to the bit for any number of workers.
struct Plan {
  /// Runs one chunk. `scratch` is `scratch_bytes` of 64-byte aligned memory shared by all chunks
  /// and phases of the launch. Must not throw.
  using Run =
      void (*)(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch);
  struct Phase {
    Run run = nullptr;
    std::uint32_t chunks = 0;
  };
  static constexpr std::size_t phases_max = 5;

  std::array<Phase, phases_max> phases;
  std::uint8_t phase_count = 0;
  std::size_t scratch_bytes = 0;
  /// A rough estimate of one thread's time for the whole launch. Below a few microseconds the
  /// launch runs at once on the calling thread instead of being handed to others.
  double cost_ns = 0;
  /// The chunks call `run_segment` themselves; else a phase after them does.
  bool ends_with_segment = false;
  /// The chunks pool, if the call says so.
  bool pools = false;
  /// Images are best made and read with channels last: of a kernel that does so if asked to.
  bool prefers_channels_last = false;
  /// Of a call that `packs`: what it fills of the scratch; 0: this kernel, or one for such
  /// operands, reads operand 1 where it lies, and what the plan says else means nothing.
  std::size_t packed_bytes = 0;
  /// Of a kernel that lends its operands, widened, to another: the phases of that one (wide.hpp).
  std::array<Run, 3> inner{};
  /// The kernel's own numbers (block sizes, counts), so that `run` need not derive them again.
  std::array<std::int64_t, 12> numbers{};

  void add(Run run, std::int64_t chunks) noexcept {
    phases[phase_count++] = {run, static_cast<std::uint32_t>(chunks)};
  }
};

/// A launch below this cost runs in the caller's turn: handing it over costs about as much.
inline constexpr double at_once_ns = 10'000;

/// Cuts the work of one op on one instruction set. Shapes and dtypes were checked by the op's shape
/// rule; throws `Error{unsupported}` for a dtype the kernel does not have.
using PlanFunction = void (*)(const KernelCall& call, Plan& plan);

/// The kernel of one op on one instruction set. Declared for all, defined op by op: structured ops
/// in a file of their own (`template <> void Kernel<Matmul, Arch>::plan`), elementwise ones by
/// their family. A missing kernel is an error of the linker.
///
/// Every file that defines kernels is compiled once for each instruction set, with the macro
/// `TROUPE_CPU_ARCH` naming its xsimd type. Whatever such a file calls must be a template over the
/// architecture or have internal linkage, or the linker may pick the copy of the wrong one.
template <class Op, class Arch>
struct Kernel {
  static void plan(const KernelCall& call, Plan& plan);
};

}  // namespace troupe::cpu
