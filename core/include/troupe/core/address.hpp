#pragma once

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/message.hpp>
#include <troupe/core/ref.hpp>

#include <type_traits>
#include <utility>

namespace troupe {

template <class M, class... Ms>
concept OneOf = (std::is_same_v<M, Ms> || ...);

/// The right to send messages of these types to one actor. The actor may be local or remote and the
/// sender cannot tell; sending to one that has stopped drops the message.
///
/// Threads   any; an address is one counted pointer.
/// Order     messages of one sender to one actor arrive in the order sent.
/// Wrong     a message that is not among `Ms` does not compile.
template <class... Ms>
class Address {
 public:
  Address() noexcept = default;
  explicit Address(Ref<ActorCell> cell) noexcept : cell_(std::move(cell)) {}
  /// An address may be narrowed to any subset of its messages.
  template <class... Wider>
  requires(sizeof...(Wider) != sizeof...(Ms) || !(std::is_same_v<Ms, Wider> && ...)) &&
      (OneOf<Ms, Wider...> && ...) Address(const Address<Wider...>& other) noexcept
      : cell_(other.cell()) {}  // NOLINT: implicit

  /// Queues the message; never blocks.
  template <class M>
  requires OneOf<std::remove_cvref_t<M>, Ms...>
  void send(M&& message) const {
    using Payload = std::remove_cvref_t<M>;
    cell_->deliver(*cell_->make_message<Payload>(Payload(std::forward<M>(message))));
  }

  explicit operator bool() const noexcept { return static_cast<bool>(cell_); }
  [[nodiscard]] const Ref<ActorCell>& cell() const noexcept { return cell_; }
  friend bool operator==(const Address& a, const Address& b) noexcept { return a.cell_ == b.cell_; }

 private:
  Ref<ActorCell> cell_;
};

}  // namespace troupe
