#include <troupe/tensor/device.hpp>

namespace troupe {

FusionLimits Device::fusion_limits(std::int64_t) const noexcept { return {}; }
bool Device::can_fuse(const OpInstance&, DType) const noexcept { return false; }
bool Device::can_end_with(const Fused&, std::span<const Meta>, const Meta&) const noexcept {
  return false;
}
bool Device::can_fold(const Fused&, std::span<const Meta>, const Meta&) const noexcept {
  return false;
}
bool Device::prefers_channels_last(const OpInstance&, std::span<const Meta>, const Meta&) const {
  return false;
}

bool Device::can_pool(
    const OpInstance&, std::span<const Meta>, const Meta&, const OpInstance&) const {
  return false;
}
std::shared_ptr<const Executable> Device::compile(
    const Fused&, std::span<const Meta>, std::span<const Meta>) const {
  return nullptr;
}

std::size_t Device::packed_bytes(const OpInstance&, std::span<const Meta>, const Meta&) const {
  return 0;
}

std::unique_ptr<Recording> Device::record(std::size_t) { return nullptr; }

Devices& Devices::of(System& system) {
  if (auto* devices = system.find<Devices>()) return *devices;
  return system.attach<Devices>();
}

Device& Devices::get(std::string_view name) const {
  std::string known;
  for (const auto& device : devices_) {
    if (device->name() == name) return *device;
    if (!known.empty()) known += ", ";
    known += device->name();
  }
  throw Error(ErrorCode::device_mismatch, "there is no device \"" + std::string(name) + "\"")
      .hint(
          known.empty() ? "attach one, as with troupe::cpu::attach(system)"
                        : "there are: " + known);
}

Device& Devices::first() const {
  if (devices_.empty())
    throw Error(ErrorCode::device_mismatch, "the system has no device")
        .hint("attach one, as with troupe::cpu::attach(system)");
  return *devices_.front();
}

}  // namespace troupe
