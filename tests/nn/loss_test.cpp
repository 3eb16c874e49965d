#include "golden.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/nn/loss.hpp>

#include <string>

using namespace troupe;

namespace {

const nn::test::Golden& golden() {
  static const nn::test::Golden golden("losses.txt");
  return golden;
}

template <class Loss>
void check(const std::string& name, const Loss& loss) {
  CAPTURE(name);
  const Tensor x = requires_grad(golden()[name + ".x"].tensor());
  const Tensor y = loss(x, golden()[name + ".target"].tensor());
  nn::test::check_near(y, golden()[name + ".y"], 2e-6);
  backward(y, golden()[name + ".dy"].tensor());
  nn::test::check_near(grad_of(x), golden()[name + ".dx"], 2e-6);
}

Tensor of(const std::string& name) { return golden()[name].tensor(); }

}  // namespace

TEST_CASE("losses compute what PyTorch's do", "[nn]") {
  test::Engine engine;
  check("cross_entropy", nn::CrossEntropyLoss());
  check("cross_entropy_sum", nn::CrossEntropyLoss({}, -100, Reduction::sum));
  check("cross_entropy_none", nn::CrossEntropyLoss({}, -100, Reduction::none));
  check("cross_entropy_weight", nn::CrossEntropyLoss(of("cross_entropy_weight.weight")));
  check("cross_entropy_ignore", nn::CrossEntropyLoss({}, 3));
  check(
      "cross_entropy_smooth",
      nn::CrossEntropyLoss(of("cross_entropy_smooth.weight"), -100, Reduction::mean, 0.1));
  check("cross_entropy_soft", nn::CrossEntropyLoss());
  check("cross_entropy_2d", nn::CrossEntropyLoss());
  check("nll", nn::NLLLoss());
  check("nll_weight", nn::NLLLoss(of("nll_weight.weight"), 0));
  check("mse", nn::MSELoss());
  check("mse_none", nn::MSELoss(Reduction::none));
  check("l1", nn::L1Loss());
  check("l1_sum", nn::L1Loss(Reduction::sum));
  check("bce_with_logits", nn::BCEWithLogitsLoss());
  check(
      "bce_with_logits_weight",
      nn::BCEWithLogitsLoss(
          of("bce_with_logits_weight.weight"),
          Reduction::mean,
          of("bce_with_logits_weight.pos_weight")));
}

TEST_CASE("a loss's weight is a buffer of its state", "[nn]") {
  test::Engine engine;
  const nn::CrossEntropyLoss loss(of("cross_entropy_weight.weight"));
  CHECK(loss.state_dict().size() == 1);
  CHECK(loss.parameters().empty());
  CHECK(nn::CrossEntropyLoss().state_dict().empty());
}
