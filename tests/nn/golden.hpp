#pragma once

#include <troupe/tensor/tensor.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace troupe::nn::test {

/// A tensor as a file of golden/ holds it.
struct GoldenTensor {
  DType dtype = DType::float32;
  Shape shape;
  std::vector<double> numbers;

  [[nodiscard]] Tensor tensor() const {
    const auto as = [this]<class T>(T) {
      const std::vector<T> elements(numbers.begin(), numbers.end());
      return Tensor::copy_of<T>(elements, shape);
    };
    if (dtype == DType::float64) return as(double{});
    return dtype == DType::int64 ? as(std::int64_t{}) : as(float{});
  }
};

/// Reference values from PyTorch, by name; golden/make_golden.py says how they were made.
class Golden {
 public:
  explicit Golden(const std::string& file) {
    std::ifstream in(std::string(TROUPE_TEST_FILES) + "/" + file);
    if (!in) throw std::runtime_error("there is no " + file);
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line[0] == '#') continue;
      std::istringstream head(line);
      std::string name;
      std::string dtype;
      head >> name >> dtype;
      GoldenTensor tensor;
      tensor.dtype = dtype == "float64" ? DType::float64
                     : dtype == "int64" ? DType::int64
                                        : DType::float32;
      for (char c = 0; head >> c;)
        if (c != ']' && (c == ',' || c == '[')) {
          std::int64_t size = 0;
          if (head >> size) tensor.shape.push_back(size);
          head.clear();
        }
      std::getline(in, line);
      std::istringstream elements(line);
      for (double number = 0; elements >> number;) tensor.numbers.push_back(number);
      if (static_cast<std::int64_t>(tensor.numbers.size()) != elements_in(tensor.shape))
        throw std::runtime_error(file + ": " + name + " is not of its shape");
      tensors_[name] = tensor;
    }
  }

  [[nodiscard]] const GoldenTensor* find(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const GoldenTensor& operator[](const std::string& name) const {
    const GoldenTensor* found = find(name);
    if (!found) throw std::runtime_error("no reference value " + name);
    return *found;
  }
  /// Those whose name begins with `prefix`, without it.
  [[nodiscard]] std::map<std::string, GoldenTensor> below(const std::string& prefix) const {
    std::map<std::string, GoldenTensor> found;
    for (const auto& [name, tensor] : tensors_)
      if (name.starts_with(prefix)) found[name.substr(prefix.size())] = tensor;
    return found;
  }

 private:
  std::map<std::string, GoldenTensor> tensors_;
};

inline std::vector<double> numbers_in(const Tensor& tensor) {
  const auto as = [&]<class T>(T) {
    const std::vector<T> elements = tensor.to_vector<T>();
    return std::vector<double>(elements.begin(), elements.end());
  };
  if (tensor.dtype() == DType::float64) return as(double{});
  return tensor.dtype() == DType::int64 ? as(std::int64_t{}) : as(float{});
}

/// Checks shape and numbers; `tolerance` is relative to the largest expected number, since sums of
/// either library are in error by their largest parts, not by their result.
inline void check_near(const Tensor& tensor, const GoldenTensor& expected, double tolerance) {
  REQUIRE(tensor.defined());
  REQUIRE(tensor.shape() == expected.shape);
  double scale = 0;
  for (const double number : expected.numbers) scale = std::max(scale, std::abs(number));
  const std::vector<double> numbers = numbers_in(tensor);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    CAPTURE(i, numbers[i], expected.numbers[i]);
    if (!(std::abs(numbers[i] - expected.numbers[i]) <= tolerance * scale))
      FAIL_CHECK("differs from PyTorch");
  }
}

}  // namespace troupe::nn::test
