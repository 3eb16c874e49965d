#include "unsupported.hpp"

#include <troupe/core/error.hpp>

#include <string>

namespace troupe::cpu {

void throw_unsupported(std::string_view op, DType dtype) {
  throw Error(
      ErrorCode::unsupported,
      "the CPU has no " + std::string(op) + " of " + std::string(name_of(dtype)))
      .op(op)
      .hint("cast the operands to float32 or float64");
}

}  // namespace troupe::cpu
