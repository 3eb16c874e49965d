#pragma once

#include "crc32c.hpp"
#include "little_endian.hpp"

#include <troupe/net/frame.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::fuzz {

/// Makes checksums, magic and version right wherever a frame may begin, one behind the other, so
/// that what lies behind those checks is looked at too. @returns what was changed.
inline std::vector<std::byte> with_right_checksums(std::span<const std::byte> bytes) {
  std::vector<std::byte> fixed(bytes.begin(), bytes.end());
  for (std::size_t at = 0; fixed.size() - at >= net::header_bytes;) {
    std::byte* const front = fixed.data() + at;
    net::put_number(front, std::uint32_t{0x46505254});
    net::put_number(front + 4, net::wire_version);
    net::put_number(front + 60, net::crc32c(std::span(front, 60)));
    const auto header = net::decode_header(
        std::span<const std::byte>(fixed).subspan(at).first<net::header_bytes>());
    if (!header || net::frame_bytes(header.value()) > fixed.size() - at) break;
    const std::size_t meta = header.value().meta_length;
    const std::size_t payload = header.value().payload_length;
    const auto body = std::span(fixed).subspan(at + net::header_bytes);
    const auto right = net::encode_body_head(
        body.first(meta), body.subspan(net::body_bytes(header.value()) - payload, payload));
    std::ranges::copy(right.span(), body.begin());
    at += net::frame_bytes(header.value());
  }
  return fixed;
}

/// Cuts bytes into pieces whose sizes depend on what is in them.
template <class Use>
void in_pieces(std::span<const std::byte> bytes, Use&& use) {
  while (!bytes.empty()) {
    const std::size_t count =
        std::min<std::size_t>(bytes.size(), 1 + 3 * static_cast<std::size_t>(bytes[0]));
    use(bytes.first(count));
    bytes = bytes.subspan(count);
  }
}

}  // namespace troupe::fuzz
