#pragma once

#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/shape.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstdint>

/// Initial values, as in torch.nn.init. Those that are drawn take their numbers from the scope's
/// random state: the same seed gives the same model, on every device. Float32 unless said
/// otherwise.
///
/// Errors   `shape_mismatch` for a shape without the dimensions that a rule needs;
///          `invalid_argument` for numbers out of range.
namespace troupe::nn::init {

/// The inputs that one output element sums over, and the outputs that one input element reaches.
struct Fans {
  std::int64_t in;
  std::int64_t out;
};
/// Of a weight [out, in, kernel...]; throws `shape_mismatch` below two dimensions.
[[nodiscard]] Fans fans_of(const Shape& weight);

enum class Fan : std::uint8_t { in, out };
enum class Nonlinearity : std::uint8_t { linear, sigmoid, tanh, relu, leaky_relu, selu };
/// By how much a weight must be larger to keep the variance through the nonlinearity.
/// @param slope  leaky_relu's
[[nodiscard]] double calculate_gain(Nonlinearity nonlinearity, double slope = 0.01);

[[nodiscard]] Tensor constant(const Shape& shape, double value, DType dtype = DType::float32);
[[nodiscard]] Tensor zeros(const Shape& shape, DType dtype = DType::float32);
[[nodiscard]] Tensor ones(const Shape& shape, DType dtype = DType::float32);
/// Ones on the diagonal of a matrix.
[[nodiscard]] Tensor eye(const Shape& shape, DType dtype = DType::float32);
/// Even in [low, high].
[[nodiscard]] Tensor uniform(
    const Shape& shape, double low = 0, double high = 1, DType dtype = DType::float32);
[[nodiscard]] Tensor normal(
    const Shape& shape, double mean = 0, double std = 1, DType dtype = DType::float32);
/// A normal distribution cut off outside of [low, high].
[[nodiscard]] Tensor trunc_normal(
    const Shape& shape,
    double mean = 0,
    double std = 1,
    double low = -2,
    double high = 2,
    DType dtype = DType::float32);
/// Glorot and Bengio 2010.
[[nodiscard]] Tensor xavier_uniform(
    const Shape& shape, double gain = 1, DType dtype = DType::float32);
[[nodiscard]] Tensor xavier_normal(
    const Shape& shape, double gain = 1, DType dtype = DType::float32);
/// He et al. 2015. @param a  the slope of leaky_relu behind the layer
[[nodiscard]] Tensor kaiming_uniform(
    const Shape& shape,
    double a = 0,
    Fan mode = Fan::in,
    Nonlinearity nonlinearity = Nonlinearity::leaky_relu,
    DType dtype = DType::float32);
[[nodiscard]] Tensor kaiming_normal(
    const Shape& shape,
    double a = 0,
    Fan mode = Fan::in,
    Nonlinearity nonlinearity = Nonlinearity::leaky_relu,
    DType dtype = DType::float32);
/// Rows, or columns where there are more rows, that are orthogonal and of length `gain`; dimensions
/// after the first count as one. Saxe et al. 2013.
[[nodiscard]] Tensor orthogonal(const Shape& shape, double gain = 1, DType dtype = DType::float32);

/// The same into a parameter, with its shape and dtype.
void constant_(Parameter parameter, double value);
void zeros_(Parameter parameter);
void ones_(Parameter parameter);
void eye_(Parameter parameter);
void uniform_(Parameter parameter, double low = 0, double high = 1);
void normal_(Parameter parameter, double mean = 0, double std = 1);
void trunc_normal_(
    Parameter parameter, double mean = 0, double std = 1, double low = -2, double high = 2);
void xavier_uniform_(Parameter parameter, double gain = 1);
void xavier_normal_(Parameter parameter, double gain = 1);
void kaiming_uniform_(
    Parameter parameter,
    double a = 0,
    Fan mode = Fan::in,
    Nonlinearity nonlinearity = Nonlinearity::leaky_relu);
void kaiming_normal_(
    Parameter parameter,
    double a = 0,
    Fan mode = Fan::in,
    Nonlinearity nonlinearity = Nonlinearity::leaky_relu);
void orthogonal_(Parameter parameter, double gain = 1);

}  // namespace troupe::nn::init
