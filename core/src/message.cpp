#include "control.hpp"

#include <troupe/core/completion.hpp>
#include <troupe/core/future.hpp>
#include <troupe/core/message.hpp>
#include <troupe/core/stream.hpp>
#include <troupe/core/supervisor.hpp>

#include <string>

namespace troupe {

void FieldVisitor::refuse_number(std::string_view name) {
  throw Error(
      ErrorCode::invalid_argument,
      "'" + std::string(name) + "' is a number that the field cannot hold");
}

namespace {

using CoreMessages = MessageList<
    1,
    99,
    Completed,
    Unreachable,
    Down,
    Monitor,
    Link,
    LinkDown,
    Stop,
    Unanswered,
    StreamCredit,
    Shutdown,
    StartChild,
    StartFailed>;

}  // namespace

const MessageType* core_message(MessageId id) noexcept {
  // An actor's last reference is no message from anybody.
  return id == Unreachable::id ? nullptr : CoreMessages::find(id);
}

}  // namespace troupe
