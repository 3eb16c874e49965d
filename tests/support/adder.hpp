#pragma once

#include <troupe/core/completion.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/exchange.hpp>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace troupe::test {

/// Adds up what this process contributes, and `others`, when it is told to: what a cluster does,
/// without one. float32 in the host's memory.
class Adder final : public Exchanger {
 public:
  Adder(System& system, float others) : system_(system), others_(others) {}

  Ticket exchange(
      std::uint32_t number, std::span<const Value> inputs, const Value& total) override {
    std::vector<float> sums(static_cast<std::size_t>(total->meta().elements()), others_);
    std::size_t at = 0;
    for (const Value& input : inputs) {
      std::vector<float> elements(static_cast<std::size_t>(input->meta().elements()));
      input->device().download(input, std::as_writable_bytes(std::span(elements)));
      for (const float element : elements) sums[at++ % sums.size()] += element;
    }
    const std::lock_guard lock(mutex_);
    order.push_back(number);
    if (at_once) {
      total->device().write(total, std::as_bytes(std::span(sums)));
      return nullptr;
    }
    Pending& pending = pending_[number];
    pending.total = total;
    pending.sums = std::move(sums);
    pending.done = Ref<Done>::adopt(new Done(system_));
    return Ticket::share(pending.done.get());
  }

  /// Ends an exchange that was begun; with an error, if one is given.
  void finish(std::uint32_t number, std::optional<Error> error = {}) {
    Pending pending;
    {
      const std::lock_guard lock(mutex_);
      pending = std::move(pending_.at(number));
      pending_.erase(number);
    }
    if (!error)
      pending.total->device().write(pending.total, std::as_bytes(std::span(pending.sums)));
    pending.total.reset();
    pending.done->end(std::move(error));
  }
  [[nodiscard]] bool begun(std::uint32_t number) {
    const std::lock_guard lock(mutex_);
    return pending_.contains(number);
  }

  bool at_once = false;
  std::vector<std::uint32_t> order;  ///< numbers, as they were begun

 private:
  class Done final : public Completion {
   public:
    explicit Done(System& system) : Completion(system) {}
    void end(std::optional<Error> error) {
      const bool failed = error.has_value();
      finish(failed, failed ? std::make_shared<const Error>(std::move(*error)) : nullptr);
    }

   private:
    void destroy() noexcept override { delete this; }
  };
  struct Pending {
    Value total;
    std::vector<float> sums;
    Ref<Done> done;
  };

  System& system_;
  float others_;
  std::mutex mutex_;
  std::map<std::uint32_t, Pending> pending_;
};

}  // namespace troupe::test
