#pragma once

#include "fleet_messages.hpp"

#include <troupe/cluster/exchanger.hpp>
#include <troupe/cluster/view.hpp>
#include <troupe/core/system.hpp>
#include <troupe/net/network.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

/// What leader and followers share.
namespace troupe::cluster {

/// A step's exchange may wait for a leader that tests its model, or saves it.
inline constexpr std::int64_t exchange_timeout_ns = 600'000'000'000;
/// Small, for what goes in a step's last bucket is what nothing hides any more.
inline constexpr std::uint64_t bucket_bytes = 1U << 20;
inline constexpr std::size_t state_piece_bytes = 4U << 20;
inline constexpr std::int64_t assemble_timeout_ns = 15'000'000'000;
inline constexpr std::int64_t farewell_ns = 5'000'000'000;
/// Before a view that follows one without a step; times how many there were.
inline constexpr std::int64_t view_pause_ns = 50'000'000;
inline constexpr int views_in_vain_max = 12;

/// Whether an error says that others are gone or have left, which another view mends.
[[nodiscard]] bool is_of_the_view(ErrorCode code) noexcept;

/// Waits until it is so, or the time is over. @returns whether it is so.
bool wait_for(
    System& system,
    const std::function<bool()>& done,
    std::int64_t timeout_ns,
    std::string_view what);

/// Whether messages go to this node and come from it, as far as is known.
[[nodiscard]] bool is_up(const net::Network& network, const std::string& node);

/// Connects to all members and finds their ends of the mesh.
///
/// @param over  the view is, as somebody in it is lost: those that are left must not wait for it
/// Errors  throws `timed_out` or what the network says, naming the member; `fenced` once it is
/// over.
[[nodiscard]] Group assemble(
    System& system,
    net::Network& network,
    const Enter& enter,
    const Mesh& mesh,
    const std::function<bool()>& over);

/// Ends what is under way in the mesh: this process is alone from now on, until it enters the view
/// of this epoch or a later one.
void leave(Mesh& mesh, std::uint32_t next_epoch, const std::string& node);

/// A view of these members: the shards that a rank carries, and who adds them up.
[[nodiscard]] View make_view(
    const Enter& enter,
    std::shared_ptr<MeshExchanger> exchanger,
    Bytes state,
    std::stop_token stop);

/// Sends a state in pieces.
template <class To>
void send_state(const To& to, std::uint64_t term, std::uint32_t epoch, const Bytes& state) {
  // All pieces keep the whole alive.
  const auto whole = std::make_shared<const Bytes>(state);
  std::span<const std::byte> left = state.span();
  do {
    const auto piece = left.first(std::min(state_piece_bytes, left.size()));
    left = left.subspan(piece.size());
    to.send(StatePiece{term, epoch, left.empty(), Bytes(piece, whole)});
  } while (!left.empty());
}

/// Puts pieces together as they come.
class StateGatherer {
 public:
  void add(const StatePiece& piece) {
    const auto bytes = piece.data.span();
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    whole_ = piece.last;
  }
  [[nodiscard]] bool whole() const noexcept { return whole_; }
  [[nodiscard]] Bytes take() {
    const auto owner = std::make_shared<std::vector<std::byte>>(std::move(bytes_));
    bytes_.clear();
    whole_ = false;
    return Bytes(*owner, owner);
  }
  void clear() noexcept {
    bytes_.clear();
    whole_ = false;
  }

 private:
  std::vector<std::byte> bytes_;
  bool whole_ = false;
};

}  // namespace troupe::cluster
