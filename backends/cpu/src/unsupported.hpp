#pragma once

#include <troupe/tensor/dtype.hpp>

#include <string_view>

namespace troupe::cpu {

/// Throws `unsupported`, naming the op and the dtype it has no kernel for. Compiled once for all
/// processors, so that no code for strings and errors comes from a kernel's file.
[[noreturn]] void throw_unsupported(std::string_view op, DType dtype);

}  // namespace troupe::cpu
