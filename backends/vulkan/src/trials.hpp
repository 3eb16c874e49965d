#pragma once

#include "encoder.hpp"
#include "tuner.hpp"

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

namespace troupe::vulkan {

/// Encodes a launch with the tile that the tuner has chosen; behind it, while there is something
/// left to try, a trial of one candidate. Nobody waits for that: it goes through the device's queue
/// like all work, on memory of its own, and the thread that waits for the device reads what came of
/// it.
///
/// @param depth  products that each element of the result is a sum of
/// @param work   products in all; where they are few nothing is tried
void encode_tiled(
    Encoder& encoder,
    const TileKey& key,
    TiledLaunch& launch,
    const TiledOperands& operands,
    std::uint64_t depth,
    std::uint64_t work);

/// What the device compares and measures for the tuner.
///
/// Threads   any.
class Trials {
 public:
  Trials(VulkanDevice& device, Tuner& tuner);
  ~Trials();
  Trials(const Trials&) = delete;
  Trials& operator=(const Trials&) = delete;

  /// Whether a queue can tell the time.
  [[nodiscard]] static bool measurable(const Context& context);

  /// Sends the next candidate's trial, if memory has room for it.
  void run(
      Encoder& encoder,
      const TileKey& key,
      TiledLaunch& launch,
      const TiledOperands& operands,
      std::uint64_t depth);

 private:
  struct Trial;
  [[nodiscard]] bool fits(const TiledOperands& operands) const;
  void send(
      Encoder& encoder,
      Trial& trial,
      TiledLaunch& launch,
      const TiledOperands& operands,
      std::uint64_t depth);
  void finish(Trial& trial);
  [[nodiscard]] TileOutcome outcome_of(const Trial& trial) const;

  VulkanDevice& device_;
  Tuner& tuner_;
  std::mutex lock_;
  // Here and not in the queue's messages, which may outlive the device: memory and queries.
  std::list<Trial> under_way_;
};

}  // namespace troupe::vulkan
