#pragma once

#include "device_messages.hpp"

#include <troupe/cluster/device_host.hpp>
#include <troupe/core/actor.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/tensor/device.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::cluster {

/// What one peer has here, all its loans together.
struct PeerUse {
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> reading{0};  ///< on their way back to it
  std::atomic<std::uint32_t> loans{0};
};

/// What a host and its loans share.
struct DeviceHost::State {
  DeviceHostOptions options;
  std::atomic<std::uint64_t> loans{0};
  std::atomic<std::uint64_t> values{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> launches{0};
  std::atomic<std::uint64_t> refusals{0};
};

/// Bytes counted against a peer's quota for as long as it lives: what it has here, or what is on
/// its way back to it, which may come to as much again.
class Charge {
 public:
  /// Throws `overload` for more than the quota has left.
  Charge(
      std::shared_ptr<DeviceHost::State> host,
      std::shared_ptr<PeerUse> peer,
      std::atomic<std::uint64_t> PeerUse::*count,
      std::uint64_t bytes);
  ~Charge();
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  std::shared_ptr<DeviceHost::State> host_;
  std::shared_ptr<PeerUse> peer_;
  std::atomic<std::uint64_t> PeerUse::*count_;
  std::uint64_t bytes_;
};

/// One device as one borrower uses it: memory by the borrower's numbers, and the launches under
/// way.
///
/// Receives  `UploadLent`, `LaunchLent`, `ReadLent`, `FreeLent` from the borrower, in its order;
///           `Completed` for launches and reads; `Down` when the borrower goes.
/// Sends     `LentPiece` and `LentDone` to the borrower: one `LentDone` for each launch and read.
/// Stops     when the borrower has gone, or nobody has its address any more.
class DeviceLoan final : public Actor<UploadLent, LaunchLent, ReadLent, FreeLent, Completed, Down> {
 public:
  static constexpr std::string_view name = "cluster.device_loan";

  DeviceLoan(
      Device& device,
      BorrowerAddress borrower,
      std::shared_ptr<DeviceHost::State> host,
      std::shared_ptr<PeerUse> peer);
  ~DeviceLoan();

 private:
  friend ActorAccess;

  struct Held {
    Ref<Buffer> buffer;  // null: its elements are still coming, or never will
    std::uint64_t bytes = 0;
    std::shared_ptr<Charge> charge;
    bool making = false;  // a launch is writing it
    std::vector<std::byte> arriving;
    std::shared_ptr<const Error> failed;  // why there are no elements
  };
  struct Result {
    std::uint64_t number;
    Value value;
    std::shared_ptr<Charge> charge;
  };
  struct Running {
    std::uint64_t call;
    std::vector<std::uint64_t> makes;
    // What it takes counts until it has ended, also if it is freed meanwhile.
    std::vector<std::shared_ptr<Charge>> charges;
  };

  void on(UploadLent&& piece);
  void on(LaunchLent&& launch);
  void on(ReadLent&& read);
  void on(FreeLent&& freed);
  void on(Completed&& completed);
  void on(const Down&) { stop(); }

  void take_in(UploadLent& piece);
  void launch(const LaunchLent& launch);
  void read(const ReadLent& read);
  [[nodiscard]] std::shared_ptr<Charge> charge(std::uint64_t bytes);
  [[nodiscard]] Value operand(const LentValue& value, std::vector<std::shared_ptr<Charge>>& kept);
  [[nodiscard]] Result result(const LentValue& asked, const Meta& made);
  void await(const Ticket& ticket, Running running);
  void refuse(std::uint64_t call, Error error);
  void forget(std::uint64_t number) noexcept;

  Device& device_;
  BorrowerAddress borrower_;
  std::shared_ptr<DeviceHost::State> host_;
  std::shared_ptr<PeerUse> peer_;
  std::unordered_map<std::uint64_t, Held> held_;
  std::unordered_map<std::uint64_t, Running> running_;  // by token
  std::uint64_t next_token_ = 1;
};

}  // namespace troupe::cluster
