#pragma once

#include "device_messages.hpp"
#include "receipt.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/tensor/device.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace troupe::cluster {

class RemoteDevice;

/// The way from a borrower to its device, for as long as there is one.
struct BorrowerLink {
  std::mutex mutex;
  RemoteDevice* device = nullptr;
};

/// Receives for a remote device.
///
/// Receives  `DeviceLent`, `LentDone`, `LentPiece` from the peer; `Completed` when there is
/// something
///           to free; `Down` of the loan.
/// Sends     `FreeLent`.
/// Stops     when the device has gone, and nobody has its address any more.
class Borrower final : public Actor<DeviceLent, LentDone, LentPiece, Completed, Down> {
 public:
  static constexpr std::string_view name = "cluster.borrower";
  explicit Borrower(std::shared_ptr<BorrowerLink> link) : link_(std::move(link)) {}

 private:
  friend ActorAccess;
  void on(DeviceLent&& lent);
  void on(LentDone&& done);
  void on(LentPiece&& piece);
  void on(const Completed& completed);
  void on(Down&& down);

  template <class Call>
  void with_device(Call call) {
    const std::lock_guard lock(link_->mutex);
    if (link_->device) call(*link_->device);
  }

  std::shared_ptr<BorrowerLink> link_;
};

class RemoteDevice final : public Device {
 public:
  RemoteDevice(System& system, std::string node, std::string device);
  ~RemoteDevice() override;

  /// Asks `host` for the device; waits. Nothing happens where it is borrowed already.
  void borrow(const Address<BorrowDevice>& host, std::int64_t timeout_ns);

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] bool reads_at_once() const noexcept override { return false; }
  [[nodiscard]] Ref<Buffer> allocate(std::size_t bytes) override;
  [[nodiscard]] Ref<Buffer> borrow(
      std::span<const std::byte> bytes, std::shared_ptr<const void> owner) override;
  [[nodiscard]] Value upload(const Meta& meta, std::span<const std::byte> bytes) override;
  void download(const Value& value, std::span<std::byte> into) override;
  [[nodiscard]] Ticket read(const Value& value, Use use) override;
  void write(const Value& to, std::span<const std::byte> bytes) override;
  [[nodiscard]] bool supports(const OpInfo& op) const noexcept override;
  [[nodiscard]] Ticket launch(const Launch& launch) override;
  void stop() noexcept override;

 private:
  friend Borrower;
  class Memory;

  struct Pending {
    Ref<Receipt> ticket;
    std::vector<Value> values;  // read and written until it has ended
    std::string_view op;
    Where where{};
    Use use{};  // of a read
    std::vector<std::byte> elements{};
    std::size_t bytes = 0;
  };

  void send_elements(const Memory& memory, std::span<const std::byte> bytes);
  [[nodiscard]] Ref<Receipt> begin_read(const Value& value, Use use);
  [[nodiscard]] const Memory& memory_of(const Value& value) const;
  [[nodiscard]] LentValue lent(const Value& value) const;
  [[nodiscard]] std::uint64_t add(Pending pending);
  [[nodiscard]] std::optional<Pending> take(std::uint64_t call);
  [[nodiscard]] LoanAddress loan() const;
  void free(std::uint64_t number, std::uint64_t loan) noexcept;
  void end(Pending& pending, const Error* failure) noexcept;
  /// The device as it is now is gone: fails what is under way.
  void lose(const Error& reason) noexcept;
  [[nodiscard]] Error there(Error error, std::string_view op, Where where) const;

  // The borrower's:
  void take_in(DeviceLent&& lent);
  void take_in(LentDone&& done);
  void take_in(LentPiece&& piece);
  void take_in(Down&& down);
  void free_now();

  const std::string node_;
  const std::string device_;
  const std::string name_;
  std::shared_ptr<BorrowerLink> link_;
  BorrowerAddress borrower_;
  Address<Completed> freeing_;

  mutable std::mutex mutex_;
  LoanAddress loan_;
  std::uint64_t loan_number_ = 0;  // counts up: memory of an earlier one is gone
  bool asking_ = false;
  std::optional<Error> lost_;
  std::string description_;
  std::unordered_set<std::uint32_t> ops_;
  std::unordered_map<std::uint64_t, Pending> pending_;  // by call
  std::uint64_t next_ = 1;                              // of calls and of memory
  std::vector<std::uint64_t> freed_;
};

/// Whether a device is another process's.
[[nodiscard]] bool is_remote(const Device& device) noexcept;

}  // namespace troupe::cluster
