#include "case.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
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

/// Checks code, op, words of the message, and that the caller's line and file are named.
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
        return conv2d(floats({3, 8, 8}), floats({4, 3, 3, 3}));
      },
      shape_mismatch,
      "conv2d",
      "must have 4 dimensions",
      "unsqueeze");
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
