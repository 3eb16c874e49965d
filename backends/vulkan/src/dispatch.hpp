#pragma once

#include "allocator.hpp"

#include <troupe/core/completion.hpp>
#include <troupe/core/message.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace troupe::vulkan {

/// A compiled shader with its constants, ready to run.
struct Pipeline {
  VkPipeline handle = VK_NULL_HANDLE;
  VkPipelineLayout layout = VK_NULL_HANDLE;
};

/// Most tensors that one dispatch sees, and most bytes of the parameters that go with them: what
/// every device takes as push constants.
inline constexpr std::size_t bindings_max = 12;
inline constexpr std::size_t push_bytes_max = 128;

/// Most bytes of a dispatch that may be joined, whose addresses go into a table.
inline constexpr std::size_t joined_bytes_max = 8 * bindings_max + 64;

/// A range of an allocation that work on the queue reads or writes.
struct Bound {
  const Block* block = nullptr;
  std::uint64_t begin = 0;  ///< bytes, in the block
  std::uint64_t end = 0;
  bool written = false;

  /// `bytes` of an allocation, from its byte `at` on.
  static Bound of(
      const Allocation& allocation, std::uint64_t at, std::uint64_t bytes, bool written) noexcept {
    const std::uint64_t begin = allocation.offset + at;
    return {allocation.block, begin, begin + bytes, written};
  }
};

/// To the queue: run a shader. Local: it points into memory.
struct Dispatch {
  static constexpr MessageId id{400};
  static constexpr std::string_view name = "dispatch";

  const Pipeline* pipeline = nullptr;
  std::uint32_t groups[3] = {1, 1, 1};
  /// As many of them as have work, where the dispatch may be joined with its like: its shader takes
  /// addresses and its first parameter from a table (shaders/update.glsl). 0: it may not.
  std::uint32_t joined_groups = 0;
  std::uint8_t bound_count = 0;
  std::uint8_t push_bytes = 0;
  Bound bound[bindings_max];
  std::uint32_t push[joined_bytes_max / 4];  ///< addresses or offsets first, then the parameters

  template <class V>
  void fields(V& visit) {
    visit.local("dispatch");
  }
};

/// To the queue: copy bytes, or fill them with a word where there is no source.
struct Transfer {
  static constexpr MessageId id{401};
  static constexpr std::string_view name = "transfer";

  Bound from;  ///< no block: `word`, again and again
  Bound to;
  std::uint32_t word = 0;
  /// Memory that the copy alone needs, to be freed once it is done.
  Allocation staging;

  template <class V>
  void fields(V& visit) {
    visit.local("transfer");
  }
};

/// A command buffer that is submitted as often as one likes; see recording.hpp.
struct RecordedCommands;

/// To the queue: do what was recorded.
struct Replay {
  static constexpr MessageId id{405};
  static constexpr std::string_view name = "replay";

  std::shared_ptr<const RecordedCommands> commands;

  template <class V>
  void fields(V& visit) {
    visit.local("replay");
  }
};

/// What was sent to the queue before is done: the ticket that `fence()` gives.
class Fence final : public Completion {
 public:
  /// @param then  called once that is done, before those who wait are told; not when the device is
  ///              lost. What it throws makes the ticket fail.
  static Ref<Fence> make(System& system, std::function<void()> then = {});
  void end(bool lost) noexcept;

 private:
  Fence(System& system, std::function<void()> then) noexcept
      : Completion(system), then_(std::move(then)) {}
  void destroy() noexcept override;

  std::function<void()> then_;
};

/// To the queue: finish the fence once all that was sent before is done.
struct FenceRequest {
  static constexpr MessageId id{402};
  static constexpr std::string_view name = "fence";
  Ref<Fence> fence;
  template <class V>
  void fields(V& visit) {
    visit.local("fence");
  }
};

/// From the queue to itself, behind what came with the first record of a batch.
struct Flush {
  static constexpr MessageId id{403};
  static constexpr std::string_view name = "flush";
  template <class V>
  void fields(V&) {}
};

/// From the thread that waits for the device: all batches up to this one are done.
struct BatchDone {
  static constexpr MessageId id{404};
  static constexpr std::string_view name = "batch_done";
  std::uint64_t batch = 0;
  template <class V>
  void fields(V& visit) {
    visit.field("batch", batch);
  }
};

/// To the queue: all work before comes to its end, then the device notes the time as a query's
/// result.
struct Timestamp {
  static constexpr MessageId id{406};
  static constexpr std::string_view name = "timestamp";
  VkQueryPool pool = VK_NULL_HANDLE;
  std::uint32_t query = 0;
  template <class V>
  void fields(V& visit) {
    visit.local("timestamp");
  }
};

using VulkanMessages =
    MessageList<400, 499, Dispatch, Transfer, FenceRequest, Flush, BatchDone, Replay, Timestamp>;
static_assert(VulkanMessages::size == 7);

}  // namespace troupe::vulkan
