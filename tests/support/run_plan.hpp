#pragma once

#include "kernel.hpp"
#include "narrow_sets.hpp"

#include <troupe/tensor/dtype.hpp>
#include <troupe/tensor/shape.hpp>

#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

// The instruction sets that the library was compiled for; all, unless the build says which.
/// Runs kernels without a scheduler: what the tests and benches of the CPU backend share.
namespace troupe {
struct Matmul;
struct Linear;
struct Conv2d;
struct Conv2dBackwardInput;
struct Conv2dBackwardWeight;
}  // namespace troupe

namespace troupe::cpu::test {

/// A kernel of one instruction set that this machine has.
struct NamedPlan {
  std::string isa;
  PlanFunction plan;
};

/// The kernels of an op for each instruction set that this build and this machine have, oldest
/// first.
template <class Op>
std::vector<NamedPlan> kernels() {
  std::vector<NamedPlan> list;
#ifdef TROUPE_CPU_SSE2
  list.push_back({"sse2", &Kernel<Op, xsimd::sse2>::plan});
#endif
#ifdef TROUPE_CPU_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    list.push_back({"avx2", &Kernel<Op, xsimd::fma3<xsimd::avx2>>::plan});
#endif
#ifdef TROUPE_CPU_AVX512
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    list.push_back({"avx512", &Kernel<Op, xsimd::avx512bw>::plan});
  // Products have kernels beyond these.
  if constexpr (std::is_same_v<Op, Matmul> || std::is_same_v<Op, Linear>)
    if (__builtin_cpu_supports("avx512bf16")) {
      list.push_back({"avx512bf16", &Kernel<Op, avx512bf16>::plan});
      if (tiles_permitted()) list.push_back({"amx", &Kernel<Op, amx>::plan});
    }
  if constexpr (
      std::is_same_v<Op, Conv2d> || std::is_same_v<Op, Conv2dBackwardInput> ||
      std::is_same_v<Op, Conv2dBackwardWeight>)
    if (__builtin_cpu_supports("avx512bf16") && tiles_permitted())
      list.push_back({"amx", &Kernel<Op, amx>::plan});
#endif
  return list;
}

/// Memory aligned as a plan's scratch is, with a guard behind it that tells of writes past the end.
/// Filled with NaNs, so that reading what nobody wrote shows.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes)
      : bytes_(bytes),
        data_(
            static_cast<std::byte*>(std::aligned_alloc(64, (bytes + guard + 63) / 64 * 64)),
            &std::free) {
    std::memset(data_.get(), 0xff, bytes + guard);
  }
  [[nodiscard]] std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] bool intact() const noexcept {
    return std::all_of(data_.get() + bytes_, data_.get() + bytes_ + guard, [](std::byte b) {
      return b == std::byte{0xff};
    });
  }

 private:
  static constexpr std::size_t guard = 256;
  std::size_t bytes_;
  std::unique_ptr<std::byte, decltype(&std::free)> data_;
};

/// Runs all chunks of all phases on this thread: in rising order for seed 0, else in an order drawn
/// from the seed. Throws when the kernel wrote past its scratch.
inline void run_plan(const KernelCall& call, const Plan& plan, std::uint64_t seed = 0) {
  const Scratch scratch(plan.scratch_bytes);
  std::mt19937_64 random(seed);
  for (std::size_t phase = 0; phase < plan.phase_count; ++phase) {
    std::vector<std::uint32_t> order(plan.phases[phase].chunks);
    std::iota(order.begin(), order.end(), 0u);
    if (seed) std::shuffle(order.begin(), order.end(), random);
    for (const std::uint32_t chunk : order)
      plan.phases[phase].run(call, plan, chunk, scratch.data());
  }
  if (!scratch.intact()) throw std::logic_error("a kernel wrote past the end of its scratch");
}

/// Plans and runs.
inline void run_kernel(PlanFunction plan_function, const KernelCall& call, std::uint64_t seed = 0) {
  Plan plan;
  plan_function(call, plan);
  run_plan(call, plan, seed);
}

/// A tensor in a vector of its own, in any layout: each element that the view does not show is NaN
/// (or the largest integer), so that touching it shows.
template <class T>
struct HostTensor {
  std::vector<T> data;
  View view;

  [[nodiscard]] T& at(std::int64_t row_major_index) {
    return data[static_cast<std::size_t>(offset(row_major_index))];
  }
  [[nodiscard]] const T& at(std::int64_t row_major_index) const {
    return data[static_cast<std::size_t>(offset(row_major_index))];
  }
  [[nodiscard]] std::int64_t offset(std::int64_t row_major_index) const {
    std::int64_t at = 0;
    if (view.elements() == 0) return 0;
    for (std::size_t axis = view.shape.size(); axis-- > 0;) {
      at += row_major_index % view.shape[axis] * view.strides[axis];
      row_major_index /= view.shape[axis];
    }
    return at;
  }
};

template <class T>
constexpr T poison() {
  if constexpr (std::numeric_limits<T>::has_quiet_NaN)
    return std::numeric_limits<T>::quiet_NaN();
  else
    return std::numeric_limits<T>::max();
}

/// A contiguous tensor of unset elements.
template <class T>
HostTensor<T> make_tensor(const Shape& shape) {
  HostTensor<T> tensor;
  // One element more than none: an empty tensor still has an address.
  tensor.data.assign(static_cast<std::size_t>(elements_in(shape)) + 1, poison<T>());
  tensor.view = {tensor.data.data(), dtype_of<T>, true, shape, contiguous_strides(shape)};
  return tensor;
}

/// A tensor whose dimensions lie in memory in the given order, outermost first, each row `gap`
/// elements longer than it must be. `order` empty: row-major.
template <class T>
HostTensor<T> make_strided(
    const Shape& shape, const std::vector<std::size_t>& order, std::int64_t gap = 0) {
  HostTensor<T> tensor;
  Dims strides = shape;
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    const std::size_t axis = order.empty() ? i : order[i];
    strides[axis] = step;
    step *= shape[axis] + (i + 1 == shape.size() ? gap : 0);
  }
  tensor.data.assign(static_cast<std::size_t>(std::max<std::int64_t>(step, 0)) + 1, poison<T>());
  tensor.view = {tensor.data.data(), dtype_of<T>, false, shape, strides};
  tensor.view.contiguous = strides == contiguous_strides(shape);
  return tensor;
}

/// Numbers drawn evenly from [low, high]; whole ones for integers.
template <class T, class Random>
void fill(HostTensor<T>& tensor, Random& random, double low = -1, double high = 1) {
  std::uniform_real_distribution<double> draw(low, high);
  for (std::int64_t i = 0; i < tensor.view.elements(); ++i)
    tensor.at(i) = static_cast<T>(draw(random));
}

/// Has operand 1 laid out first, knowing of the others their shapes only, then runs with that and,
/// where operand 1 was, NaNs: the bits must be those that run_kernel() gives. False, and nothing is
/// run, for a kernel that packs nothing for such operands.
template <class T>
bool run_packed(PlanFunction plan_function, const KernelCall& call, std::uint64_t seed = 0) {
  KernelCall packing = call;
  packing.packs = true;
  for (std::size_t i = 0; i < call.in_count; ++i) {
    if (i == 1) continue;
    packing.in[i].data = nullptr;
    packing.in[i].contiguous = true;
    packing.in[i].strides = contiguous_strides(call.in[i].shape);
  }
  Plan plan;
  plan_function(packing, plan);
  if (plan.packed_bytes == 0) return false;
  if (plan.packed_bytes != plan.scratch_bytes || plan.phase_count != 1)
    throw std::logic_error("a packing takes more than what it makes");
  const Scratch packed(plan.packed_bytes);
  std::vector<std::uint32_t> order(plan.phases[0].chunks);
  std::iota(order.rbegin(), order.rend(), 0u);
  for (const std::uint32_t chunk : order) plan.phases[0].run(packing, plan, chunk, packed.data());
  if (!packed.intact()) throw std::logic_error("a packing wrote past its end");

  KernelCall given = call;
  const View& weights = call.in[1];
  std::int64_t span = 1;
  for (std::size_t axis = 0; axis < weights.shape.size(); ++axis)
    span += (weights.shape[axis] - 1) * weights.strides[axis];
  std::vector<T> unseen(
      static_cast<std::size_t>(std::max<std::int64_t>(span, 1)),
      std::numeric_limits<T>::quiet_NaN());
  given.in[1].data = unseen.data();
  given.packed = packed.data();
  run_kernel(plan_function, given, seed);
  return true;
}

/// A call on the given operands.
template <class Op>
KernelCall call_of(const Op& op, std::initializer_list<View> in, std::initializer_list<View> out) {
  KernelCall call;
  call.attributes = &op;
  for (const View& view : in) call.in[call.in_count++] = view;
  for (const View& view : out) call.out[call.out_count++] = view;
  return call;
}

/// Whether two runs gave the same bits.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace troupe::cpu::test
