#include <troupe/core/completion.hpp>
#include <troupe/net/remote_child.hpp>

#include <string_view>

namespace troupe::net {

namespace {

/// Stands for a child at a peer.
class Deputy final : public Actor<Completed, Found, Unanswered, Down, Shutdown> {
 public:
  static constexpr std::string_view name = "net.deputy";
  Deputy(std::function<Future<Found>()> make, std::function<void(const Address<>& child)> started)
      : make_(std::move(make)), started_(std::move(started)) {}
  ~Deputy() {
    if (child_) troupe::stop(child_);
  }

 private:
  friend ActorAccess;

  void on(const Completed&) { make_().then(self()); }
  void on(Found&& found) {
    if (!found.actor) return end(found.reason);
    child_ = found.actor;
    monitor(child_, self());
    if (ending_) return troupe::stop(child_);  // asked to end meanwhile
    if (started_) started_(child_);
  }
  void on(Unanswered&& unanswered) { end(unanswered.reason); }
  void on(Down&& down) {
    child_ = {};
    if (down.failed) return end(down.reason);
    stop();
  }
  void on(const Shutdown&) {
    ending_ = true;
    if (child_) troupe::stop(child_);
  }
  /// What comes when it is asked to end is no failure any more.
  void end(const Error& reason) {
    if (!ending_) throw Error(reason);
    stop();
  }

  std::function<Future<Found>()> make_;
  std::function<void(const Address<>& child)> started_;
  Address<> child_;
  bool ending_ = false;
};

}  // namespace

ChildSpec detail::remote_child(
    std::string name,
    std::function<Future<Found>()> make,
    std::function<void(const Address<>& child)> started,
    Restart restart) {
  ChildSpec spec;
  spec.start = [name, make = std::move(make), started = std::move(started)](System& system) {
    const auto deputy = system.spawn_named<Deputy>("net.deputy " + name, make, started);
    deputy.send(Completed{});
    return Address<>(deputy);
  };
  spec.name = std::move(name);
  spec.restart = restart;
  spec.end = [](const Address<>& deputy) { Address<Shutdown>(deputy.cell()).send(Shutdown{}); };
  return spec;
}

}  // namespace troupe::net
