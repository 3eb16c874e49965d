#include "expect.hpp"
#include "frames.hpp"

#include <troupe/core/random.hpp>
#include <troupe/net/session.hpp>

#include <array>
#include <variant>

namespace {

using namespace troupe;
using net::Session;

constexpr std::uint32_t credit_messages = 8;
constexpr std::uint32_t credit_bytes = 4096;

net::Hello hello_of_peer(std::uint8_t lane) {
  net::Hello hello;
  hello.from = {{1, 2}, "peer", 1};
  hello.session = {3, 4};
  hello.lanes = 2;
  hello.lane = lane;
  hello.message_bytes_max = hello.credit_bytes = 10'000;
  hello.credit_messages = 100;
  return hello;
}

}  // namespace

// Any bytes from a peer that has greeted give messages in order, within the credit, or end its
// connection. The first byte says on which lane, and whether checksums are made right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  net::SessionOptions options;
  options.credit_messages = credit_messages;
  options.credit_bytes = credit_bytes;
  const auto random = make_seeded_random(1);
  Session session(options, {{1, 2}, "self", 1}, hello_of_peer(0), *random, 0);
  session.on_accepted(hello_of_peer(0), 0);
  session.on_accepted(hello_of_peer(1), 0);
  const unsigned lane = data[0] & 1;
  (void)session.offer(lane, {}, {}, {}).value();
  (void)session.next_write(lane, 0);
  session.on_written(lane);

  std::vector<std::byte> bytes;
  const auto raw = fuzz::bytes_of(data + 1, size - 1);
  if (data[0] & 2)
    bytes = fuzz::with_right_checksums(raw);
  else
    bytes.assign(raw.begin(), raw.end());

  std::int64_t now_ns = 0;
  std::array<std::uint64_t, 2> last{};
  bool over = false;
  fuzz::in_pieces(bytes, [&](std::span<const std::byte> piece) {
    now_ns += 1'000'000;
    session.on_bytes(lane, piece, now_ns);
    fuzz::expect(session.status(lane).held_bytes <= credit_bytes, "credit bounds what is held");
    // Every other piece finds the application busy.
    while (now_ns % 2'000'000 == 0) {
      const auto event = session.next_event(now_ns);
      if (!event) break;
      fuzz::expect(!over, "nothing comes after the end");
      over = std::holds_alternative<net::Over>(*event);
      const auto* delivery = std::get_if<net::Delivery>(&*event);
      if (!delivery) continue;
      fuzz::expect(delivery->sequence == ++last[delivery->lane], "messages come in order");
      session.release(delivery->lane, delivery->frame_bytes, now_ns);
    }
    if (session.wish(lane, now_ns) == Session::Wish::close && !session.over())
      session.on_accepted(hello_of_peer(static_cast<std::uint8_t>(lane)), now_ns);
    session.on_timer(now_ns);
    if (session.next_write(lane, now_ns)) session.on_written(lane);
  });
  return 0;
}
