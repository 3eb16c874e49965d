#include "small_array.hpp"

#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/product.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstddef>

namespace troupe {

bool autocasts(std::span<const Operand> factors) {
  const DType dtype = Scope::current().product_dtype();
  if (dtype == DType::float32) return false;
  bool any = false;
  for (const Operand& factor : factors) {
    if (factor.is_number() || !factor.tensor()) return false;
    const DType own = factor.tensor().dtype();
    any = any || own == DType::float32;
    if (own != DType::float32 && own != dtype) return false;
  }
  return any;
}

Tensor apply_product(OpRef op, std::span<const Operand> operands) {
  if (!autocasts(operands.first(2))) return apply(std::move(op), operands);
  const Where where = operands[0].where();
  const DType dtype = Scope::current().product_dtype();
  const Tensor a = cast(operands[0], dtype);
  const Tensor b = cast(Operand(operands[1].tensor(), where), dtype);
  const Operand narrow[] = {Operand(a, where), Operand(b, where), operands.back()};
  const Tensor y = apply(std::move(op), std::span(narrow).first(operands.size()));
  return cast(Operand(y, where), DType::float32);
}

}  // namespace troupe
