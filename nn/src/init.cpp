#include "draws.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace troupe::nn::init {

namespace {

std::size_t count_in(const Shape& shape) { return static_cast<std::size_t>(elements_in(shape)); }

Tensor uploaded(const Shape& shape, std::vector<double> numbers, DType dtype) {
  switch (dtype) {
    case DType::float64:
      return Tensor::copy_of<double>(numbers, shape);
    case DType::float32: {
      const std::vector<float> narrow(numbers.begin(), numbers.end());
      return Tensor::copy_of<float>(narrow, shape);
    }
    case DType::int64: {
      const std::vector<std::int64_t> whole(numbers.begin(), numbers.end());
      return Tensor::copy_of<std::int64_t>(whole, shape);
    }
    default:
      throw Error(
          ErrorCode::unsupported, "no initial values are made of " + std::string(name_of(dtype)))
          .hint("make them float32 and cast");
  }
}

Draws next_draws() { return Draws(Scope::current().random()); }

void require_floating(DType dtype) {
  if (!is_floating(dtype))
    throw Error(
        ErrorCode::dtype_mismatch,
        "random numbers of " + std::string(name_of(dtype)) + " are not offered here");
}

double kaiming_std(const Shape& shape, double a, Fan mode, Nonlinearity nonlinearity) {
  const Fans fans = fans_of(shape);
  const auto fan = static_cast<double>(mode == Fan::in ? fans.in : fans.out);
  return calculate_gain(nonlinearity, a) / std::sqrt(fan);
}

double xavier_std(const Shape& shape, double gain) {
  const Fans fans = fans_of(shape);
  return gain * std::sqrt(2.0 / static_cast<double>(fans.in + fans.out));
}

/// An even distribution of standard deviation s reaches to ±√3·s.
double reach(double std) { return std::sqrt(3.0) * std; }

/// Has `make` fill a parameter on its own device.
template <class Make>
void fill(Parameter& parameter, const Make& make) {
  const OnDevice there(parameter.device());
  parameter.set(make(parameter.shape(), parameter.dtype()));
}

}  // namespace

Fans fans_of(const Shape& weight) {
  if (weight.size() < 2)
    throw Error(
        ErrorCode::shape_mismatch,
        "a weight " + to_string(weight) + " has no fan-in and fan-out: they take two dimensions");
  std::int64_t kernel = 1;
  for (std::size_t i = 2; i < weight.size(); ++i) kernel *= weight[i];
  return {weight[1] * kernel, weight[0] * kernel};
}

double calculate_gain(Nonlinearity nonlinearity, double slope) {
  switch (nonlinearity) {
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid:
      return 1;
    case Nonlinearity::tanh:
      return 5.0 / 3;
    case Nonlinearity::relu:
      return std::sqrt(2.0);
    case Nonlinearity::leaky_relu:
      return std::sqrt(2.0 / (1 + slope * slope));
    case Nonlinearity::selu:
      return 0.75;
  }
  return 1;
}

Tensor constant(const Shape& shape, double value, DType dtype) {
  return uploaded(shape, std::vector<double>(count_in(shape), value), dtype);
}
Tensor zeros(const Shape& shape, DType dtype) { return constant(shape, 0, dtype); }
Tensor ones(const Shape& shape, DType dtype) { return constant(shape, 1, dtype); }

Tensor eye(const Shape& shape, DType dtype) {
  if (shape.size() != 2)
    throw Error(ErrorCode::shape_mismatch, "eye makes a matrix, not " + to_string(shape));
  std::vector<double> numbers(count_in(shape), 0.0);
  for (std::int64_t i = 0; i < std::min(shape[0], shape[1]); ++i)
    numbers[static_cast<std::size_t>(i * shape[1] + i)] = 1;
  return uploaded(shape, std::move(numbers), dtype);
}

Tensor uniform(const Shape& shape, double low, double high, DType dtype) {
  require_floating(dtype);
  if (!(low <= high))
    throw Error(
        ErrorCode::invalid_argument,
        "the lower bound " + std::to_string(low) + " is above the upper one " +
            std::to_string(high));
  Draws draws = next_draws();
  std::vector<double> numbers(count_in(shape));
  for (double& number : numbers) number = low + (high - low) * draws.uniform();
  return uploaded(shape, std::move(numbers), dtype);
}

Tensor normal(const Shape& shape, double mean, double std, DType dtype) {
  require_floating(dtype);
  if (!(std >= 0))
    throw Error(
        ErrorCode::invalid_argument,
        "the standard deviation " + std::to_string(std) + " is negative");
  Draws draws = next_draws();
  std::vector<double> numbers(count_in(shape));
  for (double& number : numbers) number = mean + std * draws.normal();
  return uploaded(shape, std::move(numbers), dtype);
}

Tensor trunc_normal(
    const Shape& shape, double mean, double std, double low, double high, DType dtype) {
  require_floating(dtype);
  // Drawing again until it fits must end: the interval has to hold a good part of the distribution.
  if (!(std > 0) || !(low < high) || low > mean + 2 * std || high < mean - 2 * std)
    throw Error(
        ErrorCode::invalid_argument,
        "trunc_normal needs a positive standard deviation and an interval within two of them from "
        "the mean");
  Draws draws = next_draws();
  std::vector<double> numbers(count_in(shape));
  for (double& number : numbers) do {
      number = mean + std * draws.normal();
    } while (number < low || number > high);
  return uploaded(shape, std::move(numbers), dtype);
}

Tensor xavier_uniform(const Shape& shape, double gain, DType dtype) {
  const double bound = reach(xavier_std(shape, gain));
  return uniform(shape, -bound, bound, dtype);
}
Tensor xavier_normal(const Shape& shape, double gain, DType dtype) {
  return normal(shape, 0, xavier_std(shape, gain), dtype);
}
Tensor kaiming_uniform(
    const Shape& shape, double a, Fan mode, Nonlinearity nonlinearity, DType dtype) {
  const double bound = reach(kaiming_std(shape, a, mode, nonlinearity));
  return uniform(shape, -bound, bound, dtype);
}
Tensor kaiming_normal(
    const Shape& shape, double a, Fan mode, Nonlinearity nonlinearity, DType dtype) {
  return normal(shape, 0, kaiming_std(shape, a, mode, nonlinearity), dtype);
}

Tensor orthogonal(const Shape& shape, double gain, DType dtype) {
  require_floating(dtype);
  if (shape.size() < 2)
    throw Error(
        ErrorCode::shape_mismatch,
        "orthogonal takes at least two dimensions, not " + to_string(shape));
  const auto rows = static_cast<std::size_t>(shape[0]);
  const std::size_t columns = rows == 0 ? 0 : count_in(shape) / rows;
  const std::size_t vectors = std::min(rows, columns);
  const std::size_t length = std::max(rows, columns);
  Draws draws = next_draws();
  std::vector<std::vector<double>> basis(vectors, std::vector<double>(length));
  for (std::size_t i = 0; i < vectors; ++i) {
    std::vector<double>& vector = basis[i];
    for (double& number : vector) number = draws.normal();
    // Gram and Schmidt, twice: the second pass takes out what rounding left by the first.
    for (int pass = 0; pass < 2; ++pass)
      for (std::size_t j = 0; j < i; ++j) {
        double along = 0;
        for (std::size_t k = 0; k < length; ++k) along += vector[k] * basis[j][k];
        for (std::size_t k = 0; k < length; ++k) vector[k] -= along * basis[j][k];
      }
    double square = 0;
    for (const double number : vector) square += number * number;
    for (double& number : vector) number /= std::sqrt(square);
  }
  std::vector<double> numbers(rows * columns);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      numbers[i * columns + j] = gain * (rows <= columns ? basis[i][j] : basis[j][i]);
  return uploaded(shape, std::move(numbers), dtype);
}

// --- into a parameter
// -----------------------------------------------------------------------------

void constant_(Parameter parameter, double value) {
  fill(parameter, [&](const Shape& s, DType d) { return constant(s, value, d); });
}
void zeros_(Parameter parameter) { constant_(std::move(parameter), 0); }
void ones_(Parameter parameter) { constant_(std::move(parameter), 1); }
void eye_(Parameter parameter) { fill(parameter, eye); }
void uniform_(Parameter parameter, double low, double high) {
  fill(parameter, [&](const Shape& s, DType d) { return uniform(s, low, high, d); });
}
void normal_(Parameter parameter, double mean, double std) {
  fill(parameter, [&](const Shape& s, DType d) { return normal(s, mean, std, d); });
}
void trunc_normal_(Parameter parameter, double mean, double std, double low, double high) {
  fill(
      parameter, [&](const Shape& s, DType d) { return trunc_normal(s, mean, std, low, high, d); });
}
void xavier_uniform_(Parameter parameter, double gain) {
  fill(parameter, [&](const Shape& s, DType d) { return xavier_uniform(s, gain, d); });
}
void xavier_normal_(Parameter parameter, double gain) {
  fill(parameter, [&](const Shape& s, DType d) { return xavier_normal(s, gain, d); });
}
void kaiming_uniform_(Parameter parameter, double a, Fan mode, Nonlinearity nonlinearity) {
  fill(parameter, [&](const Shape& s, DType d) {
    return kaiming_uniform(s, a, mode, nonlinearity, d);
  });
}
void kaiming_normal_(Parameter parameter, double a, Fan mode, Nonlinearity nonlinearity) {
  fill(parameter, [&](const Shape& s, DType d) {
    return kaiming_normal(s, a, mode, nonlinearity, d);
  });
}
void orthogonal_(Parameter parameter, double gain) {
  fill(parameter, [&](const Shape& s, DType d) { return orthogonal(s, gain, d); });
}

}  // namespace troupe::nn::init
