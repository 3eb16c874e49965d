#include "axis.hpp"
#include "divisor.hpp"
#include "encoder.hpp"

#include <troupe/tensor/ops/concat.hpp>

namespace troupe::vulkan {

template <>
void Kernel<Concat>::encode(Encoder& encoder, const Concat& op) {
  static const ShaderBySize shaders("concat");
  constexpr std::size_t most = Concat::inputs_max;
  const Value& y = encoder.out(0);
  if (y->meta().elements() == 0) return;
  struct {
    std::uint32_t n;
    Divisor row;
    std::uint32_t end[most];
  } params{};
  params.n = static_cast<std::uint32_t>(y->meta().elements());
  Value x[most];
  std::uint32_t row = 0;
  for (std::size_t i = 0; i < most; ++i) {
    if (i < encoder.inputs()) {
      x[i] = encoder.contiguous(encoder.in(i));
      const Axis axis = Axis::of(x[i]->shape(), op.dim);
      row += axis.length * axis.inner;
    } else {
      x[i] = x[0];
    }
    params.end[i] = row;
  }
  params.row = Divisor::of(row);
  encoder.dispatch(
      *shaders[y->dtype()],
      {encoder.plain_group()},
      {read(x[0]),
       read(x[1]),
       read(x[2]),
       read(x[3]),
       read(x[4]),
       read(x[5]),
       read(x[6]),
       read(x[7]),
       write(y)},
      params,
      grid_for(params.n, encoder.plain_group()));
}

}  // namespace troupe::vulkan
