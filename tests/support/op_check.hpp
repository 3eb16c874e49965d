#pragma once

#include "run_plan.hpp"

#include <troupe/tensor/op.hpp>

#include <cmath>
#include <functional>
#include <sstream>

/// Checks a kernel against a plain reference in double: every instruction set, float32 and float64,
/// contiguous and strided inputs, chunks in any order.
namespace troupe::cpu::test {

/// A tensor whose elements, of whatever dtype, are held as doubles in row-major order.
struct Sample {
  Meta meta;
  std::vector<double> data;

  [[nodiscard]] double& operator[](std::int64_t i) { return data[static_cast<std::size_t>(i)]; }
  [[nodiscard]] double operator[](std::int64_t i) const {
    return data[static_cast<std::size_t>(i)];
  }
};
using Samples = std::vector<Sample>;

/// Numbers drawn evenly from [low, high]. float64 stands for "the floating dtype under test".
template <class Random>
Sample draw_sample(
    Random& random,
    const Shape& shape,
    double low = -2,
    double high = 2,
    DType dtype = DType::float64) {
  Sample sample{{dtype, shape}, {}};
  std::uniform_real_distribution<double> draw(low, high);
  for (std::int64_t i = 0; i < elements_in(shape); ++i)
    // Rounded to float32, so that both dtypes see the same numbers.
    sample.data.push_back(
        is_floating(dtype) ? static_cast<float>(draw(random)) : std::floor(draw(random)));
  return sample;
}

/// Calls `use` with a null pointer to the element type of a dtype.
template <class Use>
void with_element(DType dtype, const Use& use) {
  switch (dtype) {
    case DType::float32:
      return use(static_cast<float*>(nullptr));
    case DType::float64:
      return use(static_cast<double*>(nullptr));
    case DType::int32:
      return use(static_cast<std::int32_t*>(nullptr));
    case DType::int64:
      return use(static_cast<std::int64_t*>(nullptr));
    default:
      return use(static_cast<std::uint8_t*>(nullptr));
  }
}

/// A sample's elements in memory, strided as asked, with NaN (or 0xff) where no element lies.
struct Placed {
  std::vector<std::byte> memory;
  View view;
};

enum class Layout { contiguous, transposed, gaps };

inline Placed place(const Sample& sample, Layout layout) {
  Placed placed;
  const Meta& meta = sample.meta;
  const std::size_t rank = meta.shape.size();
  Dims strides = contiguous_strides(meta.shape);
  std::int64_t extent = meta.elements();
  if (layout == Layout::transposed && rank > 1) {
    std::int64_t step = 1;
    for (std::size_t i = 0; i < rank; ++i) {
      strides[i] = step;
      step *= meta.shape[i];
    }
  } else if (layout == Layout::gaps && rank > 0) {
    for (std::int64_t& stride : strides) stride *= 2;
    extent *= 2;
  }
  const std::size_t width = size_of(meta.dtype);
  placed.memory.assign(static_cast<std::size_t>(extent + 1) * width + 64, std::byte{0xff});
  placed.view = {
      placed.memory.data(),
      meta.dtype,
      strides == contiguous_strides(meta.shape),
      meta.shape,
      strides};
  with_element(meta.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for (std::int64_t i = 0; i < meta.elements(); ++i) {
      std::int64_t rest = i;
      std::int64_t at = 0;
      for (std::size_t axis = rank; axis-- > 0;) {
        at += rest % meta.shape[axis] * strides[axis];
        rest /= meta.shape[axis];
      }
      placed.view.as<T>()[at] = static_cast<T>(sample[i]);
    }
  });
  return placed;
}

/// The outputs of one kernel. Floating inputs are cast to `dtype`; throws what planning throws, and
/// when the kernel wrote past an output.
template <class Op>
Samples run_op(
    PlanFunction plan,
    const Op& op,
    Samples inputs,
    DType dtype = DType::float64,
    Layout layout = Layout::contiguous,
    std::uint64_t seed = 0,
    std::uint64_t random_call = 0) {
  std::vector<Meta> metas;
  for (Sample& input : inputs) {
    if (input.meta.dtype == DType::float64) input.meta.dtype = dtype;
    metas.push_back(input.meta);
  }
  // An update's scalars are float64 always.
  if (Op::name.ends_with("_update")) inputs.back().meta.dtype = metas.back().dtype = DType::float64;
  Metas out;
  op.infer(metas, out);
  KernelCall call;
  call.attributes = &op;
  call.random_seed = 42;
  call.random_call = random_call;
  std::vector<Placed> placed;
  placed.reserve(inputs.size() + out.size());
  for (const Sample& input : inputs) {
    placed.push_back(place(input, layout));
    call.in[call.in_count++] = placed.back().view;
  }
  Samples outputs;
  for (const Meta& meta : out) {
    outputs.push_back({meta, std::vector<double>(static_cast<std::size_t>(meta.elements()), -77)});
    placed.push_back(place(outputs.back(), Layout::contiguous));
    call.out[call.out_count++] = placed.back().view;
  }
  run_kernel(plan, call, seed);
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const Placed& from = placed[inputs.size() + k];
    const std::size_t bytes = outputs[k].meta.bytes();
    for (std::size_t i = bytes; i < from.memory.size(); ++i)
      if (from.memory[i] != std::byte{0xff})
        throw std::logic_error("a kernel wrote past the end of output " + std::to_string(k));
    with_element(outputs[k].meta.dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      for (std::int64_t i = 0; i < outputs[k].meta.elements(); ++i)
        outputs[k][i] = static_cast<double>(from.view.as<const T>()[i]);
    });
  }
  return outputs;
}

struct Bounds {
  double float32 = 2e-6;
  double float64 = 1e-13;
};

/// An empty text when all elements of all outputs are within `bound · (1 + |reference|)`; else
/// where the first is not. A reference output without elements is not compared.
inline std::string compare(const Samples& got, const Samples& want, double bound) {
  std::ostringstream text;
  if (got.size() != want.size()) return "wrong number of outputs";
  for (std::size_t k = 0; k < got.size(); ++k) {
    if (want[k].data.empty() && !got[k].data.empty() && want[k].meta.shape.empty()) continue;
    if (!(got[k].meta.shape == want[k].meta.shape)) {
      text << "output " << k << " has shape " << to_string(got[k].meta.shape);
      return text.str();
    }
    for (std::int64_t i = 0; i < got[k].meta.elements(); ++i) {
      const double a = got[k][i];
      const double b = want[k][i];
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      if (!(std::abs(a - b) <= bound * (1 + std::abs(b)))) {
        text << "output " << k << " element " << i << " is " << a << ", not " << b;
        return text.str();
      }
    }
  }
  return {};
}

/// Runs an op on all instruction sets, dtypes and layouts; an empty text, or what was wrong and
/// where. `reference` computes the outputs from the inputs, in double.
template <class Op>
std::string check_op(
    const Op& op,
    const Samples& inputs,
    const std::function<Samples(const Samples&)>& reference,
    Bounds bounds = {}) {
  const Samples want = reference(inputs);
  for (const NamedPlan& kernel : kernels<Op>())
    for (const DType dtype : {DType::float32, DType::float64}) {
      Samples first;
      for (const Layout layout : {Layout::contiguous, Layout::transposed, Layout::gaps}) {
        const auto seed = static_cast<std::uint64_t>(layout);
        const Samples got = run_op(kernel.plan, op, inputs, dtype, layout, seed);
        std::string wrong =
            compare(got, want, dtype == DType::float32 ? bounds.float32 : bounds.float64);
        // The layout of an input must not show in the bits.
        if (first.empty()) first = got;
        if (wrong.empty()) wrong = compare(got, first, 0);
        if (!wrong.empty())
          return kernel.isa + " " + std::string(name_of(dtype)) + " layout " +
                 std::to_string(static_cast<int>(layout)) + ": " + wrong;
      }
    }
  return {};
}

/// A reference output.
inline Sample sample_of(const Shape& shape) {
  return {
      {DType::float64, shape}, std::vector<double>(static_cast<std::size_t>(elements_in(shape)))};
}

}  // namespace troupe::cpu::test
