#pragma once

#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// GPUs of any vendor as devices, through Vulkan compute. The loader is found at run time: a
/// program that holds this backend starts where there is no Vulkan at all.
namespace troupe::vulkan {

/// A product that a subgroup of a device computes at once: [m, k] · [k, n], added to [m, n].
struct CooperativeMatrix {
  std::uint32_t m = 0;
  std::uint32_t n = 0;
  std::uint32_t k = 0;
  DType operands = DType::float16;
  DType sums = DType::float32;

  friend bool operator==(const CooperativeMatrix&, const CooperativeMatrix&) = default;
};

/// What a machine's Vulkan offers, and what of it cannot be used and why.
struct DeviceInfo {
  std::string name;       ///< "vulkan:0", as `Devices::get` and `--device` take it
  std::string model;      ///< as the driver calls it
  std::string driver;     ///< with its version
  bool software = false;  ///< a processor that plays a GPU: for tests, not for speed
  std::uint64_t memory_bytes = 0;
  std::uint32_t subgroup_size = 0;  ///< what kernels are made for
  std::uint32_t subgroup_size_min = 0;
  std::uint32_t subgroup_size_max = 0;
  bool float16 = false;   ///< can compute with it; all can store it
  bool bfloat16 = false;  ///< can multiply matrices of it; all can store it
  bool float64 = false;
  bool int64 = false;
  bool bytes = false;  ///< 8-bit storage: uint8 and bool tensors
  /// Those that products of 16-bit floats can be made of, in the driver's order.
  std::vector<CooperativeMatrix> cooperative_matrices;
  std::string missing;  ///< features without which it cannot be used; empty: it can
};

/// All devices, numbered as they are named: GPUs first, software devices last. Throws `unsupported`
/// where there is no Vulkan loader or no driver, saying which and what to install.
[[nodiscard]] std::vector<DeviceInfo> devices();

/// Whether a device tries out, the first times that it sees a product or a convolution of about
/// some size, in which tiles it is computed fastest.
enum class Tuning {
  automatic,      ///< deterministic on a GPU, off on a software device
  off,            ///< nothing is tried, and nothing that was found before is used
  deterministic,  ///< only what gives the same bits as without tuning may win
  free,           ///< sums may be cut into other numbers of parts: other bits, rounded as well
};
/// By those names; empty: automatic. Throws `invalid_argument` for another.
[[nodiscard]] Tuning tuning_named(std::string_view name);

struct Options {
  /// Binds buffers by descriptors in place of addresses, so that the validation layers see every
  /// access. Slower; refuses tensors beyond the device's storage buffer range.
  bool descriptors = false;
  /// Turns the Khronos validation layer on, with synchronization validation; what it says is
  /// counted in `Statistics::validation_messages` and goes to the system's log. What the device
  /// offers and this layer is too old to know is left alone. Throws `unsupported` where the layer
  /// is not installed.
  bool validation = false;
  /// A barrier after every dispatch. Slower; must not change a bit.
  bool paranoid = false;
  /// Fills memory with NaN when it is handed out, so that reading what nobody wrote shows.
  bool poison_memory = false;
  /// Chooses kernels as for a GPU where the device is a processor, so that tests reach them
  /// without one.
  bool gpu_kernels = false;
  /// Takes from the device no larger workgroups and no more shared memory than Vulkan promises of
  /// every device, so that tests reach what is chosen there.
  bool least_limits = false;
  /// Plays a device that is lost after so many submissions; 0: never. For tests.
  std::uint64_t lost_after_submissions = 0;
  /// Most bytes that tensors may take together; 0: what the driver's budget allows.
  std::size_t memory_bytes_max = 0;
  Tuning tuning = Tuning::automatic;
  /// Where compiled shaders, the driver's pipeline cache and what tuning found are kept between
  /// runs; empty: nowhere.
  std::string cache_folder;
};

/// Attaches a device to a system as "vulkan:<index>"; it lives as long as the system. Throws
/// `unsupported` naming what is missing, `device_mismatch` for an index that is not there.
Device& attach(System& system, unsigned index, const Options& options = {});

/// What a device did since it was attached.
struct Statistics {
  std::uint64_t dispatches = 0;
  std::uint64_t barriers = 0;
  std::uint64_t submissions = 0;
  std::uint64_t host_waits = 0;        ///< times a thread waited for the device: downloads
  std::uint64_t replays = 0;           ///< steps of programs submitted as they were recorded
  std::uint64_t pipelines = 0;         ///< made so far
  std::uint64_t shaders_compiled = 0;  ///< not found in the cache folder
  std::uint64_t validation_messages = 0;
  std::uint64_t in_use_bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::uint64_t reserved_bytes = 0;   ///< taken from the driver, in use or kept for later
  std::uint64_t tile_trials = 0;      ///< candidates tried against what is taken untuned
  std::uint64_t tile_rejections = 0;  ///< of those: for other bits, wrong results, or failing
  std::uint64_t tiles_tuned = 0;      ///< kinds of launches decided by trials
  std::uint64_t tiles_recalled = 0;   ///< kinds of launches decided by what the cache folder held
};
/// Throws `device_mismatch` for a device of another backend.
[[nodiscard]] Statistics statistics(const Device& device);
[[nodiscard]] DeviceInfo info(const Device& device);

}  // namespace troupe::vulkan
