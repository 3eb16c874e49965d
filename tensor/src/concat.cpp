#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/concat.hpp>
#include <troupe/tensor/ops/cumsum.hpp>
#include <troupe/tensor/ops/index_select.hpp>
#include <troupe/tensor/ops/pad.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <algorithm>

namespace troupe {

Tensor concat(std::span<const Tensor> tensors, std::int64_t dim, Where where) {
  if (tensors.empty())
    throw Error(ErrorCode::invalid_argument, "no tensors were given")
        .op("concat")
        .at(where.file, where.line)
        .hint("an empty list has neither shape nor dtype: give at least one");
  for (const Tensor& tensor : tensors) check_defined(Operand(tensor, where), "concat");
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
    check_defined(Operand(tensor, where), "stack");
    if (!(tensor.shape() == tensors[0].shape()))
      throw Error(
          ErrorCode::shape_mismatch,
          "tensors of shapes " + to_string(tensors[0].shape()) + " and " +
              to_string(tensor.shape()) + " do not stack: all must be alike")
          .op("stack")
          .hint("concat() joins tensors that differ along one axis")
          .at(where.file, where.line);
    rows.push_back(unsqueeze(Operand(tensor, where), dim));
  }
  return concat(rows, dim, where);
}

namespace {

std::int64_t size_along(const Operand& tensor, std::int64_t dim, std::string_view op) {
  try {
    const Shape& shape = checked_tensor(tensor, op).shape();
    return shape[normalize_axis(dim, shape.size())];
  } catch (Error& error) {
    throw error.op(op).at(tensor.where().file, tensor.where().line);
  }
}

[[noreturn]] void refuse(
    const Operand& tensor, std::string_view op, const std::string& message, std::string_view hint) {
  throw Error(ErrorCode::invalid_argument, message)
      .op(op)
      .hint(hint)
      .at(tensor.where().file, tensor.where().line);
}

}  // namespace

std::vector<Tensor> split(const Operand& tensor, std::int64_t split_size, std::int64_t dim) {
  const std::int64_t size = size_along(tensor, dim, "split");
  if (split_size < 1)
    refuse(
        tensor,
        "split",
        "pieces of " + std::to_string(split_size) + " elements were asked for",
        "a piece has at least 1; chunk() takes the number of pieces instead");
  std::vector<Tensor> pieces;
  std::int64_t start = 0;
  do {  // also an empty tensor is one piece
    pieces.push_back(slice(tensor, dim, start, start + std::min(split_size, size - start)));
    if (split_size >= size - start) break;
    start += split_size;
  } while (true);
  return pieces;
}

std::vector<Tensor> split(
    const Operand& tensor, const std::vector<std::int64_t>& sizes, std::int64_t dim) {
  const std::int64_t size = size_along(tensor, dim, "split");
  std::int64_t sum = 0;
  // A sum that has gone wrong stays so: no size after it may bring it back.
  for (const std::int64_t piece : sizes)
    sum = piece < 0 || piece > size - sum ? size + 1 : sum + piece;
  if (sum != size)
    refuse(
        tensor,
        "split",
        "the sizes do not fill axis " + std::to_string(dim) + " of " +
            to_string(tensor.tensor().shape()),
        "they must be 0 or more and add up to " + std::to_string(size));
  std::vector<Tensor> pieces;
  std::int64_t start = 0;
  for (const std::int64_t piece : sizes) {
    pieces.push_back(slice(tensor, dim, start, start + piece));
    start += piece;
  }
  return pieces;
}

std::vector<Tensor> chunk(const Operand& tensor, std::int64_t chunks, std::int64_t dim) {
  if (chunks < 1)
    refuse(
        tensor,
        "chunk",
        std::to_string(chunks) + " chunks were asked for",
        "ask for at least 1; split() takes the size of the pieces instead");
  const std::int64_t size = size_along(tensor, dim, "chunk");
  return split(tensor, size == 0 ? 1 : (size - 1) / chunks + 1, dim);
}

Tensor cumsum(const Operand& input, std::int64_t dim) {
  const DType dtype = checked_tensor(input, Cumsum::name).dtype();
  const bool small = dtype == DType::boolean || dtype == DType::uint8 || dtype == DType::int32;
  if (!small) return apply(Cumsum{{}, dim, false}, input);
  return apply(Cumsum{{}, dim, false}, Operand(cast(input, DType::int64), input.where()));
}

namespace {

/// Where each element of an axis comes from that is padded by a mode other than constant.
std::vector<std::int64_t> border_places(
    const Operand& input,
    PadMode mode,
    std::int64_t size,
    std::int64_t before,
    std::int64_t after) {
  const auto refused = [&](ErrorCode code, std::string_view why, std::string_view hint) {
    return Error(
               code,
               "padding by " + std::to_string(before) + " and " + std::to_string(after) +
                   " elements where " + std::to_string(size) + " are: " + std::string(why))
        .op(Pad::name)
        .hint(hint)
        .at(input.where().file, input.where().line);
  };
  if (before < 0 || after < 0)
    throw refused(
        ErrorCode::unsupported,
        "only the mode constant takes elements away",
        "narrow() the tensor first");
  const std::int64_t most = mode == PadMode::reflect ? size - 1 : std::int64_t{1} << 40;
  if (size == 0 || before > most || after > most)
    throw refused(
        ErrorCode::shape_mismatch,
        "there are not as many",
        "pad by less; the mode reflect has one element less than the axis to mirror");
  std::vector<std::int64_t> places(static_cast<std::size_t>(before + size + after));
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::int64_t at = static_cast<std::int64_t>(i) - before;
    if (at < 0) at = mode == PadMode::reflect ? -at : 0;
    if (at >= size) at = mode == PadMode::reflect ? 2 * (size - 1) - at : size - 1;
    places[i] = at;
  }
  return places;
}

}  // namespace

Tensor pad(const Operand& input, std::span<const std::int64_t> pads, PadMode mode, double value) {
  const Shape& shape = checked_tensor(input, Pad::name).shape();
  const std::size_t rank = shape.size();
  if (pads.size() % 2 != 0 || pads.size() > 2 * rank)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(pads.size()) + " numbers are not pairs for the axes of " + to_string(shape))
        .op(Pad::name)
        .hint("give (before, after) for the last axis, then for the one before it")
        .at(input.where().file, input.where().line);
  if (mode == PadMode::constant) {
    Pad op;
    op.value = value;
    for (std::size_t i = 0; i < rank; ++i) {
      const std::size_t pair = rank - 1 - i;
      const bool given = 2 * pair < pads.size();
      op.before.push_back(given ? pads[2 * pair] : 0);
      op.after.push_back(given ? pads[2 * pair + 1] : 0);
    }
    return apply(op, input);
  }
  Tensor padded = input.tensor();
  for (std::size_t pair = 0; 2 * pair < pads.size(); ++pair) {
    const std::size_t axis = rank - 1 - pair;
    const auto places = border_places(input, mode, shape[axis], pads[2 * pair], pads[2 * pair + 1]);
    if (pads[2 * pair] == 0 && pads[2 * pair + 1] == 0) continue;
    const Tensor index = Tensor::copy_of<std::int64_t>(
        places, {static_cast<std::int64_t>(places.size())}, input.where());
    padded = index_select(Operand(padded, input.where()), static_cast<std::int64_t>(axis), index);
  }
  return padded;
}

}  // namespace troupe
