#include "page_end.hpp"
#include "run_plan.hpp"

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>

namespace troupe {
struct Matmul;
struct Linear;
}  // namespace troupe

namespace troupe::cpu::test {
namespace {

using Random = std::mt19937_64;

std::int64_t draw(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

/// Sizes that meet all paths: tails of every width, several blocks of depth, vectors.
std::int64_t draw_size(Random& random) {
  switch (draw(random, 0, 4)) {
    case 0:
      return draw(random, 1, 3);
    case 1:
      return draw(random, 1, 40);
    case 2:
      return 8 * draw(random, 1, 8);
    case 3:
      return draw(random, 1, 130);
    default:
      return draw(random, 1, 17) * draw(random, 1, 17);
  }
}

/// Either order of the last two dimensions in memory, now and then with a gap behind each row.
template <class T>
HostTensor<T> draw_matrix(Random& random, const Shape& shape) {
  std::vector<std::size_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0u);
  if (draw(random, 0, 1) && order.size() > 1)
    std::swap(order[order.size() - 1], order[order.size() - 2]);
  if (draw(random, 0, 3) == 0) std::shuffle(order.begin(), order.end(), random);
  HostTensor<T> tensor =
      make_strided<T>(shape, order, draw(random, 0, 3) == 0 ? draw(random, 1, 5) : 0);
  fill(tensor, random, std::is_integral_v<T> ? -100 : -1, std::is_integral_v<T> ? 100 : 1);
  return tensor;
}

/// A sum in a wider type, with the sum of absolute values that bounds the rounding errors.
template <class T>
struct Reference {
  using Wide = std::conditional_t<std::is_integral_v<T>, std::uint64_t, long double>;
  Wide value = 0;
  Wide size = 0;
};

template <class T>
bool close(T got, const Reference<T>& want, std::int64_t k) {
  if constexpr (std::is_integral_v<T>)
    return got == static_cast<T>(want.value);
  else
    // A chain of k additions, each wrong by at most half an ulp of a partial sum.
    return std::abs(static_cast<long double>(got) - want.value) <=
           (k + 2) * std::numeric_limits<T>::epsilon() / 2 * want.size;
}

/// One product: operands, and where each matrix of the batch starts in them.
template <class T>
struct Problem {
  HostTensor<T> a;
  HostTensor<T> b;
  HostTensor<T> bias;
  bool biased = false;
  std::int64_t m = 1, n = 1, k = 1;
  std::vector<std::int64_t> a_start, b_start;
  std::int64_t a_row = 0, a_k = 0, b_k = 0, b_column = 0;
  Shape shape;

  [[nodiscard]] Reference<T> element(std::int64_t matrix, std::int64_t i, std::int64_t j) const {
    using Wide = typename Reference<T>::Wide;
    Reference<T> sum;
    for (std::int64_t p = 0; p < k; ++p) {
      const Wide left = static_cast<Wide>(a.data[a_start[matrix] + i * a_row + p * a_k]);
      const Wide right = static_cast<Wide>(b.data[b_start[matrix] + p * b_k + j * b_column]);
      sum.value += left * right;
      if constexpr (!std::is_integral_v<T>) sum.size += std::abs(left * right);
    }
    if (biased) {
      sum.value += static_cast<Wide>(bias.data[j]);
      if constexpr (!std::is_integral_v<T>) sum.size += std::abs(static_cast<Wide>(bias.data[j]));
    }
    return sum;
  }
};

/// Where each matrix of a broadcast batch starts.
std::vector<std::int64_t> starts(const View& view, const Shape& batch) {
  std::vector<std::int64_t> list;
  const std::size_t missing = batch.size() + 2 - view.shape.size();
  for (std::int64_t i = 0; i < elements_in(batch); ++i) {
    std::int64_t rest = i;
    std::int64_t at = 0;
    for (std::size_t axis = batch.size(); axis-- > 0;) {
      const std::int64_t index = rest % batch[axis];
      rest /= batch[axis];
      if (axis >= missing && view.shape[axis - missing] != 1)
        at += index * view.strides[axis - missing];
    }
    list.push_back(at);
  }
  return list;
}

template <class T>
Problem<T> matmul_problem(
    Random& random,
    const Shape& a_batch,
    const Shape& b_batch,
    std::int64_t m,
    std::int64_t n,
    std::int64_t k) {
  Problem<T> p;
  p.m = m;
  p.n = n;
  p.k = k;
  Shape a = a_batch;
  a.push_back(m);
  a.push_back(k);
  Shape b = b_batch;
  b.push_back(k);
  b.push_back(n);
  p.a = draw_matrix<T>(random, a);
  p.b = draw_matrix<T>(random, b);
  const Shape batch = broadcast(a_batch, b_batch);
  p.a_start = starts(p.a.view, batch);
  p.b_start = starts(p.b.view, batch);
  p.a_row = p.a.view.strides[a.size() - 2];
  p.a_k = p.a.view.strides[a.size() - 1];
  p.b_k = p.b.view.strides[b.size() - 2];
  p.b_column = p.b.view.strides[b.size() - 1];
  p.shape = batch;
  p.shape.push_back(m);
  p.shape.push_back(n);
  return p;
}

template <class T>
Problem<T> linear_problem(
    Random& random, const Shape& leading, std::int64_t n, std::int64_t k, bool biased) {
  Problem<T> p;
  p.m = 1;
  p.n = n;
  p.k = k;
  Shape x = leading;
  x.push_back(k);
  p.a = draw_matrix<T>(random, x);
  p.b = draw_matrix<T>(random, {n, k});
  p.bias = make_tensor<T>({n});
  p.biased = biased;
  fill(p.bias, random);
  for (std::int64_t i = 0; i < elements_in(leading); ++i) {
    p.a_start.push_back(p.a.offset(i * k));
    p.b_start.push_back(0);
  }
  p.a_k = p.a.view.strides[x.size() - 1];
  p.b_k = p.b.view.strides[1];
  p.b_column = p.b.view.strides[0];
  p.shape = leading;
  p.shape.push_back(n);
  return p;
}

/// Runs every kernel in order, shuffled, and with B packed, and compares with the reference.
template <class Op, class T>
void check(const Problem<T>& p, std::uint64_t seed) {
  const int unused = 0;
  std::vector<Reference<T>> want;
  for (std::int64_t matrix = 0; matrix < std::ssize(p.a_start); ++matrix)
    for (std::int64_t i = 0; i < p.m; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) want.push_back(p.element(matrix, i, j));
  for (const NamedPlan& kernel : kernels<Op>()) {
    CAPTURE(kernel.isa, to_string(p.a.view.shape), to_string(p.a.view.strides));
    CAPTURE(to_string(p.b.view.shape), to_string(p.b.view.strides), p.biased);
    HostTensor<T> c = make_tensor<T>(p.shape);
    KernelCall call = call_of(unused, {p.a.view, p.b.view}, {c.view});
    if (p.biased) call.in[call.in_count++] = p.bias.view;
    run_kernel(kernel.plan, call);
    const std::vector<T> in_order = c.data;
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      if (!close(c.data[i], want[i], p.k)) ++wrong;
    REQUIRE(wrong == 0);
    std::fill(c.data.begin(), c.data.end() - 1, poison<T>());
    run_kernel(kernel.plan, call, seed + 1);
    REQUIRE(same_bits(c.data, in_order));
    if constexpr (std::is_floating_point_v<T>) {
      std::fill(c.data.begin(), c.data.end() - 1, poison<T>());
      const bool packs = run_packed<T>(kernel.plan, call, seed + 2);
      if (packs) REQUIRE(same_bits(c.data, in_order));
      // What all chunks of a large product read is packed by any kernel but AMX's.
      const std::int64_t rows = elements_in(p.shape) / std::max<std::int64_t>(p.n, 1);
      const bool large = rows > 64 && p.n > 64 && p.k > 64 && p.b.view.shape.size() == 2;
      if (large && kernel.isa != "amx") REQUIRE(packs);
    }
  }
}

/// The same bits from operands laid out otherwise.
template <class Op>
void check_layouts(std::int64_t m, std::int64_t n, std::int64_t k) {
  Random random(7);
  const int unused = 0;
  for (const NamedPlan& kernel : kernels<Op>()) {
    std::vector<float> first;
    HostTensor<float> a = make_tensor<float>({m, k});
    HostTensor<float> b = make_tensor<float>({k, n});
    fill(a, random);
    fill(b, random);
    for (int layout = 0; layout < 8; ++layout) {
      const auto order = [](bool turned) {
        return turned ? std::vector<std::size_t>{1, 0} : std::vector<std::size_t>{0, 1};
      };
      HostTensor<float> left = make_strided<float>({m, k}, order(layout & 1), layout & 4 ? 3 : 0);
      HostTensor<float> right = make_strided<float>({k, n}, order(layout & 2), layout & 4 ? 5 : 0);
      for (std::int64_t i = 0; i < m * k; ++i) left.at(i) = a.at(i);
      for (std::int64_t i = 0; i < k * n; ++i) right.at(i) = b.at(i);
      HostTensor<float> c = make_tensor<float>({m, n});
      run_kernel(kernel.plan, call_of(unused, {left.view, right.view}, {c.view}));
      if (layout == 0) first = c.data;
      CAPTURE(kernel.isa, m, n, k, layout);
      REQUIRE(same_bits(first, c.data));
    }
  }
}

}  // namespace

// Goal: products of any shape, layout and batch agree with a plain sum in long double, and bits do
// not depend on the order in which chunks run.
TEMPLATE_TEST_CASE(
    "matmul agrees with the plain sum", "[cpu][gemm]", float, double, std::int32_t, std::int64_t) {
  Random random(42);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    Shape a_batch;
    Shape b_batch;
    const std::int64_t rank = draw(random, 0, 5) - 2;
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      const std::int64_t size = draw(random, 1, 4);
      a_batch.push_back(draw(random, 0, 2) ? size : 1);
      b_batch.push_back(draw(random, 0, 2) ? size : 1);
    }
    if (draw(random, 0, 3) == 0) b_batch = {};
    if (draw(random, 0, 5) == 0) a_batch = {};
    const std::int64_t m = draw_size(random);
    const std::int64_t n = draw_size(random);
    const std::int64_t k = draw_size(random);
    check<Matmul>(matmul_problem<TestType>(random, a_batch, b_batch, m, n, k), round);
  }
}

TEMPLATE_TEST_CASE("linear agrees with the plain sum", "[cpu][gemm]", float, double) {
  Random random(43);
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    Shape leading;
    for (std::int64_t rank = draw(random, 0, 3); rank > 0; --rank)
      leading.push_back(rank == 1 ? draw_size(random) : draw(random, 1, 4));
    check<Linear>(
        linear_problem<TestType>(
            random, leading, draw_size(random), draw_size(random), draw(random, 0, 1)),
        round);
  }
}

TEST_CASE("products large enough to be packed agree with the plain sum", "[cpu][gemm]") {
  Random random(44);
  check<Matmul>(matmul_problem<float>(random, {}, {}, 300, 330, 600), 1);
  check<Matmul>(matmul_problem<float>(random, {}, {}, 520, 70, 90), 1);
  check<Matmul>(matmul_problem<double>(random, {2}, {2}, 270, 150, 300), 1);
  check<Linear>(linear_problem<float>(random, {128}, 300, 784, true), 1);
  check<Linear>(linear_problem<float>(random, {400}, 260, 270, true), 1);
  check<Linear>(linear_problem<float>(random, {}, 5000, 784, true), 1);
}

TEST_CASE("empty products are zeros, empty results nothing", "[cpu][gemm]") {
  Random random(45);
  for (const auto& [m, n, k] :
       {std::array{3, 20, 0},
        std::array{0, 20, 5},
        std::array{3, 0, 5},
        std::array{1, 20, 0},
        std::array{3, 1, 0},
        std::array{0, 0, 0}})
    check<Matmul>(matmul_problem<float>(random, {}, {}, m, n, k), 1);
  check<Linear>(linear_problem<float>(random, {4}, 10, 0, true), 1);
  check<Matmul>(matmul_problem<std::int32_t>(random, {}, {}, 3, 4, 0), 1);
}

// Goal: whole vectors that reach over the edge of a matrix never leave its memory. Method: behind
// each operand begins a page that may not be touched.
TEMPLATE_TEST_CASE("products touch nothing behind their operands", "[cpu][gemm]", float, double) {
  using T = TestType;
  const int unused = 0;
  for (const auto& [m, n, k] :
       {std::array{8, 8, 8},
        std::array{3, 1, 70},
        std::array{1, 77, 35},
        std::array{5, 3, 40},
        std::array{15, 33, 64},
        std::array{40, 17, 300},
        std::array{130, 47, 90},
        std::array{512, 70, 50},
        std::array{300, 100, 70}})
    for (const std::size_t turned : {0, 1, 2, 3})
      for (const NamedPlan& kernel : kernels<Matmul>()) {
        CAPTURE(kernel.isa, m, n, k, turned);
        const AtPageEnd<T> a(m * k), b(k * n), c(m * n);
        std::fill_n(a.data(), m * k, T(1));
        std::fill_n(b.data(), k * n, T(2));
        HostTensor<T> left = make_strided<T>({m, k}, {turned & 1, 1 - (turned & 1)});
        HostTensor<T> right = make_strided<T>({k, n}, {turned >> 1, 1 - (turned >> 1)});
        HostTensor<T> out = make_tensor<T>({m, n});
        left.view.data = a.data();
        right.view.data = b.data();
        out.view.data = c.data();
        run_kernel(kernel.plan, call_of(unused, {left.view, right.view}, {out.view}));
        REQUIRE(std::all_of(c.data(), c.data() + m * n, [k = k](T x) { return x == T(2 * k); }));
      }
}

// Goal: a transposed view and its copy give the same bits, so that folding a transpose into the
// product can never be seen.
TEST_CASE("the layout of operands does not change bits", "[cpu][gemm]") {
  check_layouts<Matmul>(37, 53, 300);
  check_layouts<Matmul>(300, 200, 290);
  check_layouts<Matmul>(512, 200, 290);  // lines of A that fall on few sets of the caches
  check_layouts<Matmul>(1, 500, 333);
  check_layouts<Matmul>(450, 1, 77);
  check_layouts<Matmul>(8, 8, 8);
}

// Goal: an element's bits do not depend on where it stands in the result.
TEST_CASE("equal rows and columns give equal elements", "[cpu][gemm]") {
  Random random(46);
  const int unused = 0;
  const auto [m, n] = std::array<std::int64_t, 2>{45, 61};
  for (const std::int64_t k : {9, 300})
    for (const NamedPlan& kernel : kernels<Matmul>()) {
      HostTensor<float> a = make_tensor<float>({m, k});
      HostTensor<float> b = make_tensor<float>({k, n});
      for (std::int64_t p = 0; p < k; ++p) {
        a.at(p) = static_cast<float>(draw(random, -1000, 1000)) / 777;
        b.at(p * n) = static_cast<float>(draw(random, -1000, 1000)) / 777;
        for (std::int64_t i = 0; i < m; ++i) a.at(i * k + p) = a.at(p);
        for (std::int64_t j = 0; j < n; ++j) b.at(p * n + j) = b.at(p * n);
      }
      HostTensor<float> c = make_tensor<float>({m, n});
      run_kernel(kernel.plan, call_of(unused, {a.view, b.view}, {c.view}));
      CAPTURE(kernel.isa, k);
      REQUIRE(
          std::all_of(c.data.begin(), c.data.end() - 1, [&](float x) { return x == c.data[0]; }));
    }
}

// Goal: an infinity reaches its own row or column and nothing else; padding of tiles stays outside.
TEST_CASE("infinities and NaNs go where IEEE sends them", "[cpu][gemm]") {
  const int unused = 0;
  for (const auto& [m, n, k] :
       {std::array{5, 10, 3}, std::array{13, 27, 40}, std::array{1, 21, 35}, std::array{21, 1, 35}})
    for (const NamedPlan& kernel : kernels<Matmul>()) {
      HostTensor<float> a = make_tensor<float>({m, k});
      HostTensor<float> b = make_tensor<float>({k, n});
      std::fill(a.data.begin(), a.data.end(), 1.0f);
      std::fill(b.data.begin(), b.data.end(), 1.0f);
      a.at((m - 1) * k + k - 1) = std::numeric_limits<float>::infinity();
      b.at((k - 1) * n + n - 1) = -1;
      HostTensor<float> c = make_tensor<float>({m, n});
      run_kernel(kernel.plan, call_of(unused, {a.view, b.view}, {c.view}));
      std::int64_t finite = 0;
      for (std::int64_t i = 0; i < m * n; ++i) finite += std::isfinite(c.at(i));
      CAPTURE(kernel.isa, m, n, k);
      CHECK(finite == (m - 1) * n);
      CHECK(c.at(m * n - 1) == -std::numeric_limits<float>::infinity());
    }
}

}  // namespace troupe::cpu::test
