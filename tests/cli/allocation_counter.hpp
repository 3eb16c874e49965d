#pragma once

#include <string>

/// Counts the calls that this program makes to the C library's allocator and to mmap: its own stand
/// before the C library's, as the linker has it. A program that includes this links
/// allocation_counter.cpp, and runs without sanitizers, which stand there themselves.
namespace troupe::test {

void begin_counting_allocations() noexcept;
void end_counting_allocations() noexcept;
/// Counted since it was begun, by any thread.
[[nodiscard]] int allocations_counted() noexcept;
/// The last callers of them, in no order: a line each, of places in this program for addr2line.
[[nodiscard]] std::string allocation_callers();

}  // namespace troupe::test
