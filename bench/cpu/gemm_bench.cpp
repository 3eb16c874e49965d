// Matrix products, GFLOP/s, beside the machine's peak and, where they are installed, OpenBLAS and
// oneDNN; bfloat16 beside oneDNN's.
//
// Run with --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true and read the
// medians: the products, the peak and the peers are then measured in turns. One thread is timed by
// its own processor time, more by the wall clock.

#include "plan_runner.hpp"
#include "run_plan.hpp"

#include <benchmark/benchmark.h>
#ifdef TROUPE_BENCH_OPENBLAS
#include <cblas.h>
extern "C" void openblas_set_num_threads(int threads);
#endif
#ifdef TROUPE_BENCH_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>

#include <unordered_map>
#endif

#include <functional>
#include <string>

namespace troupe {
struct Matmul;
}

namespace troupe::cpu::bench {
namespace {

/// C[m, n] = A[m, k]·B[k, n], either operand stored transposed; a batch of them, one behind the
/// other.
struct Product {
  std::int64_t m, n, k;
  bool a_turned, b_turned;
  std::int64_t batch = 1;

  [[nodiscard]] double flops() const { return 2.0 * static_cast<double>(batch * m * n * k); }
  [[nodiscard]] std::string name() const {
    return (batch > 1 ? std::to_string(batch) + "x" : "") + std::to_string(m) + "x" +
           std::to_string(n) + "x" + std::to_string(k) + "_" + (a_turned ? "T" : "N") +
           (b_turned ? "T" : "N");
  }
  [[nodiscard]] Shape shape(std::int64_t rows, std::int64_t columns) const {
    return batch > 1 ? Shape{batch, rows, columns} : Shape{rows, columns};
  }
  [[nodiscard]] std::vector<std::size_t> order(bool turned) const {
    if (batch > 1)
      return turned ? std::vector<std::size_t>{0, 2, 1} : std::vector<std::size_t>{0, 1, 2};
    return turned ? std::vector<std::size_t>{1, 0} : std::vector<std::size_t>{0, 1};
  }
};

/// Small numbers of either type.
template <class T>
void fill(test::HostTensor<T>& tensor, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  if constexpr (std::is_same_v<T, BFloat16>)
    for (BFloat16& x : tensor.data) x.bits = static_cast<std::uint16_t>(0x3f00 | random() % 128);
  else
    test::fill(tensor, random);
}

template <class T>
struct Operands {
  explicit Operands(const Product& p)
      : a(test::make_strided<T>(p.shape(p.m, p.k), p.order(p.a_turned))),
        b(test::make_strided<T>(p.shape(p.k, p.n), p.order(p.b_turned))),
        c(test::make_tensor<T>(p.shape(p.m, p.n))) {
    fill(a, 1);
    fill(b, 2);
  }
  test::HostTensor<T> a, b, c;
};

void count(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(
      flops * 1e-9 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

template <class T>
void ours(benchmark::State& state, const Product& product, int threads) {
  Operands<T> operands(product);
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
  Operands<float> operands(p);
  openblas_set_num_threads(threads);
  for (auto _ : state)
    for (std::int64_t i = 0; i < p.batch; ++i)
      cblas_sgemm(
          CblasRowMajor,
          p.a_turned ? CblasTrans : CblasNoTrans,
          p.b_turned ? CblasTrans : CblasNoTrans,
          static_cast<int>(p.m),
          static_cast<int>(p.n),
          static_cast<int>(p.k),
          1,
          operands.a.data.data() + i * p.m * p.k,
          static_cast<int>(p.a_turned ? p.m : p.k),
          operands.b.data.data() + i * p.k * p.n,
          static_cast<int>(p.b_turned ? p.k : p.n),
          0,
          operands.c.data.data() + i * p.m * p.n,
          static_cast<int>(p.n));
  count(state, p.flops());
}
#endif

#ifdef TROUPE_BENCH_ONEDNN
/// On the layouts that ours gets: nothing packed beforehand.
template <class T>
void onednn(benchmark::State& state, const Product& p) {
  using namespace dnnl;
  const auto type = std::is_same_v<T, float> ? memory::data_type::f32 : memory::data_type::bf16;
  const engine cpu(engine::kind::cpu, 0);
  stream queue(cpu);
  Operands<T> operands(p);
  const auto describe = [&](const View& view) {
    const memory::dims shape(view.shape.begin(), view.shape.end());
    return memory::desc(shape, type, memory::dims(view.strides.begin(), view.strides.end()));
  };
  const memory::desc a = describe(operands.a.view);
  const memory::desc b = describe(operands.b.view);
  const memory::desc c = describe(operands.c.view);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul product(dnnl::matmul::primitive_desc(cpu, a, b, c));
#else
  const dnnl::matmul product(dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), cpu));
#endif
  const std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, memory(a, cpu, operands.a.data.data())},
      {DNNL_ARG_WEIGHTS, memory(b, cpu, operands.b.data.data())},
      {DNNL_ARG_DST, memory(c, cpu, operands.c.data.data())}};
  for (auto _ : state) {
    product.execute(queue, arguments);
    queue.wait();
  }
  count(state, p.flops());
}
#endif

void peak(benchmark::State& state, int threads) {
  constexpr std::int64_t rounds = 100'000;
  const auto spin = limit_loops_here().multiply_add;
  std::atomic<bool> stopping{false};
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i)
    others.emplace_back([&] {
      while (!stopping) spin(rounds);
    });
  double flops = 0;
  for (auto _ : state) flops += threads * spin(rounds);
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
      {8, 8, 8, false, false},         {16, 16, 16, false, false},
      {32, 32, 32, false, false},      {64, 64, 64, false, false},
      {128, 128, 128, false, false},   {256, 256, 256, false, false},
      {512, 512, 512, false, false},   {1024, 1024, 1024, false, false},
      {1024, 1024, 1024, false, true}, {1024, 1024, 1024, true, false},
      {1000, 1000, 1000, true, true},  {2048, 2048, 2048, false, false},
      {128, 512, 784, false, true},    {128, 784, 512, false, false},
      {512, 784, 128, true, false},    {128, 10, 512, false, true},
      {128, 512, 10, false, false},    {10, 512, 128, true, false},
      {3072, 768, 512, true, false},   {1, 512, 784, false, true},
      {1, 784, 512, false, false},     {128, 128, 64, false, true, 32},
      {128, 64, 128, false, false, 32}};
  for (const int threads : {1, 2}) {
    add("peak", threads, [=](benchmark::State& state) { peak(state, threads); });
    for (const Product& p : products) {
      add("matmul/troupe/" + p.name(), threads, [=](benchmark::State& state) {
        ours<float>(state, p, threads);
      });
      add("matmul/troupe_bf16/" + p.name(), threads, [=](benchmark::State& state) {
        ours<BFloat16>(state, p, threads);
      });
#ifdef TROUPE_BENCH_OPENBLAS
      add("matmul/openblas/" + p.name(), threads, [=](benchmark::State& state) {
        openblas(state, p, threads);
      });
#endif
    }
  }
#ifdef TROUPE_BENCH_ONEDNN
  // As many threads as OMP_NUM_THREADS says.
  for (const Product& p : products) {
    const auto add_peer = [&](const std::string& name,
                              void (*body)(benchmark::State&, const Product&)) {
      benchmark::RegisterBenchmark(
          ("matmul/" + name + "/" + p.name()).c_str(),
          [=](benchmark::State& state) { body(state, p); })
          ->UseRealTime();
    };
    add_peer("onednn", &onednn<float>);
    add_peer("onednn_bf16", &onednn<BFloat16>);
  }
#endif
  return true;
}();

}  // namespace
}  // namespace troupe::cpu::bench
