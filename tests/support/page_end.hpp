#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace troupe::cpu::test {

/// Elements whose last one is followed by a page that may not be touched.
template <class T>
class AtPageEnd {
 public:
  explicit AtPageEnd(std::int64_t count) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    pages_ = (bytes + page - 1) / page * page;
    bytes_ = pages_ + page;
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || ::mprotect(base_ + pages_, page, PROT_NONE) != 0)
      throw std::runtime_error("no pages");
    data_ = reinterpret_cast<T*>(base_ + pages_ - bytes);
  }
  ~AtPageEnd() { ::munmap(base_, bytes_); }
  AtPageEnd(const AtPageEnd&) = delete;
  AtPageEnd& operator=(const AtPageEnd&) = delete;
  [[nodiscard]] T* data() const noexcept { return data_; }

 private:
  std::byte* base_;
  std::size_t pages_;
  std::size_t bytes_;
  T* data_;
};

}  // namespace troupe::cpu::test
