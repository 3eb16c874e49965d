#pragma once

#include <troupe/core/completion.hpp>
#include <troupe/core/error.hpp>

#include <memory>
#include <utility>

namespace troupe::cluster {

/// Something that other processes finish, or fail: the sum of an exchange, a launch on a peer.
class Receipt final : public Completion {
 public:
  explicit Receipt(System& system) : Completion(system) {}
  void end() { finish(); }
  void fail(Error error) {
    error_ = std::make_shared<const Error>(std::move(error));
    finish(true, error_);
  }
  /// Why it failed; once complete.
  [[nodiscard]] const std::shared_ptr<const Error>& error() const noexcept { return error_; }

 private:
  void destroy() noexcept override { delete this; }

  std::shared_ptr<const Error> error_;
};

}  // namespace troupe::cluster
