#include "expect.hpp"
#include "frames.hpp"
#include "openssl.hpp"
#include "support/raw_dialer.hpp"

#include <troupe/net/certificates.hpp>
#include <troupe/net/hello.hpp>
#include <troupe/net/security.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace {

using namespace troupe;
using net::SecureChannel;
using net::Security;

/// Two clusters: the listener's, and that of somebody who would like to be in it.
struct Clusters {
  std::shared_ptr<const Security> ours;
  std::shared_ptr<const Security> friends;
  net::Certificate strangers;
  net::Key key;
  Clusters() {
    const auto of = [](const net::Credentials& authority, const char* node) {
      return Security::make(
                 authority.certificate, net::issue(authority, node, {"127.0.0.1"}, 1).value())
          .value();
    };
    const net::Credentials authority = net::make_authority("ours", 2).value();
    ours = of(authority, "listener");
    friends = of(authority, "friend");
    const net::Credentials stranger =
        net::issue(net::make_authority("theirs", 2).value(), "stranger", {}, 1).value();
    strangers = net::read_certificate(stranger.certificate);
    key = net::read_key(stranger.key);
  }
};

std::vector<std::byte> take_output(SecureChannel& channel) {
  const auto out = channel.output();
  std::vector<std::byte> bytes(out.begin(), out.end());
  channel.drop_output(bytes.size());
  return bytes;
}

/// Whether anything came out for a decoder.
bool yields(SecureChannel& channel, std::vector<std::byte>& came) {
  std::array<std::byte, 4096> part{};
  bool any = false;
  for (;;) {
    const auto count = channel.read(part);
    if (!count || count.value() == 0) return any;
    any = true;
    came.insert(
        came.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count.value()));
  }
}

}  // namespace

// What somebody who proved nothing sends reaches no decoder: nothing comes out of the channel. The
// first byte says what it begins from:
//   0  nothing: the bytes are what he sends
//   1  a greeting by a certificate of another cluster, with these changes
//   2  a greeting by a friend, changed on its way: what comes out is what the friend wrote
//   3  without TLS, where nobody asks for proof: the bytes go to the reception
// A change is three bytes: two for where, from the end of what is sent, one that is put over it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Clusters clusters;
  if (size == 0) return 0;
  const unsigned mode = data[0] & 3;
  const auto bytes = fuzz::bytes_of(data + 1, size - 1);
  if (mode == 3) {
    net::Reception reception;
    bool done = false;
    fuzz::in_pieces(bytes, [&](std::span<const std::byte> piece) {
      if (done) return;
      const auto hello = reception.read(piece);
      done = !hello || hello.value();
    });
    return 0;
  }

  SecureChannel listener(clusters.ours, SecureChannel::Role::listens);
  std::vector<std::byte> came;
  if (mode == 0) {
    bool fine = true;
    fuzz::in_pieces(bytes, [&](std::span<const std::byte> piece) {
      if (!fine) return;
      fine = static_cast<bool>(listener.feed(piece));
      (void)yields(listener, came);
    });
    fuzz::expect(!listener.greeted() && came.empty(), "arbitrary bytes prove nothing");
    fuzz::expect(listener.output().size() < (64U << 10), "a stranger makes little to be sent");
    return 0;
  }

  const std::vector<std::byte> words(100, std::byte{42});
  std::size_t change = 0;
  int flight = 0;
  // Half of the changes for the first flight, the others for the second.
  const auto changed = [&](std::vector<std::byte> sent) {
    const std::size_t changes = bytes.size() / 3;
    const std::size_t until = flight++ == 0 ? (changes + 1) / 2 : changes;
    for (; change < until && !sent.empty(); ++change) {
      const auto at = static_cast<std::size_t>(bytes[3 * change]) |
                      static_cast<std::size_t>(bytes[3 * change + 1]) << 8;
      sent[sent.size() - 1 - at % sent.size()] ^= bytes[3 * change + 2];
    }
    return sent;
  };
  if (mode == 1) {
    test::RawDialer dialer(clusters.strangers.get(), clusters.key.get());
    for (int i = 0; i < 4; ++i) {
      if (dialer.greeted()) dialer.write(words);
      const auto sent = changed(dialer.take_output());
      if (!listener.feed(sent)) break;
      (void)yields(listener, came);
      dialer.feed(take_output(listener));
    }
    fuzz::expect(!listener.greeted() && came.empty(), "a stranger's certificate proves nothing");
    return 0;
  }
  SecureChannel dialer(clusters.friends, SecureChannel::Role::dials);
  std::vector<std::byte> answers;
  bool wrote = false;
  for (int i = 0; i < 4; ++i) {
    if (dialer.greeted() && !wrote) wrote = static_cast<bool>(dialer.write(words));
    const auto sent = changed(take_output(dialer));
    if (!listener.feed(sent)) break;
    (void)yields(listener, came);
    const auto answer = take_output(listener);
    if (!dialer.feed(answer)) break;
    (void)yields(dialer, answers);
  }
  fuzz::expect(came.empty() || came == words, "what is changed on its way does not come out");
  fuzz::expect(answers.empty(), "a listener says nothing of its own");
  return 0;
}
