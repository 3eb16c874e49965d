#include "both.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <vector>

// Goal: ops that move elements, draw random numbers, pool or update weights give on a GPU what they
// give on the CPU: the same bits where nothing is rounded differently, else nearly so. Method: the
// same calls on both devices, at sizes and shapes that take every way through the kernels; the
// other tests here hold them against plain references at small ones.

using namespace troupe;
using conformance::both;

namespace {

using Calls = std::function<std::vector<Tensor>()>;

struct Result {
  Meta meta;
  std::vector<std::byte> bytes;
};
std::vector<Result> results_on(Device& device, const Calls& calls) {
  Scope scope(both().system, device);
  scope.seed(7);
  std::vector<Result> results;
  for (const Tensor& tensor : calls()) {
    results.push_back({tensor.meta(), std::vector<std::byte>(tensor.meta().bytes())});
    tensor.download(tensor.dtype(), results.back().bytes);
  }
  return results;
}

template <class T>
T element(const Result& result, std::size_t i) {
  T x;
  std::memcpy(&x, result.bytes.data() + i * sizeof(T), sizeof(T));
  return x;
}

/// Units in the last place between two numbers of a floating result; `scale`: differences count
/// relative to at least this magnitude.
template <class T>
double distance(const Result& a, const Result& b, std::size_t i, double scale) {
  const T x = element<T>(a, i);
  const T y = element<T>(b, i);
  if (x == y || (std::isnan(x) && std::isnan(y))) return 0;
  const T size = std::max(static_cast<T>(scale), std::max(std::abs(x), std::abs(y)));
  const T ulp = std::nextafter(size, std::numeric_limits<T>::infinity()) - size;
  return std::abs(static_cast<double>(x) - static_cast<double>(y)) / static_cast<double>(ulp);
}

/// Empty, or which element differs and how. An `ulp_max` of 0 asks for equal bits.
std::string compare(const Calls& calls, double ulp_max = 0, double scale = 0) {
  const std::vector<Result> want = results_on(both().cpu, calls);
  const std::vector<Result> got = results_on(both().gpu, calls);
  std::ostringstream text;
  text.precision(17);
  for (std::size_t k = 0; k < want.size(); ++k) {
    if (!(want[k].meta == got[k].meta)) return "result " + std::to_string(k) + " has another shape";
    if (want[k].bytes == got[k].bytes) continue;
    const std::size_t width = size_of(want[k].meta.dtype);
    for (std::size_t i = 0; i < static_cast<std::size_t>(want[k].meta.elements()); ++i) {
      if (std::memcmp(&want[k].bytes[i * width], &got[k].bytes[i * width], width) == 0) continue;
      double apart = std::numeric_limits<double>::infinity();
      text.str("");
      text << "result " << k << " element " << i << " of " << to_string(want[k].meta);
      if (want[k].meta.dtype == DType::float32) {
        apart = distance<float>(want[k], got[k], i, scale);
        text << " is " << element<float>(got[k], i) << ", not " << element<float>(want[k], i);
      } else if (want[k].meta.dtype == DType::float64) {
        apart = distance<double>(want[k], got[k], i, scale);
        text << " is " << element<double>(got[k], i) << ", not " << element<double>(want[k], i);
      } else {
        text << std::hex;
        for (std::size_t b = 0; b < width; ++b)
          text << ' ' << static_cast<int>(got[k].bytes[i * width + b]) << '/'
               << static_cast<int>(want[k].bytes[i * width + b]);
      }
      if (ulp_max == 0 || !(apart <= ulp_max)) return text.str();
    }
  }
  if (const auto messages = test::validation_messages(both().gpu))
    return std::to_string(messages) + " validation messages; see the log";
  return {};
}

/// Random elements of any dtype: the bits of small numbers for bool, any bits for the others.
Tensor noise(const Shape& shape, DType dtype, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  const Meta meta{dtype, shape};
  std::vector<std::byte> bytes(meta.bytes());
  for (std::byte& b : bytes)
    b = static_cast<std::byte>(dtype == DType::boolean ? random() & 1 : random());
  return Tensor::upload(meta, bytes);
}
/// Numbers from [−1, 1), rounded to float32.
Tensor numbers(const Shape& shape, DType dtype = DType::float32, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> even(-1, 1);
  std::vector<double> all(static_cast<std::size_t>(elements_in(shape)));
  for (double& x : all) x = even(random);
  return cast(Tensor::copy_of<double>(all, shape), dtype);
}
/// Whole numbers from [0, high): half of them the same few.
Tensor indices(const Shape& shape, std::int64_t high, DType dtype = DType::int64) {
  std::mt19937_64 random(3);
  std::vector<std::int64_t> all(static_cast<std::size_t>(elements_in(shape)));
  for (std::int64_t& x : all)
    x = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high)) /
        (random() % 2 ? 1 : std::max<std::int64_t>(high / 4, 1));
  return cast(Tensor::copy_of<std::int64_t>(all, shape), dtype);
}

constexpr DType all_dtypes[] = {
    DType::float32,
    DType::float64,
    DType::int32,
    DType::int64,
    DType::uint8,
    DType::boolean,
    DType::bfloat16,
    DType::float16};
constexpr DType floats[] = {DType::float32, DType::float64};

/// The outputs of an op called by its attributes.
template <class Op>
std::vector<Tensor> call(const Op& op, const std::vector<Tensor>& inputs, std::size_t outputs) {
  std::vector<Operand> operands(inputs.begin(), inputs.end());
  std::vector<Tensor> results(outputs);
  apply(make_op(op), operands, results);
  return results;
}

/// dx for a gradient of drawn numbers.
Tensor gradient(const Tensor& x, const std::function<Tensor(const Tensor&)>& function) {
  const Tensor leaf = requires_grad(x);
  const Tensor total = sum(function(leaf) * numbers(function(x).shape(), x.dtype(), 9));
  return grad(std::span(&total, 1), std::span(&leaf, 1))[0];
}

}  // namespace

TEST_CASE("copies and their kin give the CPU's bits on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  for (const DType dtype : all_dtypes) {
    INFO(name_of(dtype));
    CHECK(compare([&] {
            const Tensor x = noise({2, 3, 2, 2, 3, 2, 4, 2}, dtype);
            const Tensor rows = noise({37, 64}, dtype);
            const Tensor long_one = noise({70'001}, dtype);
            const Tensor planes = noise({3, 70, 2, 45}, dtype);
            return std::vector{
                clone(x),
                contiguous(permute(x, {7, 0, 3, 5, 2, 6, 1, 4})),
                contiguous(permute(x, {0, 1, 2, 3, 4, 5, 7, 6})),
                contiguous(expand(slice(x, 6, 1, 2), {2, 3, 2, 2, 3, 2, 4, 2})),
                contiguous(slice(slice(rows, 0, 3, 30, 2), 1, 16, 48)),
                contiguous(slice(rows, 1, 1, 64, 3)),
                contiguous(permute(rows, {1, 0})),
                contiguous(permute(slice(planes, 1, 1), {0, 3, 2, 1})),
                contiguous(permute(planes, {3, 2, 1, 0})),
                contiguous(permute(slice(planes, 3, 5, 40), {2, 3, 0, 1})),
                contiguous(slice(long_one, 0, 1)),
                contiguous(slice(long_one, 0, 16, 69'000)),
                clone(slice(noise({1}, dtype), 0, 1))};
          }) == "");
    CHECK(compare([&] {
            std::vector<Tensor> parts;
            for (std::int64_t i = 0; i < 8; ++i)
              parts.push_back(noise({3, i % 3, 5}, dtype, static_cast<unsigned>(i)));
            return std::vector{
                concat(parts, 1),
                concat({noise({2, 6}, dtype), slice(noise({4, 7}, dtype), 1, 1)}, 0),
                concat({noise({6, 2}, dtype), noise({6, 3}, dtype, 2)}, -1),
                pad(noise({3, 4, 5}, dtype), {1, 2, 0, 0, 3, 1}, PadMode::constant, 0),
                pad(noise({3, 4, 5}, dtype), {-1, 2, -2, 0, 3, -1}, PadMode::constant, 0),
                pad(noise({2, 3, 4, 5, 2}, dtype), {0, 0, 0, 0, 2, 1}, PadMode::constant, 0),
                pad(noise({3, 4}, dtype), {0, 0, 2, -1}, PadMode::constant, 0)};
          }) == "");
    CHECK(compare([&] {
            SliceBackward op;
            op.slice.dim = 1;
            op.slice.start = 2;
            op.slice.step = 3;
            op.shape = {3, 13, 4};
            return std::vector{apply(op, noise({3, 4, 4}, dtype))};
          }) == "");
    if (is_computable(dtype))
      CHECK(compare([&] {
              return std::vector{
                  pad(noise({3, 5}, dtype), {1, 1, 1, 1}, PadMode::constant, 1),
                  pad(numbers({6}, dtype), {2, 3}, PadMode::constant, 7)};
            }) == "");
  }
}

TEST_CASE("casts give the CPU's bits on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  for (const DType from : all_dtypes)
    for (const DType to : all_dtypes) {
      INFO(name_of(from) << " to " << name_of(to));
      // Any bits, but for floating numbers on the way to integers: only those that fit are defined.
      const bool any = !is_floating(from) || is_floating(to) || to == DType::boolean;
      CHECK(compare([&] {
              Tensor x = any ? noise({50'000}, from) : numbers({50'000}, from);
              // A NaN's payload is nobody's promise.
              if (is_floating(from) && is_floating(to)) {
                const Tensor wide = cast(x, DType::float64);
                x = cast(where(isnan(wide), 0, wide), from);
              }
              std::vector<Tensor> all{cast(x, to)};
              if (!any && to != DType::uint8) {
                const double scale = to == DType::int32 ? 0x1.fp30 : 0x1.fp62;
                const double most = from == DType::float16 ? 65504 : scale;
                all.push_back(cast(cast(numbers({50'000}, DType::float64) * most, from), to));
              }
              return all;
            }) == "");
    }
}

TEST_CASE("lookups give the CPU's bits on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  for (const DType which : {DType::int64, DType::int32}) {
    INFO("by " << name_of(which));
    for (const DType dtype : all_dtypes) {
      INFO(name_of(dtype));
      CHECK(compare([&] {
              const Tensor x = noise({5, 40, 6}, dtype);
              return std::vector{
                  gather(x, 1, indices({4, 70, 6}, 40, which)),
                  gather(x, 0, indices({9, 30, 5}, 5, which)),
                  gather(noise({300}, dtype), 0, indices({1000}, 300, which)),
                  index_select(x, 0, indices({11}, 5, which)),
                  index_select(x, 1, indices({33}, 40, which)),
                  index_select(x, 2, indices({7}, 6, which)),
                  one_hot(indices({9, 3}, 13, which), 13)};
            }) == "");
    }
    for (const DType dtype : floats) {
      INFO(name_of(dtype));
      CHECK(
          compare([&] {
            std::vector<Tensor> all;
            // Short lines; long ones, few and many.
            for (const auto& [index, shape] : std::vector<std::pair<Shape, Shape>>{
                     {{64, 1, 5}, {64, 100, 6}},
                     {{2, 3000, 3}, {2, 50, 4}},
                     {{20, 100, 300}, {20, 10, 300}}}) {
              GatherBackward op;
              op.dim = 1;
              op.input_shape = shape;
              all.push_back(apply(op, numbers(index, dtype), indices(index, shape[1], which)));
            }
            GatherBackward flat;
            flat.input_shape = {777};
            all.push_back(apply(flat, numbers({20'000}, dtype), indices({20'000}, 777, which)));
            // By walks and by sorting.
            for (const std::int64_t count : {3, 5000}) {
              IndexSelectBackward op;
              op.dim = 1;
              op.input_shape = {3, 90, 17};
              all.push_back(apply(op, numbers({3, count, 17}, dtype), indices({count}, 90, which)));
              EmbeddingBackward table;
              table.rows = 3000;
              table.padding_idx = 5;
              all.push_back(
                  apply(table, numbers({count, 8}, dtype), indices({count}, 3000, which)));
            }
            const Tensor weight = numbers({50, 12}, dtype);
            all.push_back(embedding(indices({7, 9}, 50, which), weight, 2));
            return all;
          }) == "");
    }
  }
}

TEST_CASE("an index out of range is an error on a GPU too", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  const auto refused = [](const std::function<Tensor()>& function) {
    // A device of its own: the fault stays with it.
    System system(System::Options{.threads = 1});
    const Scope scope(system, test::attach_vulkan(system));
    try {
      (void)function().to_vector<float>();
      return std::string("taken");
    } catch (const Error& error) {
      return error.code() == ErrorCode::invalid_argument ? error.op() : "another error";
    }
  };
  for (const std::int64_t bad : {std::int64_t{50}, std::int64_t{-1}, std::int64_t{1} << 32}) {
    const std::vector<std::int64_t> list{1, bad};
    const auto index = [&] { return Tensor::copy_of<std::int64_t>(list, {2}); };
    CHECK(refused([&] { return index_select(numbers({50, 2}), 0, index()); }) == "index_select");
    CHECK(refused([&] { return embedding(index(), numbers({50, 2})); }) == "embedding");
    CHECK(refused([&] { return gather(numbers({50}), 0, index()); }) == "gather");
    CHECK(refused([&] { return cast(one_hot(index(), 50), DType::float32); }) == "one_hot");
    CHECK(refused([&] {
            return apply(EmbeddingBackward{{}, 50, -1}, numbers({2, 3}), index());
          }) == "embedding_backward");
  }
}

TEST_CASE("an index out of range is told with the line of its call", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  const bool program = GENERATE(false, true);
  System system(System::Options{.threads = 1});
  const Scope scope(system, test::attach_vulkan(system));
  const auto index = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{1, 50}, {2});
  const Tensor x = numbers({50});
  std::uint32_t line = 0;
  const auto look_up = [&](std::span<const Tensor> inputs) {
    (void)gather(x, 0, Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{1}, {1}));
    line = __LINE__ + 1;
    return std::vector<Tensor>{gather(x, 0, inputs[0])};
  };
  try {
    if (program) {
      const Meta meta = index.meta();
      (void)Program::capture(look_up, {&meta, 1}).run({&index, 1})[0].to_vector<float>();
    } else {
      (void)look_up({&index, 1})[0].to_vector<float>();
    }
    FAIL("was taken");
  } catch (const Error& error) {
    CHECK(error.op() == "gather");
    CHECK(error.file().ends_with("agreement_test.cpp"));
    CHECK(error.line() == line);
  }
}

TEST_CASE("pooling gives the CPU's results on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  for (const DType dtype : floats) {
    INFO(name_of(dtype));
    CHECK(
        compare([&] {
          const Tensor x = numbers({2, 3, 40, 33}, dtype);
          const float nan = std::numeric_limits<float>::quiet_NaN();
          const Tensor holes = where(lt(x, -0.9), nan, x);
          std::vector<Tensor> all;
          for (const Tensor& input : {x, holes}) {
            all.push_back(max_pool2d(input, {2}));
            all.push_back(max_pool2d(input, {3, 2}, {2, 1}, {1, 1}, {1, 2}));
            all.push_back(max_pool2d(input, {17}, {5}, {3}));
            all.push_back(max_pool2d(input, {3}, {3}, {1}, {1}, true));
          }
          all.push_back(gradient(x, [](const Tensor& t) { return max_pool2d(t, {2}); }));
          all.push_back(gradient(x, [](const Tensor& t) {
            return max_pool2d(t, {3, 2}, {2, 1}, {1, 1}, {1, 2});
          }));
          all.push_back(gradient(x, [](const Tensor& t) { return max_pool2d(t, {17}, {5}, {3}); }));
          all.push_back(
              gradient(x, [](const Tensor& t) { return max_pool2d(t, {3}, {3}, {1}, {1}, true); }));
          return all;
        }) == "");
    CHECK(
        compare(
            [&] {
              const Tensor x = numbers({2, 3, 40, 33}, dtype);
              std::vector<Tensor> all;
              const std::function<Tensor(const Tensor&)> ways[] = {
                  [](const Tensor& t) { return avg_pool2d(t, {2}); },
                  [](const Tensor& t) {
                    return avg_pool2d(t, {3, 5}, {2, 4}, {1, 2}, true);
                  },
                  [](const Tensor& t) {
                    return avg_pool2d(t, {3, 5}, {2, 4}, {1, 2}, true, false);
                  },
                  [](const Tensor& t) {
                    return avg_pool2d(t, {13, 30}, {9}, {4}, false, true, 7);
                  },
                  [](const Tensor& t) { return adaptive_avg_pool2d(t, {1}); },
                  [](const Tensor& t) {
                    return adaptive_avg_pool2d(t, {7, 50});
                  }};
              for (const auto& way : ways) {
                all.push_back(way(x));
                all.push_back(gradient(x, way));
              }
              return all;
            },
            4,
            4) == "");
  }
}

// Lines that one small subgroup, or two, hold in registers: in fours, of which some invocations
// have one less; and lines that begin at no multiple of 16 bytes.
TEST_CASE("lines held in registers give the CPU's results on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  for (const std::int64_t length : {36, 260}) {
    CAPTURE(length);
    CHECK(
        compare(
            [&] {
              const Tensor weight = numbers({length}, DType::float32, 2);
              const Tensor bias = numbers({length}, DType::float32, 3);
              const Tensor shifted =
                  reshape(slice(numbers({5 * length + 1}), 0, 1), Shape{5, length});
              const std::function<Tensor(const Tensor&)> ways[] = {
                  [](const Tensor& t) { return softmax(t * 8.0, 1); },
                  [&](const Tensor& t) { return layer_norm(t, {length}); },
                  [&](const Tensor& t) { return layer_norm(t, {length}, weight, bias); },
                  [&](const Tensor& t) { return rms_norm(t, {length}); },
                  [&](const Tensor& t) { return rms_norm(t, {length}, weight); }};
              std::vector<Tensor> all;
              for (const Tensor& x : {numbers({5, length}), shifted})
                for (const auto& way : ways) {
                  all.push_back(way(x));
                  all.push_back(gradient(x, way));
                }
              return all;
            },
            16,
            1) == "");
  }
}

TEST_CASE("random numbers are the CPU's on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  CHECK(compare([] {
          constexpr std::int64_t far = std::numeric_limits<std::int64_t>::min();
          std::vector<Tensor> all{
              randint(-5, 1000, {10'001}),
              randint(far, far + (std::int64_t{1} << 32), {101}),
              randint(-3, 4'000'000'000, {1001}),
              randint(5, 6, {3})};
          for (const DType dtype : floats) {
            all.push_back(rand({10'003}, dtype));
            all.push_back(uniform({3, 777}, -0.1, 17.3, dtype));
            for (const double p : {0.0, 0.3, 1.0})
              all.push_back(dropout(numbers({10'003}, dtype), p));
          }
          return all;
        }) == "");
  CHECK(
      compare(
          [] {
            return std::vector{
                randn({100'003}),
                normal(3, 0.2, {101}),
                normal(1.5, 0, {3}),
                randn({100'003}, DType::float64)};
          },
          16,  // a GPU fuses products and sums of doubles
          0.01) == "");
}

TEST_CASE("updates give the CPU's results on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  // The states of the steps before go in, so that what differs may grow a little.
  const auto steps = [](const auto& op, std::size_t states, DType dtype) {
    std::vector<Tensor> values{numbers({1003}, dtype)};
    for (std::size_t i = 0; i < states; ++i) values.push_back(zeros({1003}, dtype));
    std::vector<Tensor> all;
    for (const double step : {1.0, 2.0, 3.0, 1000.0, 100'000.0}) {
      std::vector<Tensor> inputs = values;
      inputs.push_back(numbers({1003}, dtype, static_cast<unsigned>(step)));
      const double scalars[] = {0.013 / step, step};
      inputs.push_back(Tensor::copy_of<double>(scalars, {2}));
      values = call(op, inputs, states + 1);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  for (const DType dtype : floats) {
    INFO(name_of(dtype));
    for (const int way : {0, 1, 2, 3, 4}) {
      INFO("way " << way);
      CHECK(
          compare(
              [&] {
                SgdUpdate op;
                op.momentum = way > 0 ? 0.9 : 0;
                op.dampening = way == 1 ? 0.3 : 0;
                op.weight_decay = way % 2 ? 0.01 : 0;
                op.nesterov = way > 2;
                op.maximize = way == 4;
                return steps(op, way > 0 ? 1 : 0, dtype);
              },
              8,
              0.25) == "");
      CHECK(
          compare(
              [&] {
                AdamUpdate op;
                op.weight_decay = way % 2 ? 0.01 : 0;
                op.decoupled = way == 3;
                op.amsgrad = way > 1;
                op.maximize = way == 2;
                if (way == 4) op.beta1 = 0;
                return steps(op, op.amsgrad ? 3 : 2, dtype);
              },
              16,
              0.25) == "");
    }
  }
}
