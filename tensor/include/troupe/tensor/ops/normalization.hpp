#pragma once

#include <troupe/tensor/op.hpp>

// Not an op: the algebra that layer_norm, rms_norm and batch_norm share.
namespace troupe {

/// What a statistic of rows, [rows...], was taken along in x, [rows..., normalized...], and the
/// shape in which it broadcasts against x.
struct RowStatistic {
  Dims axes;
  Shape beside;

  RowStatistic(const Shape& rows, const Shape& x) : beside(rows) {
    for (std::size_t i = rows.size(); i < x.size(); ++i) {
      axes.push_back(static_cast<std::int64_t>(i));
      beside.push_back(1);
    }
  }
};

/// The vjp of a normalization's backward op, whose inputs are (dy, x, mean, rstd[, weight]) and
/// whose outputs are dx = rstd·P(dy·w) and, with a weight, dweight = Σ dy·x̂ and dbias = Σ dy.
///
/// x̂ = (x − mean)·rstd, and P(u) = u − m(u) − x̂·m(u·x̂) with m the mean over `axes`. The
/// statistics are differentiated through x alone. With G, A, B the gradients of dx, dweight and
/// dbias, g = dy·w, and c what comes down to x̂:
///
///     c = A·dy − rstd·(G·m(g·x̂) + g·m(G·x̂))
///     for dy   w·rstd·P(G) + A·x̂ + B
///     for x    rstd·P(c) − rstd·x̂·m(rstd·P(G)·g)
///     for w    rstd·P(G)·dy, yet to be summed to w's shape
///
/// All tensors are given so that they broadcast against x; undefined ones stand for "none". Without
/// a mean, x̂ = x·rstd and P(u) = u − x̂·m(u·x̂): what is normalized by its root mean square.
template <class T>
struct NormalizationCurvature {
  T dy;
  T x;
  T weight;
};
template <class T>
NormalizationCurvature<T> normalization_curvature(
    const T& G,
    const T& A,
    const T& B,
    const T& dy,
    const T& x,
    const T& mean_x,
    const T& rstd,
    const T& weight,
    const Dims& axes) {
  const T normal = (mean_x ? x - mean_x : x) * rstd;
  const auto center = [&](const T& u) {
    const T shifted = mean_x ? u - mean(u, axes, true) : u;
    return shifted - normal * mean(u * normal, axes, true);
  };
  const auto plus = [](const T& sum, const T& term) { return sum ? sum + term : term; };
  NormalizationCurvature<T> result;
  T c;  // the gradient of the normalized x
  if (G) {
    const T g = weight ? dy * weight : dy;
    const T projected = rstd * center(G);
    result.dy = weight ? projected * weight : projected;
    if (weight) result.weight = projected * dy;
    c = -(rstd * (G * mean(g * normal, axes, true) + g * mean(G * normal, axes, true)));
    result.x = -(rstd * normal * mean(projected * g, axes, true));
  }
  if (A) {
    result.dy = plus(result.dy, A * normal);
    c = plus(c, A * dy);
  }
  if (B) result.dy = result.dy ? result.dy + B : expand(B, dy.shape());
  if (c) result.x = plus(result.x, rstd * center(c));
  return result;
}

}  // namespace troupe
