#pragma once

#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::test {

/// A system with a CPU and a scope: what most tests of tensors begin from.
struct Engine {
  explicit Engine(unsigned threads = 1, System::Options options = {})
      : system([&] {
          options.threads = threads;
          return options;
        }()),
        device(cpu::attach(system)),
        scope(system) {}

  System system;
  Device& device;
  Scope scope;
};

/// The same small numbers for the same seed on every machine, in (−1, 1).
inline std::vector<float> numbers(std::size_t count, std::uint64_t seed) {
  std::vector<float> out(count);
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (float& x : out) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    x = static_cast<float>(static_cast<std::int64_t>(state >> 40) - (1 << 23)) / (1 << 23);
  }
  return out;
}

/// Such numbers as a tensor of float32.
[[nodiscard]] inline Tensor drawn(const Shape& shape, std::uint64_t seed) {
  return Tensor::copy_of<float>(numbers(static_cast<std::size_t>(elements_in(shape)), seed), shape);
}

/// The elements of tensors, one after the other, as their bytes.
[[nodiscard]] inline std::vector<std::byte> bytes_of(const std::vector<Tensor>& tensors) {
  std::vector<std::byte> all;
  for (const Tensor& tensor : tensors) {
    const Value value = tensor.value();
    std::vector<std::byte> bytes(value->meta().bytes());
    value->device().download(value, bytes);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

}  // namespace troupe::test
