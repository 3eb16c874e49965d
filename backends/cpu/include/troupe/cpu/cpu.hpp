#pragma once

#include <troupe/core/system.hpp>
#include <troupe/cpu/precision.hpp>
#include <troupe/tensor/device.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The processor as a device: kernels for SSE2, AVX2 with FMA, AVX-512, AVX-512 with products of
/// bfloat16, and AMX, of which the newest that the machine has is chosen when the device is
/// attached.
namespace troupe::cpu {

struct Options {
  /// "sse2", "avx2", "avx512", "avx512bf16" or "amx"; empty: the newest this machine has.
  std::string instruction_set;
  /// Whether AMX may be taken when it is not named. Its tiles need the kernel's permission, which
  /// is the whole process's from then on: each thread's state grows by 8 KiB, and so does what
  /// signal handlers' stacks must hold. A kernel that refuses is told of by the system's log.
  bool tiles = true;
  /// How exactly products of float32 are computed; `set_float32_precision` changes it later.
  Precision float32_precision = Precision::highest;
  /// Most bytes that tensors may take together; 0: as many as the system gives.
  std::size_t memory_bytes_max = 0;
  /// Fills memory with NaN when it is handed out and when it comes back, so that reading what
  /// nobody wrote shows. For tests.
  bool poison_memory = false;
};

/// Attaches the processor to a system as the device "cpu". The device lives as long as the system.
/// Throws `unsupported` for an instruction set that the machine lacks.
Device& attach(System& system, const Options& options = {});

/// The instruction sets that this machine has kernels for, oldest first.
[[nodiscard]] std::vector<std::string_view> instruction_sets();
/// The one that a device runs.
[[nodiscard]] std::string_view instruction_set(const Device& device);

/// How exactly products of float32 are computed from the next launch on, as PyTorch's
/// `set_float32_matmul_precision`. Part of the numeric profile: other bits.
void set_float32_precision(Device& device, Precision precision);
[[nodiscard]] Precision float32_precision(const Device& device);

/// What a CPU device's tensors take. Tensors below 400 bytes live in the system's pool of small
/// blocks and are not counted.
struct MemoryStatistics {
  std::size_t in_use_bytes = 0;
  std::size_t peak_bytes = 0;    ///< most that was in use at once
  std::size_t cached_bytes = 0;  ///< free, kept for the next tensors of the same size
  std::uint64_t system_calls =
      0;  ///< requests to the operating system since the device was attached
};
[[nodiscard]] MemoryStatistics memory(const Device& device);
/// Gives back to the operating system what is cached, but for blocks below 256 KiB, which share
/// pages.
void trim(Device& device);

/// One operand of a kernel of the user's own: plain, row-major memory.
struct HostTensor {
  void* data;
  Meta meta;
  template <class T>
  [[nodiscard]] std::span<T> as() const noexcept {
    return {static_cast<T*>(data), static_cast<std::size_t>(meta.elements())};
  }
};
/// A kernel of the user's own, compiled for every processor. Runs on any thread; must not throw.
using HostKernel = void (*)(
    const void* attributes,
    std::span<const HostTensor> inputs,
    std::span<const HostTensor> outputs);
/// Lets a device run an op of the user's own (ids from 65,536). To be called before the op is.
void add_kernel(Device& device, const OpInfo& op, HostKernel kernel);

}  // namespace troupe::cpu
