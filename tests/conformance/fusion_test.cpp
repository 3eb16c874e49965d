#include "autograd/constant_lr.hpp"
#include "case.hpp"
#include "support/engine.hpp"
#ifdef TROUPE_VULKAN
#include "support/vulkan.hpp"
#endif

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

// Goal: whatever the passes do, the bits are those of the graph as it was captured. Method: random
// graphs over all elementwise ops and the ops that chains begin and end at, products and folds
// among them, with their gradients and with updates by what chains make of them, run as captured,
// with all passes, and with each pass left out in turn.
namespace troupe {
namespace {

#ifdef TROUPE_VULKAN
bool on_gpu() { return test::on_vulkan(); }
Device& attach(System& system) {
  return on_gpu() ? test::attach_vulkan(system) : cpu::attach(system);
}
#else
bool on_gpu() { return false; }
Device& attach(System& system) { return cpu::attach(system); }
#endif

using Make = Tensor (*)(std::span<const Tensor> inputs);
struct Known {
  std::string_view name;
  std::size_t arity;
  bool condition;
  Make make;
};

template <class Op>
Tensor make(std::span<const Tensor> inputs) {
  std::vector<Operand> operands;
  for (const Tensor& input : inputs) operands.emplace_back(input);
  return apply(make_op(Op{}), std::span<const Operand>(operands));
}
template <class Op>
void add(std::vector<Known>& known) {
  constexpr bool condition = requires { Op::first_is_condition; };
  if constexpr (Op::family == OpFamily::elementwise)
    known.push_back({Op::name, Op::arity, condition, &make<Op>});
}
template <class... Ops>
std::vector<Known> elementwise_ops(OpList<Ops...>) {
  std::vector<Known> known;
  (add<Ops>(known), ...);
  return known;
}

/// Draws graphs; the same ones for the same seed.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  /// A function of three matrices [rows, columns] and a row [columns], of which the first two are
  /// parameters, and may be updated.
  using Function =
      std::function<std::vector<Tensor>(std::span<const Tensor>, std::span<Parameter>)>;
  Function graph(bool differentiated, bool updates) {
    const std::uint64_t seed = random_();
    const std::size_t steps = 3 + random_() % 14;
    return [=](std::span<const Tensor> inputs, std::span<Parameter> parameters) {
      Draw draw(seed);
      std::vector<Tensor> results = draw.call(inputs, steps, differentiated);
      if (updates) draw.update(inputs, parameters, results);
      return results;
    };
  }
  Shape shape() {
    constexpr std::array<std::int64_t, 6> sizes{1, 3, 8, 17, 33, 70};
    return {sizes[random_() % sizes.size()], sizes[random_() % sizes.size()]};
  }
  std::size_t below(std::size_t n) { return random_() % n; }

 private:
  std::vector<Tensor> call(std::span<const Tensor> inputs, std::size_t steps, bool differentiated) {
    static const std::vector<Known> known = elementwise_ops(AllOps{});
    pool_.assign(inputs.begin(), inputs.end());
    for (std::size_t i = 0; i < steps; ++i) pool_.push_back(next(known));
    std::vector<Tensor> results{pool_.back()};
    // Some of what chains make inside is handed out as well.
    if (below(2)) results.push_back(pool_[inputs.size() + below(steps)]);
    if (!differentiated) return results;
    Tensor total;
    for (const Tensor& x : {pool_.back(), pool_[pool_.size() - 2]})
      if (x.dtype() == DType::float32 && x.requires_grad()) total = total ? total + sum(x) : sum(x);
    if (!total) return results;
    for (const Tensor& gradient :
         grad(std::span(&total, 1), inputs.first(2), {}, {.allow_unused = true}))
      if (gradient) results.push_back(gradient);
    return results;
  }

  /// Updates the parameters by what chains make of values of their shape, the gradients among them.
  void update(
      std::span<const Tensor> inputs,
      std::span<Parameter> parameters,
      std::vector<Tensor>& results) {
    const NoGrad no_grad;
    std::vector<Tensor> gradients;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      Tensor gradient = inputs[2] * 0.5;
      for (const std::vector<Tensor>* values : {&pool_, &results})
        for (const Tensor& x : *values)
          if (x.shape() == gradient.shape() && x.dtype() == DType::float32 && below(3) == 0)
            gradient = x;
      pool_.push_back(gradient);
      gradients.push_back(gradient);
    }
    // Every other time one number of all of them goes into each, as when they are clipped.
    Tensor factor;
    if (below(2))
      for (const Tensor& gradient : gradients) {
        // Which NaN a sum makes of several depends on the loop that folds them.
        const Tensor part = sum(square(where(isfinite(gradient), gradient, 1.0)));
        factor = factor ? factor + part : part;
      }
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      Tensor& gradient = gradients[p];
      for (std::size_t i = below(4); i > 0; --i) gradient = touched(gradient);
      if (factor) gradient = gradient * clamp(2.0 / (factor + 1e-6), 0, 1);
      if (below(8) == 0) results.push_back(gradient);
      parameters[p].set_grad(gradient);
      AdamUpdate adam;
      adam.amsgrad = below(4) == 0;
      adam.weight_decay = 0.1;
      SgdUpdate sgd;
      sgd.momentum = below(2) ? 0.9 : 0;
      const Tensor scalars = test::constant_lr(0.1);
      if (below(2))
        parameters[p].apply(make_op(adam), adam.amsgrad ? 3 : 2, scalars);
      else
        parameters[p].apply(make_op(sgd), sgd.momentum == 0 ? 0 : 1, scalars);
    }
  }
  Tensor touched(const Tensor& x) {
    const Tensor other = floating(like(x));
    switch (below(6)) {
      case 0:
        return x + (other.shape() == x.shape() ? other : x);
      case 1:
        return where(x > 0, x, other) * 2;
      case 2:
        return cast(cast(x, DType::bfloat16), DType::float32);
      case 3:
        return clamp(x, -1, 1) - other;
      case 4:
        return cast(
            linear(cast(x, DType::bfloat16), cast(weight(x.shape()), DType::bfloat16)),
            DType::float32);
      default:
        return tanh(x) / 2;
    }
  }

  /// One of the values so far; of a shape that matches, more often than not.
  const Tensor& any() {
    const std::size_t recent = std::min<std::size_t>(pool_.size(), 4);
    return pool_[below(3) ? pool_.size() - 1 - below(recent) : below(pool_.size())];
  }
  Tensor like(const Tensor& x) {
    for (int i = 0; i < 4; ++i) {
      const Tensor& other = any();
      if (other.shape() == x.shape() || broadcasts_to(other.shape(), x.shape())) return other;
    }
    return x;
  }
  static Tensor floating(const Tensor& x) {
    return x.dtype() == DType::float32 ? x : cast(x, DType::float32);
  }

  /// A fold over all axes or one of them, of floats or of answers; of few numbers, so that products
  /// of them stay finite.
  Tensor fold(const Tensor& f) {
    const bool keepdim = below(2) == 0;
    Dims axes;
    if (f.rank() > 0 && below(4) != 0) axes.push_back(static_cast<std::int64_t>(below(f.rank())));
    const auto over = [&]<class Op>(Op, const Tensor& x) {
      return apply(fold_over<Op>(axes, keepdim), x);
    };
    switch (below(8)) {
      case 0:
        return over(Mean{}, f);
      case 1:
        return over(Prod{}, clamp(f, 0.9, 1.1));
      case 2:
        return over(Amax{}, f);
      case 3:
        return over(Amin{}, f);
      case 4:
        return cast(over(All{}, f > -1), DType::float32);
      case 5:
        return cast(over(Any{}, f > 1), DType::float32);
      case 6:
        return cast(over(Sum{}, f > 0), DType::float32);
      default:
        return over(Sum{}, f);
    }
  }

  Tensor next(const std::vector<Known>& known) {
    const std::size_t kind = below(21);
    const Tensor x = any();
    if (kind < 10) {
      const Known& op = known[below(known.size())];
      std::vector<Tensor> operands;
      operands.push_back(op.condition ? like(x) > 0 : floating(x));
      while (operands.size() < op.arity) operands.push_back(floating(like(x)));
      return op.make(operands);
    }
    const Tensor f = floating(x);
    switch (kind) {
      case 10:
        return f.rank() == 2 ? linear(f, weight(f.shape()), bias(f.shape())) : f * 2;
      case 11:
        return f.rank() == 2 ? matmul(matmul(f, transpose(f, 0, 1)), f) : f + 1;
      case 12:
        return f.rank() == 2 ? transpose(transpose(f, 0, 1) * 2, 0, 1) : f - 1;
      case 13:
        return f - mean(f, {-1}, true);
      case 14:
        return softmax(f, -1);
      case 15:
      case 16:
      case 17:
        return fold(f);
      case 18: {
        if (f.rank() != 2) return f * 3;
        const DType narrow = below(2) ? DType::bfloat16 : DType::float16;
        return cast(
            linear(cast(f, narrow), cast(weight(f.shape()), narrow), cast(bias(f.shape()), narrow)),
            DType::float32);
      }
      case 19:
        return dropout(f, 0.3);
      default:
        return reshape(reshape(f, {-1}) + 1, f.shape()) * f;
    }
  }
  /// Constants of the graph: equal ones for equal shapes, so that there is something to merge.
  static Tensor weight(const Shape& shape) {
    return Tensor::copy_of<float>(
        test::numbers(static_cast<std::size_t>(shape[1] * shape[1]), 7), {shape[1], shape[1]});
  }
  static Tensor bias(const Shape& shape) {
    return Tensor::copy_of<float>(test::numbers(static_cast<std::size_t>(shape[1]), 8), {shape[1]});
  }

  std::mt19937_64 random_;
  std::vector<Tensor> pool_;
};

}  // namespace

TEST_CASE("passes change no bit of random graphs", "[conformance]") {
  System system(System::Options{.threads = 2});
  const Scope scope(system, attach(system));
  // Each chain is a shader of its own on a GPU.
  const std::uint64_t graphs = on_gpu() ? 30 : 10'000;
  std::size_t fused = 0;
  std::size_t with_heads = 0;
  std::size_t with_folds = 0;
  std::size_t with_stored_folds = 0;
  std::size_t with_prologues = 0;
  for (std::uint64_t i = 0; i < graphs; ++i) {
    Draw draw(i);
    const Shape shape = draw.shape();
    const bool updates = i % 4 >= 2;
    const Draw::Function function = draw.graph(i % 2 == 1, updates);
    const Meta metas[] = {
        {DType::float32, shape},
        {DType::float32, shape},
        {DType::float32, shape},
        {DType::float32, {shape[1]}}};
    std::vector<Tensor> inputs;
    for (const Meta& meta : metas)
      inputs.push_back(Tensor::copy_of<float>(
          test::numbers(static_cast<std::size_t>(meta.elements()), 100 + i + inputs.size()),
          meta.shape));
    const auto run = [&](Passes passes) {
      std::vector<Parameter> parameters{Parameter(inputs[0]), Parameter(inputs[1])};
      Program program = Program::capture(
          [&](std::span<const Tensor> given) {
            for (Parameter& parameter : parameters) parameter.zero_grad();
            const Tensor all[] = {
                parameters[0].tensor(), parameters[1].tensor(), given[0], given[1]};
            return function(all, parameters);
          },
          std::span(metas).subspan(2),
          {.passes = passes});
      for (const Graph::Op& op : program.graph().ops) {
        if (op.info().id == FusedUpdate::id) ++with_prologues;
        if (op.info().family != OpFamily::fused) continue;
        ++fused;
        const auto& attributes = *static_cast<const Fused*>(op.op->attributes());
        if (attributes.head) ++with_heads;
        if (attributes.fold) ++(attributes.folded_output() ? with_stored_folds : with_folds);
      }
      Scope::current().seed(i);
      std::vector<std::byte> all;
      const auto add = [&](const std::vector<Tensor>& tensors) {
        const std::vector<std::byte> bytes = test::bytes_of(tensors);
        all.insert(all.end(), bytes.begin(), bytes.end());
      };
      for (int step = 0; step < (updates ? 2 : 1); ++step)
        add(program.run(std::span<const Tensor>(inputs).subspan(2)));
      for (const Parameter& parameter : parameters) {
        add({parameter.tensor()});
        add(parameter.states());
      }
      return all;
    };
    const std::vector<std::byte> expected = run(Passes::none());
    INFO("graph " << i << " of shape " << to_string(shape));
    REQUIRE(run(Passes::all()) == expected);
    const Pass left_out = all_passes[i % all_passes.size()];
    INFO("without " << name_of(left_out));
    REQUIRE(run(Passes::all().without(left_out)) == expected);
  }
  // The test is about something.
  CHECK(fused > graphs);
  // Fewer products and folds take a chain on a GPU, or a processor that plays one.
  CHECK(with_heads > (on_gpu() ? 0 : graphs / 10));
  CHECK(with_folds > (on_gpu() ? 0 : graphs / 4));
  CHECK(with_stored_folds > (on_gpu() ? 0 : graphs / 5));
  CHECK(with_prologues > graphs / 2);
}

}  // namespace troupe
