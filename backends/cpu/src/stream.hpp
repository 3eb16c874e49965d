#pragma once

#include "simd.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace troupe::cpu {

/// Stores that go past the caches, for results that would only push everything out of them: memory
/// is then written without being read first. The same bits, and by the size of the result alone.
template <class A>
struct Stream {
  /// Whether a result of so many bytes is written that way.
  static constexpr bool pays(std::int64_t bytes) { return bytes >= std::int64_t{32} << 20; }

  /// Streamed stores are weakly ordered: once after the last of a chunk, before others are told.
  static void finish() { _mm_sfence(); }

  static void copy(void* to, const void* from, std::size_t bytes, bool streams) {
    auto* out = static_cast<std::byte*>(to);
    const auto* in = static_cast<const std::byte*>(from);
    if (streams) {
      const std::size_t before = -reinterpret_cast<std::uintptr_t>(out) % 64;
      if (bytes >= before + 64) {
        std::memcpy(out, in, before);
        for (out += before, in += before, bytes -= before; bytes >= 64;
             out += 64, in += 64, bytes -= 64)
          line(out, in);
      }
    }
    std::memcpy(out, in, bytes);
  }

 private:
  static void line(std::byte* to, const std::byte* from) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
#else
    for (int i = 0; i < 4; ++i)
      _mm_stream_si128(
          reinterpret_cast<__m128i*>(to) + i,
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + i));
#endif
  }
};

}  // namespace troupe::cpu
