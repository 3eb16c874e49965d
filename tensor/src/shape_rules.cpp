#include <troupe/core/error.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <string>

namespace troupe {

namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

}  // namespace

void require_rank(
    const Meta& meta, std::size_t rank, std::string_view input, std::string_view layout) {
  if (meta.shape.size() == rank) return;
  throw Error(
      ErrorCode::shape_mismatch,
      quoted(input) + " has shape " + to_string(meta.shape) + ", but must have " +
          std::to_string(rank) + " dimensions, " + std::string(layout))
      .hint(
          meta.shape.size() + 1 == rank ? "unsqueeze() adds a dimension of size 1"
                                        : "reshape() changes the number of dimensions");
}

void require_rank_at_least(
    const Meta& meta, std::size_t rank, std::string_view input, std::string_view layout) {
  if (meta.shape.size() >= rank) return;
  throw Error(
      ErrorCode::shape_mismatch,
      quoted(input) + " has shape " + to_string(meta.shape) + ", but must have at least " +
          std::to_string(rank) + " dimensions, " + std::string(layout))
      .hint("unsqueeze() adds a dimension of size 1");
}

void require_shape(const Meta& meta, const Shape& expected, std::string_view input) {
  if (meta.shape == expected) return;
  throw Error(
      ErrorCode::shape_mismatch,
      quoted(input) + " has shape " + to_string(meta.shape) + ", but must have " +
          to_string(expected))
      .hint(
          elements_in(meta.shape) == elements_in(expected)
              ? "reshape(" + std::string(input) + ", " + to_string(expected) + ") gives it that"
              : "it is computed from other sizes than the rest: look where it was made");
}

void require_floating(const Meta& meta, std::string_view input) {
  if (meta.dtype == DType::float32 || meta.dtype == DType::float64) return;
  throw Error(
      ErrorCode::dtype_mismatch,
      quoted(input) + " is " + std::string(name_of(meta.dtype)) +
          ", but must be float32 or float64")
      .hint(
          is_floating(meta.dtype) ? "16-bit floats are stored only: cast to float32 to compute"
                                  : "cast it to float32 first");
}

void require_factor(const Meta& meta, std::string_view input) {
  if (is_floating(meta.dtype)) return;
  throw Error(
      ErrorCode::dtype_mismatch,
      quoted(input) + " is " + std::string(name_of(meta.dtype)) +
          ", but must be float32, float64, float16 or bfloat16")
      .hint("cast it to float32 first");
}

void require_factors(std::span<const Meta> inputs, std::initializer_list<std::string_view> names) {
  const std::string_view* name = names.begin();
  for (std::size_t i = 0; i < inputs.size() && name != names.end(); ++i, ++name) {
    require_factor(inputs[i], *name);
    if (i) require_same_dtype(inputs[i], *name, inputs[0], *names.begin());
  }
}

void require_index(const Meta& meta, std::string_view input) {
  if (meta.dtype == DType::int64 || meta.dtype == DType::int32) return;
  throw Error(
      ErrorCode::dtype_mismatch,
      quoted(input) + " is " + std::string(name_of(meta.dtype)) +
          ", but holds indices and must be int64 or int32")
      .hint("cast it to int64");
}

void require_same_dtype(
    const Meta& meta, std::string_view input, const Meta& like, std::string_view like_input) {
  if (meta.dtype == like.dtype) return;
  throw Error(
      ErrorCode::dtype_mismatch,
      quoted(input) + " is " + std::string(name_of(meta.dtype)) + ", but " + quoted(like_input) +
          " is " + std::string(name_of(like.dtype)))
      .hint("cast one of them: this op does not promote");
}

void require_all_floating(
    std::span<const Meta> inputs, std::initializer_list<std::string_view> names) {
  const std::string_view* name = names.begin();
  for (std::size_t i = 0; i < inputs.size() && name != names.end(); ++i, ++name) {
    require_floating(inputs[i], *name);
    if (i) require_same_dtype(inputs[i], *name, inputs[0], *names.begin());
  }
}

void require_at_least(std::int64_t value, std::int64_t least, std::string_view attribute) {
  if (value >= least) return;
  throw Error(
      ErrorCode::invalid_argument,
      quoted(attribute) + " is " + std::to_string(value) + ", but must be at least " +
          std::to_string(least))
      .hint("give " + std::to_string(least) + " or more");
}

void require_each_at_least(
    const Dims& values, std::size_t count, std::int64_t least, std::string_view attribute) {
  // The upper end keeps sums and products of them countable.
  constexpr std::int64_t most = (std::int64_t{1} << 31) - 1;
  bool good = values.size() == count;
  for (const std::int64_t value : values) good = good && value >= least && value <= most;
  if (good) return;
  throw Error(
      ErrorCode::invalid_argument,
      quoted(attribute) + " is " + to_string(values) + ", but must be " + std::to_string(count) +
          " numbers of at least " + std::to_string(least))
      .hint(
          "give one number below 2^31 for each of the " + std::to_string(count) +
          " axes, or a single one for all");
}

void require_inputs(std::span<const Meta> inputs, std::size_t least, std::size_t most) {
  if (inputs.size() >= least && inputs.size() <= most) return;
  throw Error(
      ErrorCode::invalid_argument,
      std::to_string(inputs.size()) + " inputs were given; the op takes " +
          (least == most ? std::to_string(least)
                         : std::to_string(least) + " to " + std::to_string(most)))
      .hint("call the op by its free function, which gives it what it takes");
}

void require_update(std::span<const Meta> inputs, std::size_t states) {
  require_floating(inputs[0], "weight");
  for (std::size_t i = 1; i <= states + 1; ++i) {
    const std::string input = i > states ? "gradient" : "state " + std::to_string(i);
    require_shape(inputs[i], inputs[0].shape, input);
    require_same_dtype(inputs[i], input, inputs[0], "weight");
  }
  const Meta& scalars = inputs[states + 2];
  require_shape(scalars, {2}, "scalars");
  if (scalars.dtype != DType::float64)
    throw Error(
        ErrorCode::dtype_mismatch,
        "the scalars {learning rate, step} are " + std::string(name_of(scalars.dtype)) +
            ", but must be float64")
        .hint("cast(scalars, DType::float64)");
}

std::int64_t window_places(
    std::int64_t size,
    std::int64_t kernel,
    std::int64_t stride,
    std::int64_t padding,
    std::int64_t dilation,
    bool ceil_mode) {
  // A reach too long to count is longer than any input.
  constexpr std::int64_t most = std::int64_t{1} << 62;
  const bool countable = kernel < 2 || dilation <= most / kernel;
  const std::int64_t reach = countable ? dilation * (kernel - 1) + 1 : most;
  const std::int64_t room = size / 2 + padding < most / 2 ? size + 2 * padding - reach : -1;
  if (size < 1 || kernel < 1 || room < 0)
    throw Error(
        ErrorCode::shape_mismatch,
        "a window of " + std::to_string(reach) + " elements does not fit into " +
            std::to_string(size) + " with " + std::to_string(padding) + " of padding on each side")
        .hint("use a smaller kernel or dilation, or more padding");
  std::int64_t places = room / stride + 1;
  // A window that began in the right padding would see no element at all.
  if (ceil_mode && room % stride != 0 && places * stride < size + padding) ++places;
  return places;
}

}  // namespace troupe
