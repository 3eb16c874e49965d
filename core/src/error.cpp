#include <troupe/core/error.hpp>

#include <utility>

namespace troupe {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::shape_mismatch:
      return "shape_mismatch";
    case ErrorCode::dtype_mismatch:
      return "dtype_mismatch";
    case ErrorCode::axis_out_of_range:
      return "axis_out_of_range";
    case ErrorCode::device_mismatch:
      return "device_mismatch";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::not_differentiable:
      return "not_differentiable";
    case ErrorCode::graph_freed:
      return "graph_freed";
    case ErrorCode::inside_actor:
      return "inside_actor";
    case ErrorCode::in_capture:
      return "in_capture";
    case ErrorCode::stalled:
      return "stalled";
    case ErrorCode::stopped:
      return "stopped";
    case ErrorCode::actor_down:
      return "actor_down";
    case ErrorCode::op_failed:
      return "op_failed";
    case ErrorCode::nan_found:
      return "nan_found";
    case ErrorCode::out_of_memory:
      return "out_of_memory";
    case ErrorCode::file_not_found:
      return "file_not_found";
    case ErrorCode::file_io:
      return "file_io";
    case ErrorCode::disk_full:
      return "disk_full";
    case ErrorCode::file_truncated:
      return "file_truncated";
    case ErrorCode::file_corrupt:
      return "file_corrupt";
    case ErrorCode::file_mismatch:
      return "file_mismatch";
    case ErrorCode::internal:
      return "internal";
    case ErrorCode::device_lost:
      return "device_lost";
    case ErrorCode::peer_down:
      return "peer_down";
    case ErrorCode::peer_restarted:
      return "peer_restarted";
    case ErrorCode::peer_mismatch:
      return "peer_mismatch";
    case ErrorCode::wire_corrupt:
      return "wire_corrupt";
    case ErrorCode::fenced:
      return "fenced";
    case ErrorCode::overload:
      return "overload";
    case ErrorCode::timed_out:
      return "timed_out";
    case ErrorCode::peer_hung:
      return "peer_hung";
  }
  return "unknown";
}

Error::Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {
  compose();
}

Error& Error::op(std::string_view name) & {
  op_ = name;
  compose();
  return *this;
}

Error& Error::hint(std::string_view what_to_do) & {
  hint_ = what_to_do;
  compose();
  return *this;
}

Error& Error::at(std::string_view file, std::uint32_t line) & {
  file_ = file;
  line_ = line;
  compose();
  return *this;
}

Error& Error::actor(std::string_view path) & {
  actor_ = path;
  compose();
  return *this;
}

Error& Error::step(std::int64_t number) & {
  step_ = number;
  compose();
  return *this;
}

void Error::compose() {
  text_ = std::string(to_string(code_)) + ": ";
  if (!op_.empty()) text_ += op_ + ": ";
  text_ += message_;
  if (!file_.empty()) text_ += "\n  built at " + file_ + ":" + std::to_string(line_);
  if (!actor_.empty()) text_ += "\n  in actor " + actor_;
  if (step_ >= 0) text_ += "\n  in step " + std::to_string(step_);
  if (!hint_.empty()) text_ += "\n  hint: " + hint_;
}

}  // namespace troupe
