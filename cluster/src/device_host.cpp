#include "device_loan.hpp"
#include "remote_device.hpp"

#include <troupe/cluster/device_host.hpp>
#include <troupe/core/actor.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>

#include <map>
#include <utility>

namespace troupe::cluster {

namespace {

/// Answers those who ask for a device.
class Lender final : public Actor<BorrowDevice> {
 public:
  static constexpr std::string_view name = "cluster.device_host";
  Lender(std::shared_ptr<DeviceHost::State> state, net::Network& network)
      : state_(std::move(state)), network_(network) {}

 private:
  friend ActorAccess;

  void on(BorrowDevice&& wish) {
    if (!wish.borrower) return;
    DeviceLent answer;
    try {
      Device& device = lendable(wish.device);
      const std::shared_ptr<PeerUse> peer = use_of(network_.node_of(wish.borrower));
      const auto loan = system().spawn<DeviceLoan>(device, wish.borrower, state_, peer);
      monitor(wish.borrower, loan);
      answer.loan = loan;
      answer.description = device.description();
      for (const OpInfo* op : all_ops())
        if (device.supports(*op)) answer.ops.push_back(static_cast<std::uint32_t>(op->id));
    } catch (...) {
      state_->refusals.fetch_add(1, std::memory_order_relaxed);
      answer.refused = true;
      answer.reason = current_error();
    }
    wish.borrower.send(std::move(answer));
  }

  [[nodiscard]] Device& lendable(const std::string& name) {
    std::string known;
    for (const auto& device : Devices::of(system()).all()) {
      if (is_remote(*device)) continue;
      if (device->name() == name) return *device;
      known += (known.empty() ? "" : ", ") + std::string(device->name());
    }
    throw Error(ErrorCode::device_mismatch, "there is no device \"" + name + "\" to be lent")
        .hint("node '" + network_.node() + "' lends: " + known);
  }

  [[nodiscard]] std::shared_ptr<PeerUse> use_of(const std::string& node) {
    std::weak_ptr<PeerUse>& known = peers_[node];
    std::shared_ptr<PeerUse> use = known.lock();
    if (!use) known = use = std::make_shared<PeerUse>();
    if (use->loans.load(std::memory_order_relaxed) >= state_->options.loans_max)
      throw Error(
          ErrorCode::overload,
          "the peer uses " + std::to_string(state_->options.loans_max) + " devices here already");
    return use;
  }

  std::shared_ptr<DeviceHost::State> state_;
  net::Network& network_;
  std::map<std::string, std::weak_ptr<PeerUse>> peers_;
};

}  // namespace

DeviceHost::DeviceHost(System& system, net::Network& network, DeviceHostOptions options)
    : network_(network), state_(std::make_shared<State>()) {
  state_->options = options;
  actor_ = system.spawn<Lender>(state_, network);
  network_.publish(std::string(device_host_name), actor_);
}

DeviceHost::~DeviceHost() {
  network_.unpublish(std::string(device_host_name));
  troupe::stop(actor_);
}

DeviceHost::Counters DeviceHost::counters() const noexcept {
  return {
      state_->loans.load(std::memory_order_relaxed),
      state_->values.load(std::memory_order_relaxed),
      state_->bytes.load(std::memory_order_relaxed),
      state_->launches.load(std::memory_order_relaxed),
      state_->refusals.load(std::memory_order_relaxed)};
}

}  // namespace troupe::cluster
