#include "case.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/op_info.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <functional>

using namespace troupe;

namespace {

/// An op with a derivative that it does not offer.
struct Twice : OpDefaults {
  static constexpr OpId id{65'700};
  static constexpr std::string_view name = "twice";
  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
};
/// The same by jumps: mathematics has no derivative to offer.
struct Steps : Twice {
  static constexpr OpId id{65'701};
  static constexpr std::string_view name = "steps";
  static constexpr bool piecewise_constant = true;
};

struct World {
  System system{System::Options{.threads = 1}};
  Device& device{cpu::attach(system)};
  Scope scope{system};
  World() {
    const auto twice =
        [](const void*, std::span<const cpu::HostTensor> in, std::span<const cpu::HostTensor> out) {
          for (std::size_t i = 0; i < out[0].as<double>().size(); ++i)
            out[0].as<double>()[i] = 2 * in[0].as<const double>()[i];
        };
    cpu::add_kernel(device, OpInfoOf<Twice>::info, twice);
    cpu::add_kernel(device, OpInfoOf<Steps>::info, twice);
  }
};

Tensor leaf(std::vector<double> x) {
  return requires_grad(Tensor::copy_of<double>(x, {static_cast<std::int64_t>(x.size())}));
}

Error refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return {};
}

}  // namespace

TEST_CASE("a derivative that is not offered is an error, not a zero", "[conformance]") {
  const World world;
  const Tensor x = leaf({1, 2});
  const Tensor y = apply(Twice{}, x);
  CHECK(y.requires_grad());
  for (const bool create_graph : {false, true}) {
    const Error error = refused([&] {
      const Tensor total = sum(apply(Twice{}, x) * x);
      (void)grad(std::span(&total, 1), std::span(&x, 1), {}, {.create_graph = create_graph})[0]
          .to_vector<double>();
    });
    CHECK(error.code() == ErrorCode::not_differentiable);
    CHECK(error.op() == "twice");
    CHECK(error.hint().find("vjp") != std::string::npos);
  }
  // Without a gradient the op is as good as any.
  CHECK_FALSE(apply(Twice{}, x.detach()).requires_grad());
}

TEST_CASE("where mathematics has no derivative none is asked for", "[conformance]") {
  const World world;
  const Tensor x = leaf({1, 2});
  CHECK_FALSE(apply(Steps{}, x).requires_grad());
  CHECK_FALSE((x > 1.5).requires_grad());
  CHECK_FALSE(argmax(x).requires_grad());
  CHECK_FALSE(all(x).requires_grad());
  CHECK_FALSE(cast(x, DType::int64).requires_grad());
  CHECK_FALSE(div(x, 2, Rounding::floor).requires_grad());
  CHECK(cast(x, DType::float32).requires_grad());
}

TEST_CASE("cross entropy refuses the third derivative that it does not offer", "[conformance]") {
  const World world;
  const Tensor x = requires_grad(
      Tensor::copy_of<double>(std::vector<double>{0.1, 0.2, 0.3, 0.4, -0.5, 0.6}, {2, 3}));
  const Tensor classes = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{0, 2}, {2});
  const auto next = [&](const Tensor& y) {
    const Tensor total = sum(y * y);
    return grad(
        std::span(&total, 1),
        std::span(&x, 1),
        {},
        {.retain_graph = true, .create_graph = true})[0];
  };
  const Tensor first = next(cross_entropy(x, classes));
  const Tensor second = next(first);
  CHECK(second.requires_grad());
  const Error error = refused([&] { (void)next(second).to_vector<double>(); });
  CHECK(error.code() == ErrorCode::not_differentiable);
  CHECK(error.op() == "cross_entropy_curvature");
}
