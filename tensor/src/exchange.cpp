#include <troupe/tensor/exchange.hpp>
#include <troupe/tensor/op_info.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/slice.hpp>
#include <troupe/tensor/record.hpp>

#include <utility>

namespace troupe {

void Exchange::infer(std::span<const Meta> in, Metas& out) const {
  if (contributions == 0 || in.empty() || in.size() % contributions != 0)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(in.size()) + " tensors in " + std::to_string(contributions) +
            " contributions")
        .hint("each contribution has the same tensors");
  const std::size_t tensors = in.size() / contributions;
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i].dtype != in[0].dtype)
      throw Error(
          ErrorCode::dtype_mismatch,
          "tensors of " + std::string(name_of(in[0].dtype)) + " and of " +
              std::string(name_of(in[i].dtype)) + " in one exchange");
    require_shape(in[i], in[i % tensors].shape, "a contribution's tensor");
    if (i < tensors) elements += in[i].elements();
  }
  out.push_back({in[0].dtype, {elements}});
}

template <>
constexpr OpInfo OpInfoOf<Exchange>::info = detail::make_op_info<Exchange>();

std::vector<Tensor> exchange(
    std::shared_ptr<Exchanger> by,
    std::uint32_t number,
    std::span<const std::vector<Tensor>> contributions) {
  std::vector<Operand> operands;
  std::vector<Tensor> together;  // on one device, for they may be of parts that are placed apart
  for (const std::vector<Tensor>& contribution : contributions)
    for (const Tensor& tensor : contribution)
      together.push_back(to(tensor, contributions[0][0].record()->device()));
  for (const Tensor& tensor : together) operands.emplace_back(tensor);
  const Tensor total = apply(
      make_op(
          Exchange{{}, std::move(by), number, static_cast<std::uint32_t>(contributions.size())}),
      std::span<const Operand>(operands));
  std::vector<Tensor> sums;
  std::int64_t begin = 0;
  for (const Tensor& tensor : contributions[0]) {
    const std::int64_t end = begin + tensor.elements();
    const Tensor sum = reshape(slice(total, 0, begin, end), tensor.shape());
    sums.push_back(to(sum, tensor.record()->device()));
    begin = end;
  }
  return sums;
}

}  // namespace troupe
