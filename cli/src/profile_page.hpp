#pragma once

#include <troupe/autograd/profile.hpp>
#include <troupe/cpu/limits.hpp>

#include <string>
#include <string_view>

namespace troupe::cli {

/// A profile as a web page that needs nothing else: bars by name, the last step in time, and a
/// table of all ops.
[[nodiscard]] std::string page_of(
    const ProgramProfile& profile, const cpu::Limits& limits, std::string_view title);

}  // namespace troupe::cli
