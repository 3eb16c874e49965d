#pragma once

#include <troupe/core/address.hpp>
#include <troupe/core/bytes.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/meta.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cluster {

/// What the actor is published by that lends this process's devices.
inline constexpr std::string_view device_host_name = "cluster.device";

/// Elements that a message carries at once: what is larger goes in pieces.
inline constexpr std::size_t device_piece_bytes = std::size_t{1} << 20;
/// A launch takes no more than this without its elements.
inline constexpr std::size_t launch_bytes_max = std::size_t{1} << 20;
/// Inputs that a launch has at most, which bounds what reading one reserves.
inline constexpr std::size_t launch_operands_max = 1024;
/// Numbers that are freed by one message.
inline constexpr std::size_t freed_at_once_max = 4096;

/// A stretch of memory that the borrower numbered, seen as a tensor.
struct LentValue {
  std::uint64_t number = 0;
  Meta meta;
  Dims strides;             ///< in elements
  std::int64_t offset = 0;  ///< in elements

  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
    visit.field("dtype", meta.dtype);
    visit.field("shape", meta.shape);
    visit.field("strides", strides);
    visit.field("offset", offset);
  }
};

/// What `LaunchLent::body` holds; the op's attributes follow.
struct LaunchBody {
  std::uint32_t op = 0;
  std::uint64_t random_seed = 0;
  std::uint64_t random_call = 0;
  std::vector<LentValue> inputs;
  std::vector<LentValue> outputs;  ///< contiguous, each all of its number's memory

  template <class V>
  void fields(V& visit) {
    visit.field("op", op);
    visit.field("random_seed", random_seed);
    visit.field("random_call", random_call);
    list(visit, "inputs", inputs);
    list(visit, "outputs", outputs);
  }

 private:
  template <class V>
  static void list(V& visit, std::string_view name, std::vector<LentValue>& values) {
    std::uint64_t length = values.size();
    visit.list_length(name, length);
    if (length > launch_operands_max)
      throw Error(
          ErrorCode::unsupported,
          "an op of " + std::to_string(length) + " " + std::string(name) +
              " cannot be launched elsewhere; " + std::to_string(launch_operands_max) + " at most");
    values.resize(length);
    for (LentValue& value : values) value.fields(visit);
  }
};

/// Elements for a number that has none yet, or the next piece of them.
struct UploadLent {
  static constexpr MessageId id{530};
  static constexpr std::string_view name = "upload_lent";
  static constexpr bool bounded = true;  // by what the peer's device lends

  std::uint64_t number = 0;
  std::uint64_t bytes = 0;  ///< of all pieces
  std::uint64_t at = 0;     ///< where this one begins
  Bytes data;

  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
    visit.field("bytes", bytes);
    visit.field("at", at);
    visit.field("data", data);
  }
};

/// Asks for a launch.
struct LaunchLent {
  static constexpr MessageId id{531};
  static constexpr std::string_view name = "launch_lent";

  std::uint64_t call = 0;
  Bytes body;

  template <class V>
  void fields(V& visit) {
    visit.field("call", call);
    visit.field("body", body);
  }
};

/// Asks for a value's elements, in row-major order.
struct ReadLent {
  static constexpr MessageId id{532};
  static constexpr std::string_view name = "read_lent";

  std::uint64_t call = 0;
  LentValue value;

  template <class V>
  void fields(V& visit) {
    visit.field("call", call);
    visit.field("value", value);
  }
};

/// Numbers whose memory nobody needs any more.
struct FreeLent {
  static constexpr MessageId id{533};
  static constexpr std::string_view name = "free_lent";

  std::vector<std::uint64_t> numbers;

  template <class V>
  void fields(V& visit) {
    visit.field("numbers", numbers);
  }
};

using LoanAddress = Address<UploadLent, LaunchLent, ReadLent, FreeLent>;

/// The answer to `BorrowDevice`.
struct DeviceLent {
  static constexpr MessageId id{534};
  static constexpr std::string_view name = "device_lent";

  LoanAddress loan;
  std::string description;
  std::vector<std::uint32_t> ops;  ///< that the device has kernels for
  bool refused = false;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("loan", loan);
    visit.field("description", description);
    visit.field("ops", ops);
    visit.field("refused", refused);
    visit.field("reason", reason);
  }
};

/// A launch or a read has ended.
struct LentDone {
  static constexpr MessageId id{535};
  static constexpr std::string_view name = "lent_done";

  std::uint64_t call = 0;
  bool failed = false;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("call", call);
    visit.field("failed", failed);
    visit.field("reason", reason);
  }
};

/// The next of a value's elements, in order.
struct LentPiece {
  static constexpr MessageId id{536};
  static constexpr std::string_view name = "lent_piece";
  static constexpr bool bounded = true;  // by the host's quota

  std::uint64_t call = 0;
  Bytes data;

  template <class V>
  void fields(V& visit) {
    visit.field("call", call);
    visit.field("data", data);
  }
};

using BorrowerAddress = Address<DeviceLent, LentDone, LentPiece>;

/// Asks for the use of a device.
struct BorrowDevice {
  static constexpr MessageId id{537};
  static constexpr std::string_view name = "borrow_device";

  std::string device;
  BorrowerAddress borrower;

  template <class V>
  void fields(V& visit) {
    visit.field("device", device);
    visit.field("borrower", borrower);
  }
};

using DeviceMessages = MessageList<
    530,
    549,
    UploadLent,
    LaunchLent,
    ReadLent,
    FreeLent,
    DeviceLent,
    LentDone,
    LentPiece,
    BorrowDevice>;

}  // namespace troupe::cluster
