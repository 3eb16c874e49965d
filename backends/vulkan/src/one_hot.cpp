#include "divisor.hpp"
#include "encoder.hpp"
#include "index.hpp"

#include <troupe/tensor/ops/one_hot.hpp>

namespace troupe::vulkan {

template <>
void Kernel<OneHot>::encode(Encoder& encoder, const OneHot& op) {
  static const Shader* const shader = find_shader("one_hot", "");
  const Value x = encoder.contiguous(encoder.in(0));
  const Value& y = encoder.out(0);
  struct {
    std::uint32_t n;
    Divisor classes;
    std::uint32_t op;
  } const params{
      static_cast<std::uint32_t>(y->meta().elements()),
      Divisor::of(static_cast<std::uint32_t>(op.num_classes)),
      encoder.fault_code()};
  if (params.n == 0) return;
  encoder.dispatch(
      *shader,
      {encoder.plain_group(), index_words(x)},
      {read_index(x), write(y), encoder.fault()},
      params,
      grid_for(params.n, encoder.plain_group()));
}

}  // namespace troupe::vulkan
