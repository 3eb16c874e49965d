#include "crc32c.hpp"

#include "little_endian.hpp"

#include <array>
#include <bit>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace troupe::net {

namespace {

/// tables[i][b]: what a byte b does to the checksum when i more bytes follow it.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  constexpr std::uint32_t polynomial = 0x82f63b78;  // Castagnoli's, the lowest bit first
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t i = 1; i < tables.size(); ++i)
    for (std::uint32_t byte = 0; byte < 256; ++byte)
      tables[i][byte] = tables[i - 1][byte] >> 8 ^ tables[0][tables[i - 1][byte] & 255];
  return tables;
}

constexpr Tables tables = make_tables();

#if defined(__x86_64__)
// All of these are without the inversions before and behind.

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(
    std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  std::uint64_t wide = crc;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) wide = _mm_crc32_u64(wide, get_number<std::uint64_t>(at));
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; left > 0; ++at, --left) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*at));
  return narrow;
}

// The instruction takes three cycles for eight bytes, on some processors without overlap.
// Multiplying without carries goes faster: as a polynomial, the 16 bytes that stand `bits` before
// others leave the same remainder as x^bits times them put on top of those. So a block at the
// beginning is folded onto the next one, and so on, and at the end one block is left that leaves
// the remainder of all, which the instruction makes. (Gopal et al., "Fast CRC Computation for
// Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009.)

/// x^n mod the polynomial, the lowest power in the highest bit, moved on by the one place that a
/// product of numbers in that order is short of.
constexpr std::uint64_t power_of_x(unsigned n) {
  std::uint32_t crc = 0x80000000U;
  for (unsigned i = 0; i < n; ++i) crc = crc >> 1 ^ (crc & 1 ? tables[0][128] : 0);
  return std::uint64_t{crc} << 1;
}

/// What the two halves of 16 bytes are multiplied by to be moved on by so many bits. A half stands
/// for 32 places more or less than that, for the product of 64 and 32 bits ends in the middle.
template <unsigned bits>
constexpr std::array<std::uint64_t, 2> folding{power_of_x(bits + 32), power_of_x(bits - 32)};

__attribute__((target("sse4.2,pclmul"))) std::uint32_t by_folding(
    std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  constexpr std::size_t block = 64;
  if (bytes.size() < 2 * block) return by_instruction(bytes, crc);
  const auto* at = reinterpret_cast<const __m128i*>(bytes.data());
  __m128i sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = _mm_loadu_si128(at + i);
  sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi32_si128(static_cast<int>(crc)));
  const auto by = std::bit_cast<__m128i>(folding<8 * block>);
  std::size_t left = bytes.size() - block;
  for (at += 4; left >= block; at += 4, left -= block)
    for (int i = 0; i < 4; ++i)
      sums[i] = _mm_xor_si128(
          _mm_xor_si128(
              _mm_clmulepi64_si128(sums[i], by, 0x00), _mm_clmulepi64_si128(sums[i], by, 0x11)),
          _mm_loadu_si128(at + i));
  std::array<std::byte, block> folded;
  for (int i = 0; i < 4; ++i)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(folded.data()) + i, sums[i]);
  return by_instruction(bytes.last(left), by_instruction(folded, 0));
}

/// The same, four times as much at once.
__attribute__((target("sse4.2,avx512f,vpclmulqdq"))) std::uint32_t by_wide_folding(
    std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  constexpr std::size_t block = 256;
  if (bytes.size() < 2 * block) return by_instruction(bytes, crc);
  const std::byte* at = bytes.data();
  __m512i sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = _mm512_loadu_si512(at + 64 * i);
  const __m128i before = _mm_cvtsi32_si128(static_cast<int>(crc));
  sums[0] = _mm512_xor_si512(sums[0], _mm512_zextsi128_si512(before));
  const __m512i by = _mm512_broadcast_i32x4(std::bit_cast<__m128i>(folding<8 * block>));
  std::size_t left = bytes.size() - block;
  for (at += block; left >= block; at += block, left -= block)
    for (int i = 0; i < 4; ++i)
      sums[i] = _mm512_ternarylogic_epi64(
          _mm512_clmulepi64_epi128(sums[i], by, 0x00),
          _mm512_clmulepi64_epi128(sums[i], by, 0x11),
          _mm512_loadu_si512(at + 64 * i),
          0x96);  // a ^ b ^ c
  std::array<std::byte, block> folded;
  for (int i = 0; i < 4; ++i) _mm512_storeu_si512(folded.data() + 64 * i, sums[i]);
  return by_instruction(bytes.last(left), by_instruction(folded, 0));
}
#endif

std::uint32_t by_tables(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint64_t mixed = get_number<std::uint64_t>(at) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][mixed >> 8 * i & 255];
  }
  for (; left > 0; ++at, --left)
    crc = crc >> 8 ^ tables[0][(crc ^ static_cast<std::uint32_t>(*at)) & 255];
  return crc;
}

template <Crc32c bare>
std::uint32_t inverted(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  return ~bare(bytes, ~crc);
}

std::vector<Crc32c> find_ways() {
  std::vector<Crc32c> ways;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) {
    if (__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512f"))
      ways.push_back(inverted<by_wide_folding>);
    if (__builtin_cpu_supports("pclmul")) ways.push_back(inverted<by_folding>);
    ways.push_back(inverted<by_instruction>);
  }
#endif
  ways.push_back(inverted<by_tables>);
  return ways;
}

}  // namespace

std::span<const Crc32c> crc32c_ways() noexcept {
  static const std::vector<Crc32c> ways = find_ways();
  return ways;
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  return crc32c_ways().front()(bytes, crc);
}

}  // namespace troupe::net
