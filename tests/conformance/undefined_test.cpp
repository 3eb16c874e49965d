#include "case.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace troupe;

namespace {

using Call = std::function<void(const Tensor&)>;

/// Every free function that looks at a tensor before an op does, and some that do not.
std::vector<std::pair<std::string, Call>> calls() {
  const Tensor x = ones({2, 2});
  const Tensor index = zeros({2}, DType::int64);
  const Tensor yes = ones({2, 2}, DType::boolean);
  return {
      {"where", [=](const Tensor& t) { (void)where(t, x, x); }},
      {"where", [=](const Tensor& t) { (void)where(yes, t, x); }},
      {"where", [=](const Tensor& t) { (void)where(yes, x, t); }},
      {"where", [=](const Tensor& t) { (void)where(yes, t, 1); }},
      {"where", [=](const Tensor& t) { (void)where(yes, 1.5, t); }},
      {"concat",
       [=](const Tensor& t) {
         (void)concat({t, x});
       }},
      {"concat",
       [=](const Tensor& t) {
         (void)concat({x, t});
       }},
      {"stack",
       [=](const Tensor& t) {
         (void)stack({t, x});
       }},
      {"stack",
       [=](const Tensor& t) {
         (void)stack({x, t});
       }},
      {"split", [](const Tensor& t) { (void)split(t, 1); }},
      {"split",
       [](const Tensor& t) {
         (void)split(t, std::vector<std::int64_t>{1, 1});
       }},
      {"chunk", [](const Tensor& t) { (void)chunk(t, 2); }},
      {"cumsum", [](const Tensor& t) { (void)cumsum(t, 0); }},
      {"pad",
       [](const Tensor& t) {
         (void)pad(t, {1, 1});
       }},
      {"pad",
       [](const Tensor& t) {
         (void)pad(t, {1, 1}, PadMode::reflect);
       }},
      {"layer_norm", [](const Tensor& t) { (void)layer_norm(t, {2}); }},
      {"rms_norm", [](const Tensor& t) { (void)rms_norm(t, {2}); }},
      {"batch_norm_train", [](const Tensor& t) { (void)batch_norm(t, {}, {}, {}, {}, true); }},
      {"pow", [](const Tensor& t) { (void)pow(t, -1); }},
      {"pow", [](const Tensor& t) { (void)pow(t, 2); }},
      {"pow", [=](const Tensor& t) { (void)pow(x, t); }},
      {"mse_loss", [=](const Tensor& t) { (void)mse_loss(t, x); }},
      {"mse_loss", [=](const Tensor& t) { (void)mse_loss(x, t); }},
      {"l1_loss", [=](const Tensor& t) { (void)l1_loss(x, t); }},
      {"binary_cross_entropy_with_logits",
       [=](const Tensor& t) { (void)binary_cross_entropy_with_logits(t, x); }},
      {"cross_entropy", [=](const Tensor& t) { (void)cross_entropy(t, index); }},
      {"cross_entropy", [=](const Tensor& t) { (void)cross_entropy(x, t); }},
      {"nll_loss", [=](const Tensor& t) { (void)nll_loss(t, index); }},
      {"one_hot", [](const Tensor& t) { (void)one_hot(t); }},
      {"one_hot", [](const Tensor& t) { (void)one_hot(t, 3); }},
      {"dropout", [](const Tensor& t) { (void)dropout(t, 0.5); }},
      {"dropout", [](const Tensor& t) { (void)dropout(t, 0.5, false); }},
      {"scaled_dot_product_attention",
       [=](const Tensor& t) { (void)scaled_dot_product_attention(t, x, x); }},
      {"scaled_dot_product_attention",
       [=](const Tensor& t) { (void)scaled_dot_product_attention(x, t, x); }},
      {"scaled_dot_product_attention",
       [=](const Tensor& t) { (void)scaled_dot_product_attention(x, x, t); }},
      {"clamp", [](const Tensor& t) { (void)clamp(t, 0, 1); }},
      {"cast", [](const Tensor& t) { (void)cast(t, DType::float64); }},
      {"conv2d", [=](const Tensor& t) { (void)conv2d(t, x); }},
      {"conv2d", [=](const Tensor& t) { (void)conv2d(unsqueeze(x, 0), t); }},
      {"linear", [=](const Tensor& t) { (void)linear(t, x); }},
      {"matmul", [=](const Tensor& t) { (void)matmul(x, t); }},
      {"max_pool2d", [](const Tensor& t) { (void)max_pool2d(t, {2}); }},
      {"avg_pool2d", [](const Tensor& t) { (void)avg_pool2d(t, {2}); }},
      {"adaptive_avg_pool2d", [](const Tensor& t) { (void)adaptive_avg_pool2d(t, {2}); }},
      {"softmax", [](const Tensor& t) { (void)softmax(t, 0); }},
      {"log_softmax", [](const Tensor& t) { (void)log_softmax(t, 0); }},
      {"gather", [=](const Tensor& t) { (void)gather(t, 0, index); }},
      {"index_select", [=](const Tensor& t) { (void)index_select(x, 0, t); }},
      {"embedding", [=](const Tensor& t) { (void)embedding(t, x); }},
      {"sum", [](const Tensor& t) { (void)sum(t, 0); }},
      {"var", [](const Tensor& t) { (void)var(t); }},
      {"copy", [](const Tensor& t) { (void)prod(t, 0); }},
      {"copy", [](const Tensor& t) { (void)contiguous(t); }},
      {"max", [](const Tensor& t) { (void)max(t, 0); }},
      {"argmax", [](const Tensor& t) { (void)argmax(t); }},
      {"reshape", [](const Tensor& t) { (void)reshape(t, {-1}); }},
      {"flatten", [](const Tensor& t) { (void)flatten(t); }},
      {"squeeze", [](const Tensor& t) { (void)squeeze(t); }},
      {"squeeze", [](const Tensor& t) { (void)squeeze(t, 0); }},
      {"unsqueeze", [](const Tensor& t) { (void)unsqueeze(t, 0); }},
      {"permute", [](const Tensor& t) { (void)permute(t, {0}); }},
      {"transpose", [](const Tensor& t) { (void)transpose(t, 0, 1); }},
      {"t", [](const Tensor& u) { (void)t(u); }},
      {"expand", [](const Tensor& t) { (void)expand(t, {2}); }},
      {"slice", [](const Tensor& t) { (void)slice(t, 0); }},
      {"narrow", [](const Tensor& t) { (void)narrow(t, 0, 0, 1); }},
      {"select", [](const Tensor& t) { (void)select(t, 0, 0); }},
      {"add", [=](const Tensor& t) { (void)add(t, x, 2); }},
      {"sub", [=](const Tensor& t) { (void)sub(x, t, 2); }},
      {"div_rounded", [=](const Tensor& t) { (void)div(t, x, Rounding::trunc); }},
      {"full_like", [](const Tensor& t) { (void)zeros_like(t); }},
      {"rand_like", [](const Tensor& t) { (void)rand_like(t); }},
      {"randn_like", [](const Tensor& t) { (void)randn_like(t); }},
      {"to", [](const Tensor& t) { (void)to(t, Scope::current().device()); }},
  };
}

Error refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return {};
}

void check_error(const Error& error, std::string_view op) {
  INFO(op << ": " << error.what());
  CHECK(error.code() == ErrorCode::invalid_argument);
  CHECK(error.op() == op);
  CHECK(error.file().find("undefined_test.cpp") != std::string::npos);
  CHECK(error.line() > 0);
  CHECK_FALSE(error.hint().empty());
}

}  // namespace

TEST_CASE("every free function refuses an undefined tensor", "[conformance]") {
  System system(System::Options{.threads = 1});
  cpu::attach(system);
  const Scope scope(system);
  for (const auto& [op, call] : calls())
    check_error(refused([&, &call = call] { call(Tensor()); }), op);
}

TEST_CASE("a number where a tensor is needed is refused", "[conformance]") {
  System system(System::Options{.threads = 1});
  cpu::attach(system);
  const Scope scope(system);
  check_error(refused([] { (void)cumsum(2, 0); }), "cumsum");
  check_error(refused([] { (void)split(2, 1); }), "split");
  check_error(refused([] { (void)pad(2, {1, 1}); }), "pad");
  check_error(refused([] { (void)layer_norm(2, {1}); }), "layer_norm");
  check_error(refused([] { (void)rms_norm(2, {1}); }), "rms_norm");
  check_error(refused([] { (void)dropout(2, 0.5, false); }), "dropout");
  check_error(refused([] { (void)one_hot(2); }), "one_hot");
  check_error(refused([] { (void)where(true, 1, 2); }), "where");
  check_error(refused([] { (void)reshape(2, {1}); }), "reshape");
  check_error(refused([] { (void)cast(2, DType::int32); }), "cast");
  check_error(
      refused([] { (void)scaled_dot_product_attention(1, 2, 3); }), "scaled_dot_product_attention");
}
