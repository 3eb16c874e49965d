#include "case.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

namespace {

/// A system for calls that must be refused before anything runs.
struct Refusals {
  System system{System::Options{.threads = 1}};
  Refusals() { cpu::attach(system); }
};

Tensor floats(const Shape& shape) {
  const std::vector<float> elements(static_cast<std::size_t>(elements_in(shape)));
  return Tensor::copy_of(std::span<const float>(elements), shape);
}
Tensor integers(const Shape& shape) {
  const std::vector<std::int64_t> elements(static_cast<std::size_t>(elements_in(shape)));
  return Tensor::copy_of(std::span<const std::int64_t>(elements), shape);
}

/// The error of a call that must fail.
Error refused(const std::function<Tensor()>& call) {
  try {
    (void)call();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::internal, "taken");
}

/// Checks code, op, words of the message and of the hint, which is never empty, and that the
/// caller's line and file are named.
void check_refusal(
    const std::function<Tensor()>& call,
    ErrorCode code,
    std::string_view op,
    const std::string& message,
    const std::string& hint = "") {
  const Error error = refused(call);
  CHECK(error.code() == code);
  CHECK(error.op() == op);
  CHECK(error.message().find(message) != std::string::npos);
  if (error.message().find(message) == std::string::npos) UNSCOPED_INFO(error.what());
  CHECK_FALSE(error.hint().empty());
  CHECK(error.hint().find(hint) != std::string::npos);
  CHECK(error.file().find("refusals_test.cpp") != std::string::npos);
  CHECK(error.line() > 0);
}

constexpr auto shape_mismatch = ErrorCode::shape_mismatch;
constexpr auto dtype_mismatch = ErrorCode::dtype_mismatch;
constexpr auto invalid_argument = ErrorCode::invalid_argument;

}  // namespace

TEST_CASE("products refuse what does not fit, with sizes and a way out", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  check_refusal(
      [] {
        return matmul(floats({2, 3}), floats({4, 3}));
      },
      shape_mismatch,
      "matmul",
      "[2, 3] ends in 3, but [4, 3] has 4 rows",
      "transpose");
  check_refusal(
      [] {
        return matmul(floats({2, 3}), integers({3, 2}));
      },
      dtype_mismatch,
      "matmul",
      "'b' is int64, but 'a' is float32");
  const auto half = [](const Shape& shape) { return cast(floats(shape), DType::float16); };
  check_refusal(
      [&] {
        return matmul(half({2, 3}), floats({3, 2}));
      },
      dtype_mismatch,
      "matmul",
      "'b' is float32, but 'a' is float16",
      "cast");
  check_refusal(
      [&] {
        return matmul(half({2, 3}), cast(floats({3, 2}), DType::bfloat16));
      },
      dtype_mismatch,
      "matmul",
      "bfloat16",
      "cast");
  check_refusal(
      [&] {
        return linear(half({2, 3}), half({4, 3}), floats({4}));
      },
      dtype_mismatch,
      "linear",
      "'bias' is float32, but 'input' is float16",
      "cast");
  check_refusal(
      [] {
        return linear(floats({8, 1, 28, 28}), floats({10, 784}));
      },
      shape_mismatch,
      "linear",
      "has 28 features",
      "flatten");
  check_refusal(
      [] {
        return linear(floats({8, 10}), floats({10, 5}));
      },
      shape_mismatch,
      "linear",
      "takes 5",
      "transpose");
  check_refusal(
      [] {
        return linear(floats({8, 5}), floats({10, 5}), floats({5}));
      },
      shape_mismatch,
      "linear",
      "'bias' has shape [5], but must have [10]");
  check_refusal(
      [] {
        return conv2d(floats({1, 8, 8, 3}), floats({4, 3, 3, 3}));
      },
      shape_mismatch,
      "conv2d",
      "has 8 channels",
      "permute");
  check_refusal(
      [] {
        return conv2d(floats({8, 8}), floats({4, 3, 3, 3}));
      },
      shape_mismatch,
      "conv2d",
      "must have 4 dimensions",
      "reshape");
  check_refusal(
      [] {
        return conv2d(floats({1, 3, 2, 2}), floats({4, 3, 3, 3}));
      },
      shape_mismatch,
      "conv2d",
      "a window of 3 elements does not fit into 2");
  check_refusal(
      [] {
        return conv2d(floats({1, 3, 8, 8}), floats({4, 3, 3, 3}), {}, {0});
      },
      invalid_argument,
      "conv2d",
      "'stride' is [0, 0]");
}

TEST_CASE("pooling and norms refuse what does not fit", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  check_refusal(
      [] {
        return max_pool2d(floats({1, 1, 8, 8}), {2}, {2}, {2});
      },
      invalid_argument,
      "max_pool2d",
      "at most half of the kernel");
  check_refusal(
      [] {
        return avg_pool2d(floats({8, 8}), {2});
      },
      shape_mismatch,
      "avg_pool2d",
      "must have 4 dimensions");
  check_refusal(
      [] {
        return adaptive_avg_pool2d(integers({1, 1, 8, 8}), {1});
      },
      dtype_mismatch,
      "adaptive_avg_pool2d",
      "int64");
  check_refusal(
      [] {
        return layer_norm(floats({4, 5}), {4});
      },
      shape_mismatch,
      "layer_norm",
      "[4, 5] does not end in the normalized shape [4]");
  check_refusal(
      [] {
        return rms_norm(floats({4, 5}), {5}, floats({4}));
      },
      shape_mismatch,
      "rms_norm",
      "'weight' has shape [4], but must have [5]");
  check_refusal(
      [] {
        return scaled_dot_product_attention(
            floats({2, 3, 4}), floats({2, 5, 6}), floats({2, 5, 6}));
      },
      shape_mismatch,
      "attention",
      "'key' has shape [2, 5, 6], but must have [2, 5, 4]");
  check_refusal(
      [] {
        return packed_attention(floats({2, 5, 4, 1, 6}));
      },
      shape_mismatch,
      "scaled_dot_product_attention",
      "its third size must be 3");
  check_refusal(
      [] {
        return batch_norm(floats({1, 5}), {}, {}, {}, {}, true).y;
      },
      shape_mismatch,
      "batch_norm_train",
      "more than one value per channel",
      "larger batch");
  check_refusal(
      [] {
        return batch_norm(floats({4, 5}), {}, {}).y;
      },
      invalid_argument,
      "batch_norm",
      "always outside of training");
}

TEST_CASE("losses refuse what does not fit", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  check_refusal(
      [] {
        return cross_entropy(floats({4, 3}), integers({4, 1}));
      },
      shape_mismatch,
      "cross_entropy",
      "need class indices [4]",
      "squeeze");
  check_refusal(
      [] {
        return cross_entropy(floats({4, 3}), integers({4}), floats({4}));
      },
      shape_mismatch,
      "cross_entropy",
      "'weight' has shape [4], but must have [3]");
  check_refusal(
      [] {
        return cross_entropy(floats({4, 3}), integers({4}), {}, -100, Reduction::mean, 1.5);
      },
      invalid_argument,
      "cross_entropy",
      "label_smoothing");
  check_refusal(
      [] {
        return nll_loss(floats({4, 3}), floats({4}));
      },
      dtype_mismatch,
      "nll_loss",
      "holds indices");
  check_refusal(
      [] {
        return mse_loss(floats({4}), floats({4, 1}));
      },
      shape_mismatch,
      "mse_loss",
      "the target has shape [4, 1]",
      "squeeze");
  check_refusal(
      [] {
        return softmax(floats({4, 3}), 2);
      },
      ErrorCode::axis_out_of_range,
      "softmax",
      "axis 2");
}

TEST_CASE("indexing, joining and dropout refuse what does not fit", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  check_refusal(
      [] {
        return gather(floats({2, 3}), 1, integers({4, 3}));
      },
      shape_mismatch,
      "gather",
      "larger than the input");
  check_refusal(
      [] {
        return index_select(floats({2, 3}), 0, floats({2}));
      },
      dtype_mismatch,
      "index_select",
      "holds indices");
  check_refusal(
      [] {
        return embedding(integers({2}), floats({4, 3}), 4);
      },
      invalid_argument,
      "embedding",
      "the weight has 4 rows");
  check_refusal(
      [] {
        return concat({floats({2, 3}), floats({2, 4})});
      },
      shape_mismatch,
      "concat",
      "tensor 1 has shape [2, 4]");
  check_refusal(
      [] {
        return stack({floats({2, 3}), floats({2, 4})});
      },
      shape_mismatch,
      "stack",
      "do not stack");
  check_refusal(
      [] {
        return split(floats({5}), std::vector<std::int64_t>{2, 2})[0];
      },
      invalid_argument,
      "split",
      "do not fill axis 0 of [5]");
  check_refusal(
      [] {
        return pad(floats({2, 3}), {-2, -2});
      },
      shape_mismatch,
      "pad",
      "leaves less than nothing");
  check_refusal(
      [] {
        return pad(floats({3}), {1, 1, 1});
      },
      invalid_argument,
      "pad",
      "are not pairs");
  check_refusal(
      [] { return dropout(floats({3}), 1.5); }, invalid_argument, "dropout", "probability");
}

TEST_CASE("views refuse what does not fit", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  constexpr auto axis = ErrorCode::axis_out_of_range;
  const auto x = [] { return floats({2, 3}); };
  check_refusal(
      [&] {
        return reshape(x(), {4, 2});
      },
      shape_mismatch,
      "reshape",
      "has 6 elements",
      "-1");
  check_refusal(
      [&] {
        return reshape(x(), {4, -1});
      },
      shape_mismatch,
      "reshape",
      "do not divide",
      "divisor");
  check_refusal(
      [&] {
        return reshape(x(), {-1, -1});
      },
      invalid_argument,
      "reshape",
      "more than one");
  check_refusal([&] { return reshape(x(), {-6}); }, invalid_argument, "reshape", "negative size");
  check_refusal(
      [&] {
        return permute(x(), {0, 0});
      },
      invalid_argument,
      "permute",
      "must name each");
  check_refusal([&] { return permute(x(), {0}); }, invalid_argument, "permute", "2 dimensions");
  check_refusal([&] { return permute(x(), {0, 2}); }, axis, "permute", "axis 2", "from -2 to 1");
  check_refusal([&] { return transpose(x(), 0, 5); }, axis, "transpose", "axis 5", "from -2 to 1");
  check_refusal(
      [&] {
        return expand(x(), {2, 4});
      },
      shape_mismatch,
      "expand",
      "[2, 3] does not broadcast");
  check_refusal(
      [&] {
        return expand(x(), {-1, 2, 3});
      },
      invalid_argument,
      "expand",
      "does not have");
  check_refusal([&] { return expand(x(), {3}); }, shape_mismatch, "expand", "[2, 3]");
  check_refusal([&] { return slice(x(), 2); }, axis, "slice", "axis 2");
  check_refusal([&] { return slice(x(), 0, 0, 2, 0); }, invalid_argument, "slice", "step of 0");
  check_refusal([&] { return select(x(), 1, 3); }, invalid_argument, "select", "size 3");
  check_refusal([&] { return select(x(), 1, -4); }, invalid_argument, "select", "index -4");
  check_refusal([&] { return select(x(), 4, 0); }, axis, "select", "axis 4");
  check_refusal([&] { return narrow(x(), 1, 2, 2); }, invalid_argument, "narrow", "within 3");
  check_refusal([&] { return squeeze(x(), 2); }, axis, "squeeze", "axis 2");
  check_refusal([&] { return unsqueeze(x(), 4); }, axis, "unsqueeze", "axis 4");
  check_refusal([&] { return flatten(x(), 1, 0); }, invalid_argument, "flatten", "comes after");
  check_refusal([&] { return t(floats({1, 2, 3})); }, shape_mismatch, "t", "at most 2");
  check_refusal(
      [&] {
        return unsqueeze(floats({1, 1, 1, 1, 1, 1, 1, 1}), 0);
      },
      invalid_argument,
      "unsqueeze",
      "at most 8",
      "reshape");
}

TEST_CASE("reductions refuse what does not fit", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  constexpr auto axis = ErrorCode::axis_out_of_range;
  const auto x = [] { return floats({2, 3}); };
  check_refusal([&] { return sum(x(), 2); }, axis, "sum", "axis 2");
  check_refusal([&] { return sum(x(), Dims{0, -2}); }, invalid_argument, "sum", "named twice");
  check_refusal([&] { return mean(integers({2})); }, dtype_mismatch, "mean", "int64");
  check_refusal([&] { return var(integers({2})); }, dtype_mismatch, "var", "int64");
  check_refusal([&] { return argmax(x(), -3); }, axis, "argmax", "axis -3");
  check_refusal(
      [&] {
        return argmax(floats({0, 2}), 0);
      },
      invalid_argument,
      "argmax",
      "no element");
  check_refusal([&] { return amax(floats({0})); }, invalid_argument, "amax", "no element");
  check_refusal([&] { return max(x(), 2).values; }, axis, "max", "axis 2");
  check_refusal([&] { return cumsum(x(), 2); }, axis, "cumsum", "axis 2");
  check_refusal([&] { return log_softmax(x(), 2); }, axis, "log_softmax", "axis 2");
  const auto half = [&] { return cast(x(), DType::float16); };
  check_refusal([&] { return sum(half()); }, dtype_mismatch, "sum", "float16", "float32");
}

TEST_CASE("elementwise calls refuse what does not fit", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  const auto half = [] { return cast(floats({2, 3}), DType::float16); };
  check_refusal(
      [&] { return clamp(half(), 0, 1); },
      dtype_mismatch,
      "clamp",
      "float16 is for storage, not for computing (inputs: float16[2, 3])",
      "cast");
  check_refusal([&] { return half() + 1; }, dtype_mismatch, "add", "a number", "cast");
  check_refusal(
      [] {
        return floats({2, 3}) * floats({2, 4});
      },
      shape_mismatch,
      "mul",
      "[2, 4]",
      "reshape");
  check_refusal(
      [] { return where(floats({2}), 1, 2); }, dtype_mismatch, "where", "must be bool", "compare");
  check_refusal(
      [] { return pow(integers({2}), -2); }, invalid_argument, "pow", "exponent", "fraction");
  check_refusal(
      [] { return add(integers({2}), 1, 0.5); }, dtype_mismatch, "add", "'alpha'", "whole");
}

TEST_CASE("random tensors refuse what does not fit, at the caller's line", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  check_refusal([] { return rand({2, -1}); }, invalid_argument, "uniform", "negative size");
  check_refusal([] { return uniform({2}, 1, 0); }, invalid_argument, "uniform", "'low' is 1");
  check_refusal([] { return rand({2}, DType::int32); }, dtype_mismatch, "uniform", "int32");
  check_refusal([] { return normal(0, -1, {2}); }, invalid_argument, "normal", "'std' is -1");
  check_refusal([] { return randn({2}, DType::int64); }, dtype_mismatch, "normal", "int64");
  check_refusal([] { return randint(3, 3, {2}); }, invalid_argument, "randint", "'high' is 3");
}

TEST_CASE("operands on two devices are refused with both, and their shapes", "[conformance]") {
  Refusals r;
  Scope scope(r.system);
  Device& other = cpu::attach(r.system);
  const Tensor x = floats({2, 3});
  const Tensor y = to(x, other);
  const auto check_devices = [&](const std::function<Tensor()>& call, std::string_view op) {
    check_refusal(call, ErrorCode::device_mismatch, op, "float32[2, 3]", "to(tensor, device)");
  };
  check_devices([&] { return x + y; }, "add");
  check_devices([&] { return matmul(x, transpose(y, 0, 1)); }, "matmul");
  check_devices([&] { return concat({x, y}); }, "concat");
  check_devices([&] { return linear(x, y); }, "linear");
  check_devices([&] { return where(x > 0, x, y); }, "where");
  CHECK((y + 1).record()->device().name() == other.name());
}
