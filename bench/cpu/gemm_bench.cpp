// Matrix products, GFLOP/s, beside the machine's peak and, where it is installed, OpenBLAS.
//
// Run with --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true and read the
// medians: the products, the peak and the peer are then measured in turns. One thread is timed by
// its own processor time, more by the wall clock.

#include "plan_runner.hpp"
#include "run_plan.hpp"

#include <benchmark/benchmark.h>
#ifdef TROUPE_BENCH_OPENBLAS
#include <cblas.h>
extern "C" void openblas_set_num_threads(int threads);
#endif

#include <functional>
#include <string>

namespace troupe {
struct Matmul;
}

namespace troupe::cpu::bench {
namespace {

/// C[m, n] = A[m, k]·B[k, n], either operand stored transposed.
struct Product {
  std::int64_t m, n, k;
  bool a_turned, b_turned;

  [[nodiscard]] double flops() const { return 2.0 * static_cast<double>(m * n * k); }
  [[nodiscard]] std::string name() const {
    return std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) + "_" +
           (a_turned ? "T" : "N") + (b_turned ? "T" : "N");
  }
};

struct Operands {
  explicit Operands(const Product& p)
      : a(test::make_strided<float>({p.m, p.k}, order(p.a_turned))),
        b(test::make_strided<float>({p.k, p.n}, order(p.b_turned))),
        c(test::make_tensor<float>({p.m, p.n})) {
    std::mt19937_64 random(1);
    test::fill(a, random);
    test::fill(b, random);
  }
  static std::vector<std::size_t> order(bool turned) {
    return turned ? std::vector<std::size_t>{1, 0} : std::vector<std::size_t>{0, 1};
  }
  test::HostTensor<float> a, b, c;
};

void count(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(
      flops * 1e-9 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void ours(benchmark::State& state, const Product& product, int threads) {
  Operands operands(product);
  Runner runner(threads);
  const PlanFunction plan_product = test::kernels<Matmul>().back().plan;
  const int no_attributes = 0;
  const KernelCall call =
      test::call_of(no_attributes, {operands.a.view, operands.b.view}, {operands.c.view});
  for (auto _ : state) {
    Plan plan;
    plan_product(call, plan);
    runner.run(call, plan);
  }
  count(state, product.flops());
}

#ifdef TROUPE_BENCH_OPENBLAS
void openblas(benchmark::State& state, const Product& p, int threads) {
  Operands operands(p);
  openblas_set_num_threads(threads);
  for (auto _ : state)
    cblas_sgemm(
        CblasRowMajor,
        p.a_turned ? CblasTrans : CblasNoTrans,
        p.b_turned ? CblasTrans : CblasNoTrans,
        static_cast<int>(p.m),
        static_cast<int>(p.n),
        static_cast<int>(p.k),
        1,
        operands.a.data.data(),
        static_cast<int>(p.a_turned ? p.m : p.k),
        operands.b.data.data(),
        static_cast<int>(p.b_turned ? p.k : p.n),
        0,
        operands.c.data.data(),
        static_cast<int>(p.n));
  count(state, p.flops());
}
#endif

void peak(benchmark::State& state, int threads) {
  constexpr long steps = 100'000;
  if (spin(1) == 0) {
    state.SkipWithError("no FMA here");
    return;
  }
  std::atomic<bool> stopping{false};
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i)
    others.emplace_back([&] {
      while (!stopping) spin(steps);
    });
  double flops = 0;
  for (auto _ : state) flops += threads * spin(steps);
  stopping = true;
  for (std::thread& other : others) other.join();
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsRate);
}

void add(const std::string& name, int threads, std::function<void(benchmark::State&)> body) {
  auto* bench = benchmark::RegisterBenchmark((name + "/t" + std::to_string(threads)).c_str(), body);
  if (threads > 1) bench->UseRealTime();
}

const bool registered = [] {
  // Small ones, a large one, and the layers of networks: forward, backward to input and to weight.
  const std::vector<Product> products = {
      {8, 8, 8, false, false},
      {16, 16, 16, false, false},
      {32, 32, 32, false, false},
      {64, 64, 64, false, false},
      {256, 256, 256, false, false},
      {1024, 1024, 1024, false, false},
      {128, 512, 784, false, true},
      {128, 784, 512, false, false},
      {512, 784, 128, true, false},
      {128, 10, 512, false, true},
      {128, 512, 10, false, false},
      {10, 512, 128, true, false},
      {3072, 768, 512, true, false},
      {1, 512, 784, false, true},
      {1, 784, 512, false, false}};
  for (const int threads : {1, 2}) {
    add("peak", threads, [=](benchmark::State& state) { peak(state, threads); });
    for (const Product& p : products) {
      add("matmul/troupe/" + p.name(), threads, [=](benchmark::State& state) {
        ours(state, p, threads);
      });
#ifdef TROUPE_BENCH_OPENBLAS
      add("matmul/openblas/" + p.name(), threads, [=](benchmark::State& state) {
        openblas(state, p, threads);
      });
#endif
    }
  }
  return true;
}();

}  // namespace
}  // namespace troupe::cpu::bench
