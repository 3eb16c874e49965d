#include "average_windows.hpp"

#include "windows.hpp"

namespace troupe::vulkan {
namespace {

struct Params : WindowParams {
  std::uint32_t divisor = 0;
  std::uint32_t count_include_pad = 0;
};
Params params_of(
    const AverageWindows& windows, const Shape& plane, const Shape& pooled, std::int64_t n) {
  return {
      WindowParams::of(plane, pooled, windows.padding, n),
      windows.divisor,
      windows.count_include_pad};
}

}  // namespace

void AverageWindows::encode_forward(Encoder& encoder) const {
  static const ShaderByDType shaders("average_windows");
  const Value x = encoder.contiguous(encoder.in(0));
  const Value& y = encoder.out(0);
  const Shader& shader = encoder.shader(shaders, x->dtype());
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
      shader,
      {group, adaptive ? 1u : 0u, kernel[0], kernel[1], stride[0], stride[1], shared_out ? 1u : 0u},
      {read(x), write(y)},
      params,
      shared_out ? grid_of(params.n) : grid_for(params.n, group));
}

void AverageWindows::encode_backward(Encoder& encoder) const {
  static const ShaderByDType shaders("average_windows_backward");
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value& dx = encoder.out(0);
  const Shader& shader = encoder.shader(shaders, dy->dtype());
  const Params params = params_of(*this, dx->shape(), dy->shape(), dx->meta().elements());
  if (params.n == 0) return;
  encoder.dispatch(
      shader,
      {encoder.plain_group(), adaptive ? 1u : 0u, kernel[0], kernel[1], stride[0], stride[1]},
      {read(dy), write(dx)},
      params,
      grid_for(params.n, encoder.plain_group()));
}

}  // namespace troupe::vulkan
