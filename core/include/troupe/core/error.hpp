#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace troupe {

/// What kind of thing went wrong; stable numbers, for they travel between peers.
enum class ErrorCode : std::uint16_t {
  invalid_argument = 1,    ///< a value outside what the call takes
  shape_mismatch = 2,      ///< shapes that do not fit the op or each other
  dtype_mismatch = 3,      ///< dtypes that do not fit the op or each other
  axis_out_of_range = 4,   ///< an axis the tensor does not have
  device_mismatch = 5,     ///< tensors on different devices, or a device that is not attached
  unsupported = 6,         ///< right in principle, not offered here
  not_differentiable = 7,  ///< a gradient was asked where mathematics has none
  graph_freed = 8,         ///< a second backward through a graph that was not retained
  inside_actor = 9,        ///< a blocking wait inside an actor's turn
  in_capture = 10,         ///< a value was asked of a tensor that a capture recorded
  stalled = 11,            ///< somebody waits and nothing can run any more
  stopped = 12,            ///< the system or the stream was stopped
  actor_down = 13,         ///< an actor ended because of an exception or a link
  op_failed = 14,          ///< an op threw while it ran
  nan_found = 15,          ///< a NaN was made while NaN trapping was on
  out_of_memory = 16,      ///< the device cannot hold what was asked for
  file_not_found = 17,     ///< no such file or folder
  file_io = 18,            ///< the operating system refused to read or write
  disk_full = 19,          ///< no room left for a write
  file_truncated = 20,     ///< the file ends before its own header says it should
  file_corrupt = 21,       ///< the content contradicts itself, its checksum or its format
  file_mismatch = 22,      ///< a sound file, but not for this model, data set or build
  internal = 23,           ///< a bug in Troupe; please report it
  device_lost = 24,        ///< a device stopped working; what it held is gone
  peer_down = 25,          ///< a peer is dead, cut off, or has ended the session
  peer_restarted = 26,     ///< a peer's process is another one now; what it held is gone
  peer_mismatch = 27,      ///< a sound peer, but of another cluster, version or build
  wire_corrupt = 28,       ///< bytes from a peer contradict their checksum or the protocol
  fenced = 29,             ///< it belongs to an epoch, or a life of a peer, that is over
  overload = 30,           ///< a peer takes more than its quota
  timed_out = 31,          ///< no answer within the time allowed
  peer_hung = 32,          ///< a peer answers, but its actors and kernels stand still
};

/// The name of a code as users see it, such as "shape_mismatch".
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

/// The one error of Troupe: what went wrong, where it was asked for, why, and what to do about it.
///
/// Thrown by the call that is wrong; carried in `Result`, `Down` and `Failed` where the world
/// fails. Every field is plain data, so that an error can travel to another peer and keep all it
/// says.
///
/// Threads   immutable once thrown; any thread may read it.
class Error : public std::exception {
 public:
  Error() = default;
  Error(ErrorCode code, std::string message);

  /// Each adds one piece of context and returns the error, to be chained at the throw.
  Error& op(std::string_view name) &;
  Error& hint(std::string_view what_to_do) &;
  Error& at(std::string_view file, std::uint32_t line) &;
  Error& actor(std::string_view path) &;
  Error& step(std::int64_t number) &;
  Error&& op(std::string_view name) && { return std::move(op(name)); }
  Error&& hint(std::string_view what_to_do) && { return std::move(hint(what_to_do)); }
  Error&& at(std::string_view file, std::uint32_t line) && { return std::move(at(file, line)); }
  Error&& actor(std::string_view path) && { return std::move(actor(path)); }
  Error&& step(std::int64_t number) && { return std::move(step(number)); }

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const std::string& op() const noexcept { return op_; }
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] std::uint32_t line() const noexcept { return line_; }
  [[nodiscard]] const std::string& actor() const noexcept { return actor_; }
  [[nodiscard]] std::int64_t step() const noexcept { return step_; }  ///< −1: no step

  /// The whole error as text: code, message, then one indented line for each piece of context.
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

  template <class Visitor>
  void fields(Visitor& visit) {
    auto code = static_cast<std::uint16_t>(code_);
    visit.field("code", code);
    code_ = static_cast<ErrorCode>(code);
    visit.field("message", message_);
    visit.field("op", op_);
    visit.field("hint", hint_);
    visit.field("file", file_);
    visit.field("line", line_);
    visit.field("actor", actor_);
    visit.field("step", step_);
    compose();
  }

 private:
  void compose();

  ErrorCode code_ = ErrorCode::internal;
  std::uint32_t line_ = 0;
  std::int64_t step_ = -1;
  std::string message_;
  std::string op_;
  std::string hint_;
  std::string file_;
  std::string actor_;
  std::string text_;
};

}  // namespace troupe
