#include "case.hpp"
#include "support/vulkan.hpp"
#ifdef TROUPE_NET
#include "cluster/lent_pair.hpp"
#endif

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <set>
#include <sstream>

namespace troupe::conformance {

Doubles zeros_of(const Shape& shape) {
  return {shape, std::vector<double>(static_cast<std::size_t>(elements_in(shape)))};
}

Input draw(
    Generator& random, const Shape& shape, double low, double high, double gap, double kink) {
  Input input{zeros_of(shape)};
  std::uniform_real_distribution<double> even(low, high);
  for (double& x : input.elements.data) {
    x = even(random);
    if (std::abs(x - kink) < gap) x += x < kink ? -2 * gap : 2 * gap;
    x = static_cast<float>(x);
  }
  return input;
}

Input draw_whole(
    Generator& random, const Shape& shape, DType dtype, std::int64_t low, std::int64_t high) {
  Input input{zeros_of(shape), dtype};
  std::uniform_int_distribution<std::int64_t> even(low, high);
  for (double& x : input.elements.data) x = static_cast<double>(even(random));
  return input;
}

Shape draw_shape(Generator& random, std::size_t rank, std::int64_t most) {
  std::uniform_int_distribution<std::int64_t> size(1, most);
  Shape shape;
  while (shape.size() < rank) shape.push_back(size(random));
  return shape;
}

std::set<std::string, std::less<>>& covered() {
  static std::set<std::string, std::less<>> names;
  return names;
}

namespace {

template <class Body>
auto with_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::float32:
      return body(float{});
    case DType::float64:
      return body(double{});
    case DType::int32:
      return body(std::int32_t{});
    case DType::int64:
      return body(std::int64_t{});
    default:
      return body(std::uint8_t{});
  }
}

/// How an input lies in memory; none may show in the results.
enum class Layout { contiguous, transposed, every_second, offset, repeated };

/// The axis along which an input repeats itself in the layout `repeated`; −1: none is long enough.
std::int64_t repeated_axis(const Shape& shape) {
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (shape[d] > 1) return static_cast<std::int64_t>(d);
  return -1;
}

/// The elements, the first along the repeated axis in the place of all others.
Doubles repeated(const Doubles& x) {
  const std::int64_t axis = repeated_axis(x.shape);
  if (axis < 0) return x;
  Doubles out = x;
  const std::int64_t inner = contiguous_strides(x.shape)[static_cast<std::size_t>(axis)];
  const std::int64_t length = x.shape[static_cast<std::size_t>(axis)];
  for (std::int64_t i = 0; i < x.size(); ++i) out[i] = x[i - i / inner % length * inner];
  return out;
}

Tensor upload(const Doubles& elements, DType dtype) {
  return with_type(dtype, [&]<class T>(T) {
    std::vector<T> typed(elements.data.size());
    for (std::size_t i = 0; i < typed.size(); ++i)
      typed[i] =
          dtype == DType::boolean ? T(elements.data[i] != 0) : static_cast<T>(elements.data[i]);
    return Tensor::upload(Meta{dtype, elements.shape}, std::as_bytes(std::span(typed)));
  });
}

Tensor place(const Doubles& elements, DType dtype, Layout layout) {
  const std::size_t rank = elements.shape.size();
  if (layout == Layout::contiguous || rank == 0) return upload(elements, dtype);
  if (layout == Layout::transposed) {
    Dims order;
    Doubles turned{elements.shape, std::vector<double>(elements.data.size())};
    for (std::size_t i = 0; i < rank; ++i) {
      order.push_back(static_cast<std::int64_t>(rank - 1 - i));
      turned.shape[i] = elements.shape[rank - 1 - i];
    }
    for (std::int64_t i = 0; i < elements.size(); ++i) {
      std::int64_t rest = i;
      std::int64_t at = 0;
      std::int64_t step = 1;
      std::int64_t index[rank_max];
      for (std::size_t d = rank; d-- > 0;) {
        index[d] = rest % elements.shape[d];
        rest /= elements.shape[d];
      }
      for (std::size_t d = 0; d < rank; ++d) {
        at += index[d] * step;
        step *= elements.shape[d];
      }
      turned[at] = elements[i];
    }
    return permute(upload(turned, dtype), order);
  }
  const auto nothing = is_floating(dtype) ? std::numeric_limits<double>::quiet_NaN() : 77;
  if (layout == Layout::offset) {
    // Behind a row of something else, so that the first element is not where the buffer begins.
    Doubles longer{elements.shape, {}};
    longer.shape[0] += 1;
    const std::int64_t row = elements.shape[0] > 0 ? elements.size() / elements.shape[0] : 0;
    longer.data.assign(static_cast<std::size_t>(row), nothing);
    longer.data.insert(longer.data.end(), elements.data.begin(), elements.data.end());
    if (row == 0) return upload(elements, dtype);
    return slice(upload(longer, dtype), 0, 1);
  }
  if (layout == Layout::repeated) {
    const std::int64_t axis = repeated_axis(elements.shape);
    if (axis < 0) return upload(elements, dtype);
    const Tensor once = slice(upload(elements, dtype), axis, 0, 1);
    return expand(once, elements.shape);
  }
  Doubles wide{elements.shape, {}};
  wide.shape[rank - 1] *= 2;
  for (const double x : elements.data) {
    wide.data.push_back(x);
    wide.data.push_back(nothing);
  }
  return slice(upload(wide, dtype), -1, 0, std::numeric_limits<std::int64_t>::max(), 2);
}

Doubles read(const Tensor& tensor) {
  Doubles out{tensor.shape(), {}};
  if (tensor.dtype() == DType::boolean) return read(cast(tensor, DType::uint8));
  with_type(tensor.dtype(), [&]<class T>(T) {
    for (const T x : tensor.to_vector<T>()) out.data.push_back(static_cast<double>(x));
  });
  return out;
}

DType dtype_in(const Input& input, DType under_test) {
  return input.dtype == DType::float64 ? under_test : input.dtype;
}

std::vector<Tensor> tensors_of(const Case& test, DType dtype, Layout layout) {
  std::vector<Tensor> tensors;
  for (const Input& input : test.inputs)
    tensors.push_back(place(input.elements, dtype_in(input, dtype), layout));
  return tensors;
}

std::vector<Doubles> doubles_of(const Case& test, Layout layout = Layout::contiguous) {
  std::vector<Doubles> doubles;
  for (const Input& input : test.inputs)
    doubles.push_back(layout == Layout::repeated ? repeated(input.elements) : input.elements);
  return doubles;
}

/// The distance of the dtype's numbers at `x`.
double ulp(double x, DType dtype) {
  x = std::abs(x);
  if (dtype == DType::float32) {
    const auto single = static_cast<float>(x);
    return static_cast<double>(std::nextafter(single, std::numeric_limits<float>::infinity())) -
           static_cast<double>(single);
  }
  return std::nextafter(x, std::numeric_limits<double>::infinity()) - x;
}

/// A float64 result is held against a reference that errs itself, by a few units.
constexpr double reference_ulp = 4;

bool close(double got, double want, const Case& test, DType dtype) {
  if (got == want || (std::isnan(got) && std::isnan(want))) return true;
  const double allowed = test.ulp_max + (dtype == DType::float64 ? reference_ulp : 0);
  return std::abs(got - want) <=
         allowed * ulp(std::max(std::abs(want), test.scale), dtype) + 1e-300;
}

std::string check_values(const Case& test, DType dtype) {
  std::vector<Doubles> plain;
  for (const Layout layout :
       {Layout::contiguous,
        Layout::transposed,
        Layout::every_second,
        Layout::offset,
        Layout::repeated}) {
    if (layout == Layout::repeated && !test.repeats) continue;
    const std::vector<Doubles> want = test.reference(doubles_of(test, layout));
    const std::vector<Tensor> inputs = tensors_of(test, dtype, layout);
    const std::vector<Tensor> outputs = test.call(inputs);
    if (outputs.size() != want.size()) return "wrong number of outputs";
    std::vector<Doubles> got;
    for (const Tensor& output : outputs) got.push_back(read(output));
    for (std::size_t k = 0; k < got.size(); ++k) {
      if (!(got[k].shape == want[k].shape))
        return "output " + std::to_string(k) + " has shape " + to_string(got[k].shape) + ", not " +
               to_string(want[k].shape);
      for (std::int64_t i = 0; i < got[k].size(); ++i)
        if (!close(got[k][i], want[k][i], test, dtype)) {
          std::ostringstream text;
          text.precision(17);
          text << name_of(dtype) << " layout " << static_cast<int>(layout) << " output " << k
               << " element " << i << " is " << got[k][i] << ", not " << want[k][i];
          for (const Input& input : test.inputs)
            if (input.elements.shape == got[k].shape) text << "; input " << input.elements[i];
          return text.str();
        }
    }
    if (layout == Layout::repeated) {
      // The same elements without the strides of 0 must give the same bits.
      plain.clear();
      std::vector<Tensor> dense;
      for (const Tensor& input : inputs) dense.push_back(contiguous(input));
      for (const Tensor& output : test.call(dense)) plain.push_back(read(output));
    }
    if (plain.empty()) plain = got;
    for (std::size_t k = 0; k < got.size(); ++k)
      for (std::int64_t i = 0; i < got[k].size(); ++i)
        if (got[k][i] != plain[k][i] && !std::isnan(got[k][i]))
          return "the layout of the inputs shows in the bits of output " + std::to_string(k);
  }
  return {};
}

bool takes_gradient(const Input& input) { return is_floating(input.dtype); }

/// Σ weight · output over all floating outputs, or of their squares: one number whose derivatives
/// say all.
Tensor weighted(
    std::span<const Tensor> outputs, std::span<const Tensor> weights, bool squared = false) {
  Tensor total;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (!outputs[k] || !weights[k] || !is_floating(outputs[k].dtype())) continue;
    const Tensor y = squared ? outputs[k] * outputs[k] : outputs[k];
    const Tensor part = sum(y * weights[k]);
    total = total ? total + part : part;
  }
  return total;
}

std::vector<Tensor> weights_for(std::span<const Tensor> like, Generator& random) {
  std::vector<Tensor> weights;
  for (const Tensor& x : like)
    weights.push_back(
        x ? upload(draw(random, x.shape(), 0.5, 1.5).elements, DType::float64) : Tensor());
  return weights;
}

double magnitude_of(std::span<const Doubles> all, bool squared = false) {
  double sum = 1;
  for (const Doubles& one : all)
    for (const double x : one.data) sum += squared ? x * x : std::abs(x);
  return sum;
}

/// Compares derivatives with central differences of `value`, element by element. `magnitude`: what
/// the terms add up to that `value` is a sum of; its rounding is what a difference cannot tell from
/// a slope.
std::string compare_differences(
    const Case& test,
    std::span<const Doubles> derivatives,
    double magnitude,
    const std::function<double(const std::vector<Doubles>&)>& value,
    std::string_view which) {
  std::vector<Doubles> at = doubles_of(test);
  for (std::size_t k = 0, d = 0; k < at.size(); ++k) {
    if (!takes_gradient(test.inputs[k])) continue;
    const Doubles& derivative = derivatives[d++];
    for (std::int64_t i = 0; i < at[k].size(); ++i) {
      const double x = at[k][i];
      // Two step lengths, whose errors of second order cancel.
      const auto difference = [&](double h) {
        at[k][i] = x + h;
        const double above = value(at);
        at[k][i] = x - h;
        const double below = value(at);
        return (above - below) / (2 * h);
      };
      constexpr double h = 2e-4;
      const double noise = (8 + test.ulp_max) * 2.2e-16 * magnitude / h;
      const double want = (4 * difference(h / 2) - difference(h)) / 3;
      at[k][i] = x;
      const double got = derivative[i];
      if (!(std::abs(got - want) <= 1e-6 * std::abs(want) + noise)) {
        std::ostringstream text;
        text.precision(12);
        text << which << " derivative by input " << k << " element " << i << " (" << x << ") is "
             << got << ", but differences give " << want;
        return text.str();
      }
    }
  }
  return {};
}

std::string check_gradients(const Case& test) {
  Generator random(7);
  const auto run = [&](const std::vector<Doubles>& at, bool leaves) {
    std::vector<Tensor> inputs;
    for (std::size_t k = 0; k < at.size(); ++k) {
      const Tensor x = upload(at[k], dtype_in(test.inputs[k], DType::float64));
      inputs.push_back(leaves && takes_gradient(test.inputs[k]) ? requires_grad(x) : x);
    }
    return inputs;
  };
  const auto leaves_of = [&](std::span<const Tensor> inputs) {
    std::vector<Tensor> leaves;
    for (std::size_t k = 0; k < inputs.size(); ++k)
      if (takes_gradient(test.inputs[k])) leaves.push_back(inputs[k]);
    return leaves;
  };
  const auto read_all = [](std::span<const Tensor> tensors, std::span<const Tensor> like) {
    std::vector<Doubles> all;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      all.push_back(tensors[i] ? read(tensors[i]) : zeros_of(like[i].shape()));
    return all;
  };

  const std::vector<Tensor> inputs = run(doubles_of(test), true);
  const std::vector<Tensor> leaves = leaves_of(inputs);
  const std::vector<Tensor> outputs = test.call(inputs);
  const std::vector<Tensor> weights = weights_for(outputs, random);
  const Tensor total = weighted(outputs, weights, test.linear);
  const std::vector<Tensor> first = grad(
      std::span(&total, 1),
      leaves,
      {},
      {.retain_graph = true, .create_graph = test.twice, .allow_unused = true});
  for (std::size_t i = 0; i < first.size(); ++i)
    if (first[i] && !(first[i].meta() == leaves[i].meta()))
      return "a gradient is " + to_string(first[i].meta()) + " for an input " +
             to_string(leaves[i].meta());
  const std::vector<Doubles> slopes = read_all(first, leaves);
  std::string wrong = compare_differences(
      test,
      slopes,
      magnitude_of(read_all(outputs, outputs), test.linear),
      [&](const std::vector<Doubles>& at) {
        return weighted(test.call(run(at, false)), weights, test.linear).item();
      },
      "first");
  if (!wrong.empty() || !test.twice) return wrong;

  // The same for the sum of the first derivatives, weighted again.
  const std::vector<Tensor> outer = weights_for(first, random);
  const auto slope = [&](std::span<const Tensor> derivatives) {
    return weighted(derivatives, outer);
  };
  const Tensor steepness = slope(first);
  if (!steepness || !steepness.requires_grad())
    return "the first derivative has no graph: say so if the op is linear";
  const std::vector<Tensor> second =
      grad(std::span(&steepness, 1), leaves, {}, {.retain_graph = true, .allow_unused = true});
  return compare_differences(
      test,
      read_all(second, leaves),
      magnitude_of(slopes),
      [&](const std::vector<Doubles>& at) {
        const std::vector<Tensor> again = run(at, true);
        const Tensor value = weighted(test.call(again), weights, test.linear);
        return slope(grad(std::span(&value, 1), leaves_of(again), {}, {.allow_unused = true}))
            .item();
      },
      "second");
}

std::vector<std::byte> bytes_of(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.meta().bytes());
  tensor.download(tensor.dtype(), bytes);
  return bytes;
}

/// The case define-by-run and as a program, with its first and second derivatives: the bits must
/// not tell which it was.
std::string check_doors(const Case& test, DType dtype) {
  Generator random(13);
  std::vector<Tensor> given;
  std::vector<Parameter> parameters;
  std::vector<Meta> metas;
  for (const Input& input : test.inputs) {
    given.push_back(upload(input.elements, dtype_in(input, dtype)));
    metas.push_back(given.back().meta());
    parameters.push_back(
        test.differentiable && takes_gradient(input) ? Parameter(given.back()) : Parameter());
  }
  std::vector<Tensor> weights;
  std::vector<Tensor> outer;
  const auto weigh = [&](std::span<const Tensor> tensors,
                         std::vector<Tensor>& factors,
                         bool squared) {
    // Drawn by the first door, and used again by the second.
    if (factors.empty())
      for (const Tensor& x : tensors)
        factors.push_back(
            x && is_floating(x.dtype()) ? upload(draw(random, x.shape(), 0.5, 1.5).elements, dtype)
                                        : Tensor());
    return weighted(tensors, factors, squared);
  };
  const auto add_defined = [](std::vector<Tensor>& to, std::span<const Tensor> from) {
    for (const Tensor& x : from)
      if (x) to.push_back(x);
  };
  const GraphFunction everything = [&](std::span<const Tensor> in) {
    std::vector<Tensor> inputs;
    std::vector<Tensor> leaves;
    for (std::size_t k = 0; k < in.size(); ++k) {
      inputs.push_back(parameters[k] ? parameters[k].tensor() : in[k]);
      if (parameters[k]) leaves.push_back(inputs.back());
    }
    std::vector<Tensor> results = test.call(inputs);
    if (leaves.empty()) return results;
    const Tensor total = weigh(results, weights, test.linear);
    const GradOptions options{.retain_graph = true, .create_graph = true, .allow_unused = true};
    const std::vector<Tensor> first = grad(std::span(&total, 1), leaves, {}, options);
    add_defined(results, first);
    if (!test.twice) return results;
    const Tensor steepness = weigh(first, outer, false);
    if (!steepness || !steepness.requires_grad()) return results;
    add_defined(
        results,
        grad(
            std::span(&steepness, 1),
            leaves,
            {},
            {.retain_graph = true, .create_graph = true, .allow_unused = true}));
    return results;
  };
  Scope& scope = Scope::current();
  scope.seed(3);
  const std::vector<Tensor> live = everything(given);
  Program program = Program::capture(everything, metas);
  const std::string listing = program.to_string();
  for (const OpInfo* info : all_ops())
    if (listing.find(' ' + std::string(info->name) + ' ') != std::string::npos ||
        listing.find(' ' + std::string(info->name) + '(') != std::string::npos)
      covered().emplace(info->name);
  // The second step is one that a device may have recorded, and replays.
  for (const char* step : {"first", "second"}) {
    scope.seed(3);
    const std::vector<Tensor> replayed = program.run(given);
    if (live.size() != replayed.size()) return "a program has another number of outputs";
    for (std::size_t i = 0; i < live.size(); ++i) {
      const std::string output = "output " + std::to_string(i) + " of its " + step + " step";
      if (!(live[i].meta() == replayed[i].meta()))
        return "a program's " + output + " is " + to_string(replayed[i].meta());
      if (bytes_of(live[i]) != bytes_of(replayed[i]))
        return "a program gives other bits in " + output;
    }
  }
  return {};
}

#ifdef TROUPE_VULKAN

/// Derivatives on the GPU in float32, against those of the CPU in float64, which are held against
/// differences elsewhere. Errors count relative to the largest derivative of an input: sums of
/// terms of that size are rounded on the way.
constexpr double gradient_error = 2e-4;

std::vector<Doubles> derivatives(const Case& test, DType dtype) {
  Generator random(7);
  std::vector<Tensor> inputs;
  std::vector<Tensor> leaves;
  for (const Input& input : test.inputs) {
    inputs.push_back(upload(input.elements, dtype_in(input, dtype)));
    if (!takes_gradient(input)) continue;
    inputs.back() = requires_grad(inputs.back());
    leaves.push_back(inputs.back());
  }
  std::vector<Tensor> outputs = test.call(inputs);
  std::vector<Tensor> weights;
  for (const Tensor& x : outputs) {
    const Doubles drawn = draw(random, x.shape(), 0.5, 1.5).elements;
    weights.push_back(is_floating(x.dtype()) ? upload(drawn, x.dtype()) : Tensor());
  }
  const Tensor total = weighted(outputs, weights, test.linear);
  std::vector<Doubles> all;
  if (!total) return all;
  const std::vector<Tensor> first = grad(std::span(&total, 1), leaves, {}, {.allow_unused = true});
  for (std::size_t i = 0; i < first.size(); ++i)
    all.push_back(first[i] ? read(first[i]) : zeros_of(leaves[i].shape()));
  return all;
}

std::string check_gradients_against_cpu(const Case& test, Scope& cpu) {
  const std::vector<Doubles> got = derivatives(test, DType::float32);
  std::vector<Doubles> want;
  {
    const Scope on_cpu(cpu.system(), cpu.device());
    want = derivatives(test, DType::float64);
  }
  for (std::size_t k = 0; k < got.size(); ++k) {
    double largest = 1e-3;
    for (const double x : want[k].data)
      if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
    for (std::int64_t i = 0; i < got[k].size(); ++i) {
      const double a = got[k][i];
      const double b = want[k][i];
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      if (!(std::abs(a - b) <= gradient_error * largest)) {
        std::ostringstream text;
        text.precision(9);
        text << "derivative by float input " << k << " element " << i << " is " << a
             << ", on the CPU " << b;
        return text.str();
      }
    }
  }
  return {};
}

/// The Vulkan device under test, made once: shaders are compiled for a device.
struct OnVulkan {
  std::string complaints;  // of the validation layer
  System system{System::Options{.threads = 2, .log = [this](LogLevel, std::string_view line) {
                                  if (complaints.size() < 4000) complaints.append(line) += "\n";
                                }}};
  Device& cpu{cpu::attach(system)};
  Device& device{test::attach_vulkan(system)};
};

/// Bounds on a GPU: its own division and square root may be off by 2.5 units in the last place, and
/// what is added up in another order than the reference adds its own.
constexpr double gpu_ulp_factor = 2;
constexpr double gpu_ulp_more = 4;

std::string check_on_vulkan(Case test) {
  static OnVulkan vulkan;
  test.ulp_max = test.ulp_max * gpu_ulp_factor + (test.ulp_max > 0 ? gpu_ulp_more : 0);
  std::string wrong;
  const auto step = [&](auto&& what) {
    if (!wrong.empty()) return;
    try {
      wrong = what();
    } catch (const Error& error) {
      // What the device lacks is refused by name; never anything in float32.
      if (error.code() != ErrorCode::unsupported) wrong = error.what();
      if (test.dtypes.front() == DType::float32) wrong = error.what();
    }
  };
  const std::vector<DType> dtypes = test.dtypes;
  for (const DType dtype : dtypes) {
    const Scope scope(vulkan.system, vulkan.device);
    test.dtypes = {dtype};
    step([&] { return check_values(test, dtype); });
  }
  test.dtypes = dtypes;
  const bool single = std::find(dtypes.begin(), dtypes.end(), DType::float32) != dtypes.end();
  if (single) {
    Scope on_cpu(vulkan.system, vulkan.cpu);
    Scope scope(vulkan.system, vulkan.device);
    test.dtypes = {DType::float32};
    if (test.differentiable) step([&] { return check_gradients_against_cpu(test, on_cpu); });
    if (test.captures) step([&] { return check_doors(test, DType::float32); });
  }
  if (wrong.empty() && test::validation_messages(vulkan.device) != 0)
    wrong = "the validation layer complained: " + vulkan.complaints;
  return wrong.empty() ? wrong
                       : test.name + " on " + std::string(vulkan.device.name()) + ": " + wrong;
}

#endif

#ifdef TROUPE_NET

/// The processor of another system, over TCP, as the device under test. Its kernels are those that
/// have been held against differences already: what is new are values, and both doors with first
/// and second derivatives.
std::string check_on_peer(const Case& test) {
  static testing::LendingNode there("there");
  static testing::BorrowingNode here(there);
  const OnDevice on(*here.remote);
  std::string wrong;
  try {
    for (const DType dtype : test.dtypes)
      if (wrong.empty()) wrong = check_values(test, dtype);
    if (wrong.empty() && test.captures) wrong = check_doors(test, test.dtypes.front());
  } catch (const Error& error) {
    wrong = error.what();
  }
  return wrong.empty() ? wrong : test.name + " on a peer: " + wrong;
}

#endif

}  // namespace

std::string check(const Case& test) {
#ifdef TROUPE_VULKAN
  if (test::on_vulkan()) return check_on_vulkan(test);
#endif
#ifdef TROUPE_NET
  const char* const device = std::getenv("TROUPE_TEST_DEVICE");
  if (device && std::string_view(device) == "there/cpu") return check_on_peer(test);
#endif
  for (const std::string_view set : cpu::instruction_sets()) {
    System system(System::Options{.threads = 2});
    cpu::attach(system, {.instruction_set = std::string(set), .poison_memory = true});
    Scope scope(system);
    std::string wrong;
    try {
      for (const DType dtype : test.dtypes)
        if (wrong.empty()) wrong = check_values(test, dtype);
      if (wrong.empty() && test.differentiable) wrong = check_gradients(test);
      if (wrong.empty() && test.captures) wrong = check_doors(test, test.dtypes.front());
    } catch (const Error& error) {
      wrong = error.what();
    }
    if (!wrong.empty()) return test.name + " on " + std::string(set) + ": " + wrong;
  }
  return {};
}

}  // namespace troupe::conformance
