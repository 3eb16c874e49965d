#include "case.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/philox.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace troupe;
using namespace troupe::conformance;

namespace {

/// Indices along an axis of an element's place, and back.
Dims index_of(const Shape& shape, std::int64_t place) {
  Dims index = shape;
  for (std::size_t d = shape.size(); d-- > 0;) {
    index[d] = place % shape[d];
    place /= shape[d];
  }
  return index;
}
std::int64_t place_of(const Shape& shape, const Dims& index) {
  std::int64_t place = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) place = place * shape[d] + index[d];
  return place;
}

const std::vector<DType> with_integers{
    DType::float32, DType::float64, DType::int32, DType::int64, DType::uint8};

}  // namespace

TEST_CASE("gather picks along an axis", "[conformance]") {
  Generator random(1);
  struct Choice {
    Shape x, index;
    std::int64_t dim;
  };
  std::vector<Choice> choices{
      {{5}, {7}, 0}, {{3, 4}, {2, 4}, 0}, {{3, 4}, {3, 6}, -1}, {{2, 3, 4}, {2, 5, 3}, 1}};
  for (std::size_t rank = 1; rank <= 4; ++rank) {
    Choice choice{draw_shape(random, rank, 5), {}, static_cast<std::int64_t>(random() % rank)};
    choice.index = choice.x;
    for (std::int64_t& size : choice.index)
      size = 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(size));
    choice.index[static_cast<std::size_t>(choice.dim)] = 6;
    choices.push_back(choice);
  }
  for (const Choice& choice : choices) {
    const std::size_t axis = normalize_axis(choice.dim, choice.x.size());
    Case test{"gather " + to_string(choice.x)};
    test.inputs = {
        draw(random, choice.x),
        draw_whole(random, choice.index, DType::int64, 0, choice.x[axis] - 1)};
    test.call = [choice](std::span<const Tensor> in) {
      return std::vector{gather(in[0], choice.dim, in[1])};
    };
    test.reference = [choice, axis](std::span<const Doubles> in) {
      Doubles y = zeros_of(choice.index);
      for (std::int64_t i = 0; i < y.size(); ++i) {
        Dims at = index_of(choice.index, i);
        at[axis] = static_cast<std::int64_t>(in[1][i]);
        y[i] = in[0][place_of(choice.x, at)];
      }
      return std::vector{y};
    };
    test.ulp_max = 0;
    test.linear = true;
    CHECK(check(test) == "");
  }
}

TEST_CASE("index_select and embedding look slices up", "[conformance]") {
  Generator random(2);
  for (const std::int64_t dim : {0, 1, -1}) {
    const Shape shape{3, 4, 2};
    const std::size_t axis = normalize_axis(dim, 3);
    Case test{"index_select along " + std::to_string(dim)};
    test.inputs = {draw(random, shape), draw_whole(random, {5}, DType::int32, 0, shape[axis] - 1)};
    test.call = [dim](std::span<const Tensor> in) {
      return std::vector{index_select(in[0], dim, in[1])};
    };
    test.reference = [=](std::span<const Doubles> in) {
      Shape out = shape;
      out[axis] = 5;
      Doubles y = zeros_of(out);
      for (std::int64_t i = 0; i < y.size(); ++i) {
        Dims at = index_of(out, i);
        at[axis] = static_cast<std::int64_t>(in[1][at[axis]]);
        y[i] = in[0][place_of(shape, at)];
      }
      return std::vector{y};
    };
    test.ulp_max = 0;
    test.linear = true;
    CHECK(check(test) == "");
  }
  Case test{"embedding"};
  test.inputs = {draw_whole(random, {2, 5}, DType::int64, 0, 3), draw(random, {4, 3})};
  test.call = [](std::span<const Tensor> in) { return std::vector{embedding(in[0], in[1])}; };
  test.reference = [](std::span<const Doubles> in) {
    Doubles y = zeros_of({2, 5, 3});
    for (std::int64_t i = 0; i < y.size(); ++i)
      y[i] = in[1][static_cast<std::int64_t>(in[0][i / 3]) * 3 + i % 3];
    return std::vector{y};
  };
  test.ulp_max = 0;
  test.linear = true;
  CHECK(check(test) == "");
}

TEST_CASE("one_hot writes ones", "[conformance]") {
  Generator random(3);
  Case test{"one_hot", {draw_whole(random, {2, 3}, DType::int64, 0, 3)}};
  test.call = [](std::span<const Tensor> in) {
    return std::vector{one_hot(in[0], 4), one_hot(in[0])};
  };
  test.inputs[0].elements[0] = 3;
  test.reference = [](std::span<const Doubles> in) {
    Doubles y = zeros_of({2, 3, 4});
    for (std::int64_t i = 0; i < 6; ++i) y[i * 4 + static_cast<std::int64_t>(in[0][i])] = 1;
    return std::vector{y, y};
  };
  test.differentiable = false;
  test.captures = false;  // without a number it waits for the data
  CHECK(check(test) == "");
  test.call = [](std::span<const Tensor> in) { return std::vector{one_hot(in[0], 4)}; };
  test.reference = [whole = test.reference](std::span<const Doubles> in) {
    return std::vector{whole(in)[0]};
  };
  test.captures = true;
  CHECK(check(test) == "");
}

TEST_CASE("concat, stack and split fit together", "[conformance]") {
  Generator random(4);
  for (const std::int64_t dim : {0, 1, -1}) {
    const std::size_t axis = normalize_axis(dim, 3);
    Case test{"concat along " + std::to_string(dim)};
    // More than one call takes, so that a tree is made.
    for (std::int64_t k = 0; k < 11; ++k) {
      Shape shape{2, 1, 2};
      shape[axis] = k % 3;
      test.inputs.push_back(draw_whole(random, shape, DType::float64, 0, 99));
    }
    test.call = [dim](std::span<const Tensor> in) { return std::vector{concat(in, dim)}; };
    test.reference = [axis](std::span<const Doubles> in) {
      Shape out = in[0].shape;
      for (std::size_t k = 1; k < in.size(); ++k) out[axis] += in[k].shape[axis];
      Doubles y = zeros_of(out);
      std::int64_t start = 0;
      for (const Doubles& x : in) {
        for (std::int64_t i = 0; i < x.size(); ++i) {
          Dims at = index_of(x.shape, i);
          at[axis] += start;
          y[place_of(out, at)] = x[i];
        }
        start += x.shape[axis];
      }
      return std::vector{y};
    };
    test.ulp_max = 0;
    test.linear = true;
    test.dtypes = with_integers;
    CHECK(check(test) == "");
  }
  Case test{"stack and split", {draw(random, {2, 3}), draw(random, {2, 3})}};
  test.call = [](std::span<const Tensor> in) {
    std::vector<Tensor> out{stack(in, 1)};
    for (const Tensor& piece : split(in[0], 2, 1)) out.push_back(piece);
    for (const Tensor& piece : chunk(in[1], 2, 0)) out.push_back(piece);
    return out;
  };
  test.reference = [](std::span<const Doubles> in) {
    Doubles stacked = zeros_of({2, 2, 3});
    for (std::int64_t i = 0; i < 12; ++i) stacked[i] = in[i / 3 % 2][i / 6 * 3 + i % 3];
    const auto& a = in[0].data;
    const auto& b = in[1].data;
    return std::vector<Doubles>{
        stacked,
        {{2, 2}, {a[0], a[1], a[3], a[4]}},
        {{2, 1}, {a[2], a[5]}},
        {{1, 3}, {b[0], b[1], b[2]}},
        {{1, 3}, {b[3], b[4], b[5]}}};
  };
  test.ulp_max = 0;
  test.linear = true;
  CHECK(check(test) == "");
}

TEST_CASE("pad adds a border or takes one away", "[conformance]") {
  Generator random(5);
  struct Choice {
    Shape x;
    std::vector<std::int64_t> pads;
  };
  for (const Choice& choice : std::vector<Choice>{
           {{4}, {1, 2}},
           {{2, 3}, {1, 0, 0, 2}},
           {{3, 4}, {-1, 2, 1, -2}},
           {{2, 2, 3}, {0, -3}},
           {{2, 3, 2}, {2, 1}}}) {
    Case test{"pad " + to_string(choice.x)};
    test.inputs = {draw_whole(random, choice.x, DType::float64, 0, 99)};
    test.call = [choice](std::span<const Tensor> in) {
      return std::vector{pad(in[0], choice.pads, PadMode::constant, 7)};
    };
    test.reference = [choice](std::span<const Doubles> in) {
      const std::size_t rank = choice.x.size();
      Shape out = choice.x;
      Dims before = Dims::filled(rank, 0);
      for (std::size_t k = 0; k < choice.pads.size(); k += 2) {
        before[rank - 1 - k / 2] = choice.pads[k];
        out[rank - 1 - k / 2] += choice.pads[k] + choice.pads[k + 1];
      }
      Doubles y = zeros_of(out);
      for (std::int64_t i = 0; i < y.size(); ++i) {
        Dims at = index_of(out, i);
        bool inside = true;
        for (std::size_t d = 0; d < rank; ++d) {
          at[d] -= before[d];
          inside = inside && at[d] >= 0 && at[d] < choice.x[d];
        }
        y[i] = inside ? in[0][place_of(choice.x, at)] : 7;
      }
      return std::vector{y};
    };
    test.ulp_max = 0;
    test.linear = true;
    test.dtypes = with_integers;
    CHECK(check(test) == "");
  }
}

TEST_CASE("cumsum adds along an axis", "[conformance]") {
  Generator random(6);
  std::vector<std::pair<Shape, std::int64_t>> choices{
      {{6}, 0}, {{3, 4}, 0}, {{3, 4}, 1}, {{2, 3, 2}, -2}};
  for (std::size_t rank = 1; rank <= 4; ++rank)
    choices.emplace_back(draw_shape(random, rank, 5), static_cast<std::int64_t>(random() % rank));
  for (const auto& [shape, dim] : choices) {
    const std::size_t axis = normalize_axis(dim, shape.size());
    Case test{"cumsum " + to_string(shape), {draw(random, shape)}};
    test.call = [dim = dim](std::span<const Tensor> in) { return std::vector{cumsum(in[0], dim)}; };
    test.reference = [axis](std::span<const Doubles> in) {
      Doubles y = in[0];
      const std::int64_t inner = contiguous_strides(y.shape)[axis];
      for (std::int64_t i = 0; i < y.size(); ++i)
        if (i / inner % y.shape[axis] > 0) y[i] += y[i - inner];
      return std::vector{y};
    };
    test.scale = 8;
    test.linear = true;
    CHECK(check(test) == "");
  }
}

TEST_CASE("an index out of range is an error that names its place", "[conformance]") {
  System system(System::Options{.threads = 1});
  cpu::attach(system);
  Scope scope(system);
  const std::vector<double> numbers(6);
  const std::vector<std::int64_t> indices{0, 3};
  const Tensor x = Tensor::copy_of(std::span<const double>(numbers), {3, 2});
  const Tensor index = Tensor::copy_of(std::span<const std::int64_t>(indices), {2});
  const auto refused = [](const std::function<Tensor()>& call) {
    try {
      (void)call().value();
      return std::string("taken");
    } catch (const Error& error) {
      return error.message().substr(0, error.message().find(" (inputs: "));
    }
  };
  CHECK(refused([&] {
          return index_select(x, 0, index);
        }) == "the index at [1] is 3, but must be in [0, 3)");
  CHECK(refused([&] {
          return embedding(index, x);
        }) == "the embedding's index at [1] is 3, but must be in [0, 3)");
  CHECK(
      refused([&] { return one_hot(index, 3); }) == "the class at [1] is 3, but must be in [0, 3)");
  CHECK(refused([&] {
          return gather(x, 0, unsqueeze(index, 1));
        }) == "the index at [1, 0] is 3, but must be in [0, 3)");
  CHECK(refused([&] {
          return cross_entropy(x, concat({index, index}));
        }).substr(0, 16) == "the target has s");
}

TEST_CASE("Philox gives its authors' known answers", "[tensor]") {
  // Of 10 rounds, from the test vectors published with the paper's code: zeros, and all ones.
  std::uint32_t zeros[4][1] = {{0}, {0}, {0}, {0}};
  Philox::run(zeros, 0, 0);
  CHECK(zeros[0][0] == 0x6627e8d5);
  CHECK(zeros[1][0] == 0xe169c58d);
  CHECK(zeros[2][0] == 0xbc57ac4c);
  CHECK(zeros[3][0] == 0x9b00dbd8);
  const std::uint32_t all = 0xffffffff;
  std::uint32_t ones[4][1] = {{all}, {all}, {all}, {all}};
  Philox::run(ones, all, all);
  CHECK(ones[0][0] == 0x408f276d);
  CHECK(ones[1][0] == 0x41c83b0e);
  CHECK(ones[2][0] == 0xa20bc7c6);
  CHECK(ones[3][0] == 0x6d5451fd);
}
