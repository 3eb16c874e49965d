#include "average_windows.hpp"

#include "divisor.hpp"

namespace troupe::vulkan {
namespace {

struct Params {
  std::uint32_t n;
  Divisor size[2], out_size[2];
  std::int32_t padding[2];
  std::uint32_t divisor, count_include_pad;
};
Params params_of(
    const AverageWindows& windows, const Shape& plane, const Shape& pooled, std::int64_t n) {
  Params params{};
  params.n = static_cast<std::uint32_t>(n);
  const std::size_t first = plane.size() - 2;
  for (std::size_t i = 0; i < 2; ++i) {
    params.size[i] = Divisor::of(static_cast<std::uint32_t>(plane[first + i]));
    params.out_size[i] = Divisor::of(static_cast<std::uint32_t>(pooled[first + i]));
    params.padding[i] = windows.padding[i];
  }
  params.divisor = windows.divisor;
  params.count_include_pad = windows.count_include_pad;
  return params;
}

}  // namespace

void AverageWindows::encode_forward(Encoder& encoder) const {
  static const ShaderByDType shaders("average_windows");
  const Value x = encoder.contiguous(encoder.in(0));
  const Value& y = encoder.out(0);
  const Shader* shader = shaders[x->dtype()];
  if (!shader) encoder.refuse(x->dtype());
  const Params params = params_of(*this, x->shape(), y->shape(), y->meta().elements());
  if (params.n == 0) return;
  // Windows that a whole workgroup has work with are each shared out over one.
  std::int64_t places = 1;
  for (std::size_t i = 0; i < 2; ++i)
    places *= adaptive ? params.size[i].number / params.out_size[i].number : kernel[i];
  constexpr std::int64_t large_window = 128;
  const bool shared_out = places >= large_window;
  const std::uint32_t group =
      shared_out ? encoder.fold_group(static_cast<std::uint64_t>(places)) : encoder.plain_group();
  encoder.dispatch(
      *shader,
      {group, adaptive ? 1u : 0u, kernel[0], kernel[1], stride[0], stride[1], shared_out ? 1u : 0u},
      {read(x), write(y)},
      params,
      shared_out ? grid_of(params.n) : grid_for(params.n, group));
}

void AverageWindows::encode_backward(Encoder& encoder) const {
  static const ShaderByDType shaders("average_windows_backward");
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value& dx = encoder.out(0);
  const Shader* shader = shaders[dy->dtype()];
  if (!shader) encoder.refuse(dy->dtype());
  const Params params = params_of(*this, dx->shape(), dy->shape(), dx->meta().elements());
  if (params.n == 0) return;
  encoder.dispatch(
      *shader,
      {encoder.plain_group(), adaptive ? 1u : 0u, kernel[0], kernel[1], stride[0], stride[1]},
      {read(dy), write(dx)},
      params,
      grid_for(params.n, encoder.plain_group()));
}

}  // namespace troupe::vulkan
