#include "meta.hpp"

#include "archive.hpp"

#include <troupe/core/error.hpp>

#include <string>

namespace troupe::net {

template <class Archive>
void serialize(Archive& archive, Id128& id) {
  archive(id.high, id.low);
}

namespace {

using NodeName = CappedText<255>;
using Reason = CappedText<512>;

struct HelloMeta {
  Id128 cluster;
  NodeName node;
  std::uint64_t incarnation = 0;
  Id128 session;
  std::uint64_t knows = 0;
  std::uint8_t lanes = 0;
  std::uint32_t message_bytes_max = 0;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(cluster, node, incarnation, session, knows, lanes, message_bytes_max);
  }
};

struct RefusalMeta {
  std::uint16_t code = 0;
  Reason message;
  Reason hint;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(code, message, hint);
  }
};

struct PulseMeta {
  Pulse pulse;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(pulse.progress.done, pulse.progress.busy, pulse.sent_ns, pulse.echo_ns, pulse.held_ns);
  }
};

template <class Meta>
Bytes write(const Meta& meta) {
  MetaWriter writer;
  writer(meta);
  return Bytes::copy_of(writer.bytes());
}

template <class Meta>
Meta read(std::span<const std::byte> bytes) {
  MetaReader reader(bytes);
  Meta meta;
  reader(meta);
  reader.end();
  return meta;
}

}  // namespace

Bytes write_hello(const Hello& hello) {
  return write(HelloMeta{
      hello.from.cluster,
      {hello.from.node},
      hello.from.incarnation,
      hello.session,
      hello.knows,
      hello.lanes,
      hello.message_bytes_max});
}

Bytes write_refusal(const Error& reason) {
  return write(
      RefusalMeta{static_cast<std::uint16_t>(reason.code()), {reason.message()}, {reason.hint()}});
}

Bytes write_pulse(const Pulse& pulse) { return write(PulseMeta{pulse}); }

Result<Hello> read_hello(const Frame& frame) try {
  auto meta = read<HelloMeta>(frame.meta.span());
  const auto wrong = [](const std::string& what) {
    return Error(ErrorCode::wire_corrupt, "hello: " + what);
  };
  if (meta.node.text.empty()) return wrong("a node without a name");
  if (meta.incarnation == 0) return wrong("incarnations count from 1");
  if (meta.session == Id128{}) return wrong("a session without a number");
  if (meta.lanes == 0 || meta.lanes > lanes_max || frame.header.lane >= meta.lanes)
    return wrong("lane " + std::to_string(frame.header.lane) + " of " + std::to_string(meta.lanes));
  Hello hello;
  hello.from = {meta.cluster, std::move(meta.node.text), meta.incarnation};
  hello.session = meta.session;
  hello.knows = meta.knows;
  hello.lanes = meta.lanes;
  hello.message_bytes_max = meta.message_bytes_max;
  hello.lane = frame.header.lane;
  hello.ack = frame.header.ack;
  hello.credit_messages = frame.header.credit_messages;
  hello.credit_bytes = frame.header.credit_bytes;
  return hello;
} catch (const Error& error) {
  return error;
}

Error read_refusal(std::span<const std::byte> bytes) try {
  auto meta = read<RefusalMeta>(bytes);
  return Error(static_cast<ErrorCode>(meta.code), std::move(meta.message.text))
      .hint(meta.hint.text);
} catch (const Error& error) {
  return error;
}

Result<Pulse> read_pulse(std::span<const std::byte> bytes) try {
  return read<PulseMeta>(bytes).pulse;
} catch (const Error& error) {
  return error;
}

}  // namespace troupe::net
