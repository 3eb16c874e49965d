#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace troupe::data {

/// Numbers drawn by counter, as DESIGN has it for everything random: draw n of one key is the same
/// whoever asks for it and when.
///
/// Source   Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2,
/// 3",
///          SC 2011.
class Philox {
 public:
  /// @param stream  tells apart what is drawn for different purposes under one seed
  Philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter = 0) noexcept
      : key_{low(seed), high(seed)}, stream_(stream), counter_(counter) {}

  /// The next 32 bits.
  std::uint32_t next() noexcept {
    if (used_ == 4) {
      block_ = draw(counter_++);
      used_ = 0;
    }
    return block_[used_++];
  }
  /// The next number in 0 … count − 1; even to one part in 2³².
  std::uint64_t below(std::uint64_t count) noexcept {
    const std::uint64_t upper = next();
    return (upper << 32 | next()) % count;
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t x) noexcept {
    return static_cast<std::uint32_t>(x);
  }
  static constexpr std::uint32_t high(std::uint64_t x) noexcept {
    return static_cast<std::uint32_t>(x >> 32);
  }

  [[nodiscard]] std::array<std::uint32_t, 4> draw(std::uint64_t counter) const noexcept {
    std::array<std::uint32_t, 4> x{low(counter), high(counter), low(stream_), high(stream_)};
    std::array<std::uint32_t, 2> key = key_;
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t a = std::uint64_t{0xd2511f53} * x[0];
      const std::uint64_t b = std::uint64_t{0xcd9e8d57} * x[2];
      x = {high(b) ^ x[1] ^ key[0], low(b), high(a) ^ x[3] ^ key[1], low(a)};
      key[0] += 0x9e3779b9;
      key[1] += 0xbb67ae85;
    }
    return x;
  }

  std::array<std::uint32_t, 2> key_;
  std::uint64_t stream_;
  std::uint64_t counter_;
  std::array<std::uint32_t, 4> block_{};
  std::size_t used_ = 4;
};

}  // namespace troupe::data
