#include <troupe/core/random.hpp>

#include <mutex>
#include <random>

namespace troupe {

namespace {

class RealRandom final : public Random {
 public:
  std::uint64_t next() override {
    const std::lock_guard lock(mutex_);
    return std::uint64_t{device_()} << 32 | device_();
  }

 private:
  std::mutex mutex_;
  std::random_device device_;
};

/// SplitMix64 (Steele, Lea, Flood, 2014): every seed is a good one.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() override {
    const std::lock_guard lock(mutex_);
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

 private:
  std::mutex mutex_;
  std::uint64_t state_;
};

}  // namespace

std::unique_ptr<Random> make_real_random() { return std::make_unique<RealRandom>(); }

std::unique_ptr<Random> make_seeded_random(std::uint64_t seed) {
  return std::make_unique<SeededRandom>(seed);
}

}  // namespace troupe
