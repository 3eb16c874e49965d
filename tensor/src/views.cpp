#include <troupe/core/error.hpp>
#include <troupe/tensor/ops/expand.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/slice.hpp>
#include <troupe/tensor/ops/values_indices.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace troupe {

namespace {

Error at_call(Error error, const Operand& x, std::string_view op) {
  return error.op(op).at(x.where().file, x.where().line);
}

/// Runs what may throw about an argument, and adds whose argument it was.
template <class Body>
auto checked(const Operand& x, std::string_view op, Body body) {
  try {
    return body();
  } catch (const Error& error) {
    throw at_call(error, x, op);
  }
}

}  // namespace

// --- reshape
// ---------------------------------------------------------------------------------------

void Reshape::infer(std::span<const Meta> in, Metas& out) const {
  check_sizes({in[0].dtype, shape});
  if (elements_in(shape) != in[0].elements())
    throw Error(
        ErrorCode::shape_mismatch,
        to_string(in[0].shape) + " has " + std::to_string(in[0].elements()) +
            " elements, but the new shape " + to_string(shape) + " has " +
            std::to_string(elements_in(shape)))
        .hint("the sizes must multiply to the same number; one may be -1: what is left");
  out.push_back({in[0].dtype, shape});
}

std::optional<ViewOf> Reshape::view(const ValueBody& input, const Meta& output) const {
  if (input.contiguous() || output.elements() == 0)
    return ViewOf{contiguous_strides(output.shape), input.offset()};
  // Groups of dimensions that hold the same elements on both sides; each new one must fit into one
  // run of old dimensions that lie without gaps.
  const Shape& from = input.shape();
  const Shape& to = output.shape;
  Dims strides = Dims::filled(to.size(), 1);
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < from.size() && j < to.size()) {
    std::int64_t old_size = from[i];
    std::int64_t new_size = to[j];
    std::size_t i_end = i + 1;
    std::size_t j_end = j + 1;
    while (old_size != new_size) {
      if (old_size < new_size)
        old_size *= from[i_end++];
      else
        new_size *= to[j_end++];
    }
    std::int64_t step = 0;
    std::int64_t span = 0;  // what the next dimension outward must have as its stride
    for (std::size_t d = i_end; d-- > i;) {
      if (from[d] == 1) continue;
      if (span == 0)
        step = input.strides()[d];
      else if (input.strides()[d] != span)
        return std::nullopt;
      span = input.strides()[d] * from[d];
      if (span == 0) {
        // Repeated elements: nothing else may be merged with them but more of the same.
        for (std::size_t e = d; e-- > i;)
          if (from[e] != 1 && input.strides()[e] != 0) return std::nullopt;
        break;
      }
    }
    for (std::size_t d = j_end; d-- > j;) {
      strides[d] = step;
      step *= to[d];
    }
    i = i_end;
    j = j_end;
  }
  return ViewOf{strides, input.offset()};
}

Tensor reshape(const Operand& x, const Shape& shape) {
  const Tensor& tensor = checked_tensor(x, "reshape");
  Reshape op;
  op.shape = shape;
  std::int64_t* left = nullptr;
  for (std::int64_t& size : op.shape) {
    if (size != -1) continue;
    if (left)
      throw at_call(
          Error(ErrorCode::invalid_argument, "more than one size of " + to_string(shape) + " is −1")
              .hint("give all sizes but one"),
          x,
          Reshape::name);
    left = &size;
  }
  if (left) {
    *left = 1;
    checked(x, Reshape::name, [&] { check_sizes({tensor.dtype(), op.shape}); });
    const std::int64_t known = elements_in(op.shape);
    if (known == 0 || tensor.elements() % known != 0)
      throw at_call(
          Error(
              ErrorCode::shape_mismatch,
              "the " + std::to_string(tensor.elements()) + " elements of " +
                  to_string(tensor.shape()) + " do not divide into " + to_string(shape))
              .hint("the other sizes must multiply to a divisor of the number of elements"),
          x,
          Reshape::name);
    *left = tensor.elements() / known;
  }
  return apply(op, x);
}

Tensor flatten(const Operand& x, std::int64_t start, std::int64_t end) {
  const Shape& shape = checked_tensor(x, "flatten").shape();
  if (shape.empty()) return reshape(x, {1});
  return checked(x, "flatten", [&] {
    const std::size_t first = normalize_axis(start, shape.size());
    const std::size_t last = normalize_axis(end, shape.size());
    if (first > last)
      throw Error(
          ErrorCode::invalid_argument,
          "axis " + std::to_string(start) + ", the start, comes after axis " + std::to_string(end) +
              ", the end, of " + to_string(shape))
          .hint("start must not come after end; both may count from the end");
    Shape flat;
    for (std::size_t i = 0; i <= first; ++i) flat.push_back(shape[i]);
    for (std::size_t i = first + 1; i <= last; ++i) flat[first] *= shape[i];
    for (std::size_t i = last + 1; i < shape.size(); ++i) flat.push_back(shape[i]);
    return reshape(x, flat);
  });
}

Tensor squeeze(const Operand& x) {
  Shape shape;
  for (const std::int64_t size : checked_tensor(x, "squeeze").shape())
    if (size != 1) shape.push_back(size);
  return reshape(x, shape);
}

Tensor squeeze(const Operand& x, std::int64_t axis) {
  return checked(x, "squeeze", [&] {
    Shape shape = checked_tensor(x, "squeeze").shape();
    check_axis(axis, shape.size());
    if (shape.empty()) return reshape(x, shape);
    const std::size_t place = normalize_axis(axis, shape.size());
    if (shape[place] == 1) shape.erase(place);
    return reshape(x, shape);
  });
}

Tensor unsqueeze(const Operand& x, std::int64_t axis) {
  return checked(x, "unsqueeze", [&] {
    Shape shape = checked_tensor(x, "unsqueeze").shape();
    shape.insert(normalize_axis(axis, shape.size() + 1), 1);
    return reshape(x, shape);
  });
}

// --- permute
// ---------------------------------------------------------------------------------------

void Permute::infer(std::span<const Meta> in, Metas& out) const {
  const Shape& from = in[0].shape;
  bool seen[rank_max] = {};
  bool good = order.size() == from.size();
  for (std::size_t i = 0; good && i < order.size(); ++i) {
    const std::size_t axis = normalize_axis(order[i], from.size());
    good = !seen[axis];
    seen[axis] = true;
  }
  if (!good)
    throw Error(
        ErrorCode::invalid_argument,
        "the order " + to_string(order) + " must name each of the " + std::to_string(from.size()) +
            " dimensions of " + to_string(from) + " once")
        .hint("transpose(x, a, b) swaps two dimensions and leaves the rest");
  Shape to = from;
  for (std::size_t i = 0; i < order.size(); ++i) to[i] = from[static_cast<std::size_t>(order[i])];
  out.push_back({in[0].dtype, to});
}

ViewOf Permute::view(const ValueBody& input, const Meta&) const {
  Dims strides = input.strides();
  for (std::size_t i = 0; i < order.size(); ++i)
    strides[i] = input.strides()[static_cast<std::size_t>(order[i])];
  return {strides, input.offset()};
}

Tensor permute(const Operand& x, const Dims& order) {
  return checked(x, Permute::name, [&] {
    Permute op;
    for (const std::int64_t axis : order)
      op.order.push_back(
          static_cast<std::int64_t>(normalize_axis(axis, checked_tensor(x, "permute").rank())));
    return apply(op, x);
  });
}

Tensor transpose(const Operand& x, std::int64_t a, std::int64_t b) {
  return checked(x, "transpose", [&] {
    const std::size_t rank = checked_tensor(x, "transpose").rank();
    Permute op;
    for (std::size_t i = 0; i < rank; ++i) op.order.push_back(static_cast<std::int64_t>(i));
    check_axis(a, rank);
    check_axis(b, rank);
    if (rank == 0) return apply(op, x);
    std::swap(op.order[normalize_axis(a, rank)], op.order[normalize_axis(b, rank)]);
    return apply(op, x);
  });
}

Tensor t(const Operand& x) {
  const std::size_t rank = checked_tensor(x, "t").rank();
  if (rank > 2)
    throw at_call(
        Error(
            ErrorCode::shape_mismatch,
            "t() takes at most 2 dimensions, not " + to_string(checked_tensor(x, "t").shape()))
            .hint("transpose(x, -2, -1) swaps the last two"),
        x,
        "t");
  return rank < 2 ? permute(x, rank == 0 ? Dims{} : Dims{0}) : transpose(x, 0, 1);
}

// --- expand
// ----------------------------------------------------------------------------------------

void Expand::infer(std::span<const Meta> in, Metas& out) const {
  if (!broadcasts_to(in[0].shape, shape))
    throw Error(
        ErrorCode::shape_mismatch,
        to_string(in[0].shape) + " does not broadcast to " + to_string(shape))
        .hint("sizes must be equal or 1, counted from the last dimension, and none negative");
  out.push_back({in[0].dtype, shape});
}

ViewOf Expand::view(const ValueBody& input, const Meta& output) const {
  Dims strides = Dims::filled(output.shape.size(), 0);
  const std::size_t extra = output.shape.size() - input.shape().size();
  for (std::size_t i = 0; i < input.shape().size(); ++i)
    if (input.shape()[i] == output.shape[extra + i]) strides[extra + i] = input.strides()[i];
  return {strides, input.offset()};
}

Tensor expand(const Operand& x, const Shape& shape) {
  const Shape& from = checked_tensor(x, "expand").shape();
  Expand op;
  op.shape = shape;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != -1) continue;
    if (i + from.size() < shape.size())
      throw at_call(
          Error(
              ErrorCode::invalid_argument,
              "−1 in " + to_string(shape) + " for a dimension that " + to_string(from) +
                  " does not have")
              .hint("−1 keeps a size that is there; give the size of a new dimension"),
          x,
          Expand::name);
    op.shape[i] = from[i + from.size() - shape.size()];
  }
  if (op.shape == from) return x.tensor();
  return apply(op, x);
}

// --- slice
// -----------------------------------------------------------------------------------------

Slice::Range Slice::range(std::int64_t size) const noexcept {
  const auto clip = [&](std::int64_t at) {
    if (at < 0) at += size;
    return std::clamp<std::int64_t>(at, 0, size);
  };
  const std::int64_t first = clip(start);
  const std::int64_t last = clip(end);
  return {first, last > first ? (last - first - 1) / step + 1 : 0};
}

void Slice::infer(std::span<const Meta> in, Metas& out) const {
  if (step < 1)
    throw Error(
        ErrorCode::invalid_argument,
        "a step of " + std::to_string(step) + ", but it must be at least 1")
        .hint("index_select() takes elements in any order");
  Meta meta = in[0];
  std::int64_t& size = meta.shape[normalize_axis(dim, meta.shape.size())];
  size = range(size).count;
  out.push_back(meta);
}

ViewOf Slice::view(const ValueBody& input, const Meta&) const {
  const std::size_t axis = normalize_axis(dim, input.shape().size());
  Dims strides = input.strides();
  const Range taken = range(input.shape()[axis]);
  const std::int64_t offset = input.offset() + taken.first * strides[axis];
  if (taken.count > 1) strides[axis] *= step;  // of one element the stride says nothing
  return {strides, offset};
}

void SliceBackward::infer(std::span<const Meta> in, Metas& out) const {
  Metas sliced;
  const Meta whole{in[0].dtype, shape};
  slice.infer({&whole, 1}, sliced);
  if (sliced[0].shape != in[0].shape)
    throw Error(
        ErrorCode::shape_mismatch,
        "dy is " + to_string(in[0].shape) + ", but the slice of " + to_string(shape) + " is " +
            to_string(sliced[0].shape))
        .hint("give the shape that the slice was taken from");
  out.push_back(whole);
}

Tensor narrow(const Operand& x, std::int64_t dim, std::int64_t start, std::int64_t length) {
  const Shape& shape = checked_tensor(x, "narrow").shape();
  return checked(x, "narrow", [&] {
    const std::int64_t size = shape[normalize_axis(dim, shape.size())];
    if (start < 0) start += size;
    if (start < 0 || length < 0 || start > size - length)
      throw Error(
          ErrorCode::invalid_argument,
          std::to_string(length) + " elements from " + std::to_string(start) +
              " on do not lie within " + std::to_string(size))
          .hint("slice() cuts off what is not there");
    return slice(x, dim, start, start + length);
  });
}

Tensor select(const Operand& x, std::int64_t dim, std::int64_t index) {
  const Shape& shape = checked_tensor(x, "select").shape();
  return checked(x, "select", [&] {
    const std::size_t axis = normalize_axis(dim, shape.size());
    if (index < -shape[axis] || index >= shape[axis])
      throw Error(
          ErrorCode::invalid_argument,
          "index " + std::to_string(index) + " is outside of a dimension of size " +
              std::to_string(shape[axis]))
          .hint("indices count from 0, negative ones from the end");
    const std::int64_t at = index < 0 ? index + shape[axis] : index;
    const Tensor one = slice(x, dim, at, at + 1);
    return squeeze(Operand(one, x.where()), static_cast<std::int64_t>(axis));
  });
}

Tensor places_along(std::int64_t axis, const Shape& shape) {
  if (shape.empty()) return Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{0}, shape);
  const std::size_t place = normalize_axis(axis, shape.size());
  std::vector<std::int64_t> places(static_cast<std::size_t>(shape[place]));
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<std::int64_t>(i);
  Shape line = Dims::filled(shape.size(), 1);
  line[place] = shape[place];
  return Tensor::copy_of<std::int64_t>(places, line);
}

}  // namespace troupe
