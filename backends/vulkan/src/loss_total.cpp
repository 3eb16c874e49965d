#include "loss_total.hpp"

#include "sum_fold.hpp"

namespace troupe::vulkan {

void LossTotal::encode(Encoder& encoder) const {
  static const ShaderByDType shaders("loss_total");
  if (!weights && reduction == Reduction::none) return;
  const DType dtype = losses->dtype();
  FoldShape shape;
  shape.second = static_cast<std::uint32_t>(losses->meta().elements());
  const Operand nothing = encoder.unused();
  FoldEncoder(encoder, shape)
      .run(
          *shaders[dtype],
          {static_cast<std::uint32_t>(reduction), weights ? 1U : 0U},
          wide_bytes,
          2,
          [&](const Operand& parts) {
            return std::array{
                read(losses),
                weights ? read(weights) : nothing,
                parts,
                reduction == Reduction::none ? nothing : write(loss),
                weights ? write(divisor) : nothing,
                given_divisor ? read(given_divisor) : nothing};
          });
}

}  // namespace troupe::vulkan
