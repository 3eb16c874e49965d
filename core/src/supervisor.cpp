#include <troupe/core/clock.hpp>
#include <troupe/core/supervisor.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace troupe {

Supervisor::Supervisor(std::vector<ChildSpec> children, SupervisorOptions options)
    : options_(options) {
  for (ChildSpec& spec : children) children_.emplace_back(std::move(spec), ++numbers_);
  try {
    for (Child& child : children_) start(child);
  } catch (...) {
    for (auto child = children_.rbegin(); child != children_.rend(); ++child) end(*child);
    throw;
  }
}

Supervisor::~Supervisor() {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) end(*child);
}

void Supervisor::start(Child& child) {
  child.address = child.spec.start(system());
  child.alive = true;
  child.asked_to_end = false;
  monitor(child.address, self());
}

/// What a start throws counts as the child's failure, and is handled after this turn.
void Supervisor::try_to_start(Child& child) {
  try {
    start(child);
  } catch (const Error& error) {
    self().send(StartFailed{child.number, error});
  } catch (const std::exception& error) {
    self().send(StartFailed{child.number, Error(ErrorCode::actor_down, error.what())});
  } catch (...) {
    self().send(
        StartFailed{child.number, Error(ErrorCode::actor_down, "an exception of unknown type")});
  }
}

std::string Supervisor::waits_for() const {
  for (const Child& child : children_)
    if (child.alive && child.asked_to_end) return "the end of its child " + child.spec.name;
  return "the end of one of its " + std::to_string(children_.size()) + " children";
}

void Supervisor::end(Child& child) noexcept {
  if (!child.alive || child.asked_to_end) return;
  child.asked_to_end = true;
  if (child.spec.end) {
    child.spec.end(child.address);
  } else {
    troupe::stop(child.address);
  }
}

Supervisor::Child* Supervisor::find(std::uint64_t number) noexcept {
  const auto found = std::find_if(
      children_.begin(), children_.end(), [&](const Child& c) { return c.number == number; });
  return found == children_.end() ? nullptr : &*found;
}

void Supervisor::on(Down&& down) {
  const auto child = std::find_if(children_.begin(), children_.end(), [&](const Child& c) {
    return c.alive && c.address == down.actor;
  });
  if (child == children_.end()) return;
  child->alive = false;
  const bool expected = child->asked_to_end;
  const bool again = child->spec.restart == Restart::permanent ||
                     (child->spec.restart == Restart::transient && down.failed);
  const std::uint64_t number = child->number;
  if (child->spec.restart == Restart::temporary) children_.erase(child);
  if (ending_ || restarting_) {
    // Those affected are started again anyway; the others' turn comes afterwards.
    if (again && !expected && !ending_ && !find(number)->affected)
      failures_.push_back({number, std::move(down.reason)});
    return go_on();
  }
  if (again) handle({number, std::move(down.reason)});
}

void Supervisor::on(StartFailed&& failed) {
  if (ending_) return;
  const Child* child = find(failed.child);
  if (!child) return;
  if (child->spec.restart == Restart::temporary) {
    system().log(
        LogLevel::warning,
        "the temporary child " + child->spec.name +
            " could not be started: " + failed.reason.message());
    std::erase_if(children_, [&](const Child& c) { return c.number == failed.child; });
    return;
  }
  if (restarting_) {
    failures_.push_back({failed.child, std::move(failed.reason)});
  } else {
    handle({failed.child, std::move(failed.reason)});
  }
}

void Supervisor::on(StartChild&& start) {
  if (ending_) return;
  try_to_start(children_.emplace_back(std::move(start.child), ++numbers_));
}

void Supervisor::on(const Shutdown&) {
  ending_ = true;
  go_on();
}

bool Supervisor::too_many_restarts() {
  const std::int64_t now_ns = system().clock().now_ns();
  std::erase_if(
      restarts_ns_, [&](std::int64_t then_ns) { return now_ns - then_ns >= options_.period_ns; });
  restarts_ns_.push_back(now_ns);
  return restarts_ns_.size() > options_.restarts_max;
}

void Supervisor::handle(const Failure& failure) {
  Child* failed = find(failure.child);
  if (!failed || failed->alive) return;
  if (too_many_restarts()) {
    failed_ = Error(
        ErrorCode::actor_down,
        "more than " + std::to_string(options_.restarts_max) + " restarts in " +
            std::to_string(options_.period_ns / 1'000'000) + " ms; the last was of " +
            failed->spec.name + ": " + failure.reason.message());
    ending_ = true;
    return go_on();
  }
  bool after = false;
  for (Child& child : children_) {
    after = after || &child == failed;
    child.affected = &child == failed || options_.strategy == Strategy::one_for_all ||
                     (options_.strategy == Strategy::rest_for_one && after);
  }
  restarting_ = true;
  go_on();
}

/// Ends one after another those that must be, from the last; when none of them is left, starts them
/// again or ends itself.
void Supervisor::go_on() {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    if (!child->alive || !(ending_ || child->affected)) continue;
    end(*child);
    return;  // until its Down comes
  }
  if (ending_) {
    if (failed_) return ActorBase::stop(*std::exchange(failed_, std::nullopt));
    return ActorBase::stop();
  }
  restarting_ = false;
  for (Child& child : children_) {
    // As in Erlang, also one that had ended well before: the others may count on it.
    if (std::exchange(child.affected, false)) try_to_start(child);
  }
  for (const Failure& failure : std::exchange(failures_, {})) {
    if (restarting_ || ending_) {
      failures_.push_back(failure);
    } else {
      handle(failure);
    }
  }
}

ChildSpec supervisor_child(
    std::string name, std::vector<ChildSpec> children, SupervisorOptions options, Restart restart) {
  // `end` gets an address that takes no message; this is the same actor's that takes `Shutdown`.
  auto typed = std::make_shared<Address<Shutdown>>();
  return ChildSpec{
      name,
      [=](System& system) {
        auto supervisor = system.spawn_named<Supervisor>(name, children, options);
        *typed = supervisor;
        return Address<>(supervisor);
      },
      restart,
      [typed](const Address<>&) { typed->send(Shutdown{}); }};
}

}  // namespace troupe
