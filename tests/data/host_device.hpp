#pragma once

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/tensor.hpp>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::data::test {

/// A device that reads host memory in place and has no kernels: enough for loaders.
class HostDevice final : public Device {
 public:
  using Device::Device;

  [[nodiscard]] std::string_view name() const noexcept override { return "host"; }
  [[nodiscard]] std::string description() const override { return "memory without kernels"; }
  [[nodiscard]] Ref<Buffer> allocate(std::size_t) override { unsupported(); }
  [[nodiscard]] Ref<Buffer> borrow(
      std::span<const std::byte> bytes, std::shared_ptr<const void> owner) override {
    if (broken) throw Error(ErrorCode::internal, "planted");
    return Ref<Buffer>::adopt(new Borrowed(*this, bytes, std::move(owner)));
  }
  [[nodiscard]] Value upload(const Meta&, std::span<const std::byte>) override { unsupported(); }
  void download(const Value& value, std::span<std::byte> into) override {
    const auto& buffer = static_cast<const Borrowed&>(*value->buffer());
    std::memcpy(into.data(), buffer.data.data(), into.size());
  }
  [[nodiscard]] bool reads_at_once() const noexcept override { return true; }
  [[nodiscard]] Ticket read(const Value&, Use) override { unsupported(); }
  void write(const Value&, std::span<const std::byte>) override { unsupported(); }
  [[nodiscard]] bool supports(const OpInfo&) const noexcept override { return false; }
  [[nodiscard]] Ticket launch(const Launch&) override { unsupported(); }

  /// From now on borrowing fails, and with it whoever does so.
  std::atomic<bool> broken{false};

  /// Where a value's bytes lie.
  [[nodiscard]] static const std::byte* address(const Value& value) {
    return static_cast<const Borrowed&>(*value->buffer()).data.data();
  }

 private:
  struct Borrowed final : Buffer {
    Borrowed(Device& device, std::span<const std::byte> bytes, std::shared_ptr<const void> kept)
        : Buffer(device, bytes.size(), false), data(bytes), owner(std::move(kept)) {}
    void destroy() noexcept override { delete this; }

    std::span<const std::byte> data;
    std::shared_ptr<const void> owner;
  };
  [[noreturn]] static void unsupported() {
    throw Error(ErrorCode::unsupported, "the test's device only reads");
  }
};

}  // namespace troupe::data::test
