#pragma once

#include <cstdint>

namespace troupe::cpu {

/// AMX's eight tile registers, all of 16 rows of 64 bytes. Taken by a thread for one chunk, for
/// whoever else uses them configures them anew.
///
/// Spelled in assembly, for the compiler's own functions want literals where templates have
/// numbers. The compiler uses no tile by itself, so nothing need be told of those that change.
/// `Set` names the instruction set, for the linker.
template <class Set>
class AmxTiles {
 public:
  AmxTiles() noexcept {
    struct alignas(64) {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const shape;
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  ~AmxTiles() { asm volatile("tilerelease" ::); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  template <int I>
  void zero() noexcept {
    asm volatile("tilezero %%tmm%c0" ::"i"(I));
  }
  template <int I>
  void load(const void* from, std::int64_t row_bytes) noexcept {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(I) : "memory");
  }
  template <int I>
  void store(void* to, std::int64_t row_bytes) noexcept {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(I) : "memory");
  }
  template <int Sums, int A, int B>
  void multiply() noexcept {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
  }
};

}  // namespace troupe::cpu
