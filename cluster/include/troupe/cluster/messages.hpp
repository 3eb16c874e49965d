#pragma once

#include <troupe/core/message.hpp>

namespace troupe::cluster {

/// The type of a message that processes of a cluster send each other, for
/// `net::NetworkOptions::messages`; null for any other number.
[[nodiscard]] const MessageType* find_message(MessageId id) noexcept;

}  // namespace troupe::cluster
