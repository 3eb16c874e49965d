#pragma once

#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <cstdint>
#include <functional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

/// The harness by which every op is held against a plain reference in double: values over dtypes
/// and layouts, first derivatives and second ones against central differences, on every instruction
/// set that the machine has.
namespace troupe::conformance {

/// A tensor's elements in row-major order, of whatever dtype, as doubles.
struct Doubles {
  Shape shape;
  std::vector<double> data;

  [[nodiscard]] double& operator[](std::int64_t i) { return data[static_cast<std::size_t>(i)]; }
  [[nodiscard]] double operator[](std::int64_t i) const {
    return data[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(data.size()); }
};
[[nodiscard]] Doubles zeros_of(const Shape& shape);

/// One input of a case: float64 stands for "the floating dtype under test".
struct Input {
  Doubles elements;
  DType dtype = DType::float64;
};

/// One op on one choice of inputs.
struct Case {
  std::string name;
  std::vector<Input> inputs{};
  /// The op by its free function.
  std::function<std::vector<Tensor>(std::span<const Tensor>)> call{};
  /// What it should give, from the same numbers.
  std::function<std::vector<Doubles>(std::span<const Doubles>)> reference{};

  double ulp_max = 4;  ///< error bound in units in the last place of the dtype
  double scale = 0;    ///< errors count relative to at least this magnitude
  bool differentiable = true;
  bool twice = true;  ///< second derivatives are checked too
  /// Its first derivative depends on no input: the outputs are squared, so that there is a second
  /// one to be checked.
  bool linear = false;
  bool repeats = true;   ///< tried with inputs that repeat along an axis, by strides of 0
  bool captures = true;  ///< tried as a program too
  std::vector<DType> dtypes = {DType::float32, DType::float64};
};

using Generator = std::mt19937_64;

/// Numbers drawn evenly from [low, high], rounded to float32 so that both dtypes see the same; none
/// nearer to `kink` than `gap`.
[[nodiscard]] Input draw(
    Generator& random,
    const Shape& shape,
    double low = -2,
    double high = 2,
    double gap = 0,
    double kink = 0);
/// Whole numbers from low to high, both included.
[[nodiscard]] Input draw_whole(
    Generator& random, const Shape& shape, DType dtype, std::int64_t low, std::int64_t high);

/// A shape of the given rank, sizes from 1 to `most`.
[[nodiscard]] Shape draw_shape(Generator& random, std::size_t rank, std::int64_t most = 7);

/// Runs all checks of a case; empty, or what was wrong and where.
[[nodiscard]] std::string check(const Case& test);

/// The names of the ops that the cases checked so far were made of, derivatives included.
[[nodiscard]] std::set<std::string, std::less<>>& covered();

}  // namespace troupe::conformance
