#pragma once

#include <troupe/core/monitor.hpp>
#include <troupe/core/system.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe {

/// When a child that ended is started again.
enum class Restart : std::uint8_t {
  permanent,  ///< always
  transient,  ///< when it failed
  temporary,  ///< never, nor tried again if its start throws
};

/// Who else is started again with a child that must be.
enum class Strategy : std::uint8_t {
  one_for_one,   ///< nobody
  one_for_all,   ///< all children
  rest_for_one,  ///< those that stand after it in the list, for they may depend on it
};

/// How a supervisor makes and ends one child.
struct ChildSpec {
  std::string name;
  /// Spawns the child. Whoever must know the new address is told here. May throw.
  std::function<Address<>(System& system)> start;
  Restart restart = Restart::permanent;
  /// Asks the child to end; null: `troupe::stop`.
  std::function<void(const Address<>& child)> end = nullptr;
};

struct SupervisorOptions {
  Strategy strategy = Strategy::one_for_one;
  /// More than so many restarts within the period are a failure of the supervisor itself: what a
  /// restart does not cure is for the one above to handle.
  unsigned restarts_max = 3;
  std::int64_t period_ns = 5'000'000'000;
};

/// Asks a supervisor to end its children, the last first and each before the next, and then itself.
struct Shutdown {
  static constexpr MessageId id{10};
  static constexpr std::string_view name = "shutdown";

  template <class V>
  void fields(V&) {}
};

/// Adds a child to a running supervisor, at the end of its list. Local: a function does not travel.
struct StartChild {
  static constexpr MessageId id{11};
  static constexpr std::string_view name = "start_child";

  ChildSpec child;

  template <class V>
  void fields(V& visit) {
    visit.field("name", child.name);
    visit.local("start");
  }
};

/// The supervisor's note to itself that a start threw.
struct StartFailed {
  static constexpr MessageId id{12};
  static constexpr std::string_view name = "start_failed";

  std::uint64_t child = 0;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("child", child);
    visit.field("reason", reason);
  }
};

/// Starts children, watches them, and starts again those that end when they should not, as
/// supervisors in Erlang/OTP do.
///
/// Receives  `Down` from its children, `Shutdown`, `StartChild`.
/// Order     children start in the order of the list and end in the reverse; when several must be
///           started again, all of them have ended before the first starts.
/// Failing   by too many restarts in the period: it ends its children, then itself with
/// `actor_down`,
///           which a supervisor above takes for the failure of a child.
/// Ends      by `Shutdown`, children first. Stopped in any other way, it asks them to end and does
/// not
///           wait.
class Supervisor final : public Actor<Down, Shutdown, StartChild, StartFailed> {
 public:
  static constexpr std::string_view name = "supervisor";

  /// Throws what a child's start throws, after ending those started before.
  explicit Supervisor(std::vector<ChildSpec> children, SupervisorOptions options = {});
  ~Supervisor();

  /// For reports of stalls: the child whose end it awaits.
  [[nodiscard]] std::string waits_for() const;

 private:
  friend ActorAccess;

  struct Child {
    Child(ChildSpec its_spec, std::uint64_t its_number)
        : spec(std::move(its_spec)), number(its_number) {}

    ChildSpec spec;
    std::uint64_t number;
    Address<> address;
    bool alive = false;
    bool asked_to_end = false;
    bool affected = false;  // to be ended, and started again if `restarting_`
  };
  struct Failure {
    std::uint64_t child;
    Error reason;
  };

  void on(Down&& down);
  void on(const Shutdown&);
  void on(StartChild&& start);
  void on(StartFailed&& failed);

  void start(Child& child);
  void try_to_start(Child& child);
  void end(Child& child) noexcept;
  void handle(const Failure& failure);
  [[nodiscard]] bool too_many_restarts();
  void go_on();
  Child* find(std::uint64_t number) noexcept;

  std::vector<Child> children_;
  SupervisorOptions options_;
  std::uint64_t numbers_ = 0;
  std::vector<std::int64_t> restarts_ns_;  // when, within the period
  std::vector<Failure> failures_;          // that came while children were being ended
  bool restarting_ = false;
  bool ending_ = false;
  std::optional<Error> failed_;
};

/// A supervisor as the child of another: ended by `Shutdown`, so that its children end first.
[[nodiscard]] ChildSpec supervisor_child(
    std::string name,
    std::vector<ChildSpec> children,
    SupervisorOptions options = {},
    Restart restart = Restart::permanent);

}  // namespace troupe
