#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/concat.hpp>
#include <troupe/tensor/ops/cumsum.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/slice.hpp>

namespace troupe {

Tensor concat(std::span<const Tensor> tensors, std::int64_t dim, Where where) {
  if (tensors.empty())
    throw Error(ErrorCode::invalid_argument, "no tensors were given")
        .op("concat")
        .at(where.file, where.line);
  DType common = tensors[0].dtype();
  for (const Tensor& tensor : tensors) common = promote(common, tensor.dtype());
  std::vector<Tensor> level;
  for (const Tensor& tensor : tensors) level.push_back(cast(Operand(tensor, where), common));
  // A call takes a few; more go up a tree, level by level, in their order.
  do {
    std::vector<Tensor> next;
    for (std::size_t i = 0; i < level.size(); i += Concat::inputs_max) {
      std::vector<Operand> inputs;
      for (std::size_t j = i; j < level.size() && j < i + Concat::inputs_max; ++j)
        inputs.emplace_back(level[j], where);
      next.push_back(
          inputs.size() == 1 && level.size() > 1
              ? level[i]
              : apply(make_op(Concat{{}, dim}), std::span<const Operand>(inputs)));
    }
    level = std::move(next);
  } while (level.size() > 1);
  return level[0];
}

Tensor stack(std::span<const Tensor> tensors, std::int64_t dim, Where where) {
  std::vector<Tensor> rows;
  for (const Tensor& tensor : tensors) {
    if (!(tensor.shape() == tensors[0].shape()))
      throw Error(
          ErrorCode::shape_mismatch,
          "tensors of shapes " + to_string(tensors[0].shape()) + " and " +
              to_string(tensor.shape()) + " do not stack: all must be alike")
          .op("stack")
          .at(where.file, where.line);
    rows.push_back(unsqueeze(Operand(tensor, where), dim));
  }
  return concat(rows, dim, where);
}

namespace {

std::int64_t size_along(const Operand& tensor, std::int64_t dim, std::string_view op) {
  try {
    const Shape& shape = tensor.tensor().shape();
    return shape[normalize_axis(dim, shape.size())];
  } catch (Error& error) {
    throw error.op(op).at(tensor.where().file, tensor.where().line);
  }
}

[[noreturn]] void refuse(const Operand& tensor, std::string_view op, const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message)
      .op(op)
      .at(tensor.where().file, tensor.where().line);
}

}  // namespace

std::vector<Tensor> split(const Operand& tensor, std::int64_t split_size, std::int64_t dim) {
  const std::int64_t size = size_along(tensor, dim, "split");
  if (split_size < 1)
    refuse(tensor, "split", "pieces of " + std::to_string(split_size) + " elements were asked for");
  std::vector<Tensor> pieces;
  std::int64_t start = 0;
  do {  // also an empty tensor is one piece
    pieces.push_back(slice(tensor, dim, start, start + split_size));
    start += split_size;
  } while (start < size);
  return pieces;
}

std::vector<Tensor> split(
    const Operand& tensor, const std::vector<std::int64_t>& sizes, std::int64_t dim) {
  const std::int64_t size = size_along(tensor, dim, "split");
  std::int64_t sum = 0;
  for (const std::int64_t piece : sizes) sum += piece < 0 ? size + 1 : piece;
  if (sum != size)
    refuse(
        tensor,
        "split",
        "the sizes do not fill axis " + std::to_string(dim) + " of " +
            to_string(tensor.tensor().shape()));
  std::vector<Tensor> pieces;
  std::int64_t start = 0;
  for (const std::int64_t piece : sizes) {
    pieces.push_back(slice(tensor, dim, start, start + piece));
    start += piece;
  }
  return pieces;
}

std::vector<Tensor> chunk(const Operand& tensor, std::int64_t chunks, std::int64_t dim) {
  if (chunks < 1) refuse(tensor, "chunk", std::to_string(chunks) + " chunks were asked for");
  const std::int64_t size = size_along(tensor, dim, "chunk");
  return split(tensor, size == 0 ? 1 : (size + chunks - 1) / chunks, dim);
}

Tensor cumsum(const Operand& input, std::int64_t dim) {
  const DType dtype = input.tensor().dtype();
  const bool small = dtype == DType::boolean || dtype == DType::uint8 || dtype == DType::int32;
  if (!small) return apply(Cumsum{{}, dim, false}, input);
  return apply(Cumsum{{}, dim, false}, Operand(cast(input, DType::int64), input.where()));
}

}  // namespace troupe
