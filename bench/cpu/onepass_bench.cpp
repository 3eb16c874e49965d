// Ops that a single pass over memory could compute: time, and GB/s of the bytes that each must read
// and write at least, beside what the machine copies and adds (`limit`).
//
// Run as gemm_bench.cpp says. What fits the caches (1M) and what does not (16M) have limits of
// their own.

#include "kernel_tables.hpp"
#include "plan_runner.hpp"
#include "run_plan.hpp"

#include <troupe/tensor/all_ops.hpp>

#include <benchmark/benchmark.h>
#include <immintrin.h>
#include <sys/mman.h>

#include <cmath>
#include <deque>
#include <functional>
#include <string>

namespace troupe::cpu::bench {
namespace {

/// The kernels of the newest instruction set here.
const KernelTable& table() {
  static const KernelTable newest = test::kernel_tables().back().table;
  return newest;
}

/// Memory in huge pages, as the device's allocator hands out.
struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;
Memory allocate(std::size_t bytes) {
  constexpr std::size_t page = std::size_t{2} << 20;
  bytes = (bytes + page) / page * page;
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(page, bytes)));
  ::madvise(memory.get(), bytes, MADV_HUGEPAGE);
  return memory;
}

/// Launches that are timed together, and their operands.
class Work {
 public:
  using Views = std::vector<View>;

  View floats(const Shape& shape, double low = -1, double high = 1) {
    const View view = tensor({DType::float32, shape});
    std::uniform_real_distribution<float> draw(static_cast<float>(low), static_cast<float>(high));
    fill(view.as<float>(), view.elements(), draw);
    return view;
  }
  View answers(const Shape& shape) {
    const View view = tensor({DType::boolean, shape});
    std::bernoulli_distribution draw;
    fill(view.as<std::uint8_t>(), view.elements(), draw);
    return view;
  }
  View numbers(const Shape& shape, std::int64_t below) {
    const View view = tensor({DType::int64, shape});
    std::uniform_int_distribution<std::int64_t> draw(0, below - 1);
    fill(view.as<std::int64_t>(), view.elements(), draw);
    return view;
  }
  View doubles(std::initializer_list<double> values) {
    const View view = tensor({DType::float64, {static_cast<std::int64_t>(values.size())}});
    std::copy(values.begin(), values.end(), view.as<double>());
    return view;
  }
  /// The same elements, its dimensions in another order.
  static View permuted(const View& x, const Dims& order) {
    View turned = x;
    for (std::size_t i = 0; i < order.size(); ++i) {
      turned.shape[i] = x.shape[static_cast<std::size_t>(order[i])];
      turned.strides[i] = x.strides[static_cast<std::size_t>(order[i])];
    }
    turned.contiguous = false;
    return turned;
  }

  /// A launch, whose outputs are returned; in the inputs' memory where `in_place`.
  template <class Op>
  Views add(const Op& op, const Views& in, bool in_place = false) {
    std::vector<Meta> metas;
    for (const View& view : in) metas.push_back({view.dtype, view.shape});
    Metas out;
    op.infer(metas, out);
    auto held = std::make_shared<Op>(op);
    Launch launch;
    launch.op = held;
    launch.call.attributes = held.get();
    for (const View& view : in) launch.call.in[launch.call.in_count++] = view;
    Views views;
    for (const Meta& meta : out) {
      views.push_back(in_place ? in[views.size()] : tensor(meta));
      launch.call.out[launch.call.out_count++] = views.back();
    }
    if constexpr (Op::family == OpFamily::elementwise) {
      const Expressions& expressions = *table().expressions[test::index_of<Op>];
      launch.expression = expressions.by_dtype[static_cast<std::size_t>(in.back().dtype)];
      launch.waits = expressions.waits;
    } else {
      launch.plan = table().plans[test::index_of<Op>];
    }
    launches_.push_back(std::move(launch));
    return views;
  }

  void run(Runner& runner) {
    for (const Launch& launch : launches_) {
      Plan plan;
      if (launch.expression)
        table().plan_elementwise(launch.call, plan, launch.expression, launch.waits);
      else
        launch.plan(launch.call, plan);
      runner.run(launch.call, plan);
    }
  }
  /// What all operands of all launches take, each counted where it is read or written.
  [[nodiscard]] double operand_bytes() const {
    double bytes = 0;
    for (const Launch& launch : launches_) {
      for (std::size_t i = 0; i < launch.call.in_count; ++i) bytes += bytes_of(launch.call.in[i]);
      for (std::size_t i = 0; i < launch.call.out_count; ++i) bytes += bytes_of(launch.call.out[i]);
    }
    return bytes;
  }

 private:
  struct Launch {
    std::shared_ptr<void> op;
    KernelCall call;
    PlanFunction plan = nullptr;
    Expression expression = nullptr;
    bool waits = false;
  };

  /// The first elements are drawn, the others repeat them: drawing takes longer than what is timed.
  template <class T, class Draw>
  void fill(T* to, std::int64_t n, Draw& draw) {
    constexpr std::int64_t period = 99'991;
    for (std::int64_t i = 0; i < n; ++i) to[i] = i < period ? draw(random_) : to[i - period];
  }
  static double bytes_of(const View& view) {
    return static_cast<double>(view.elements()) * static_cast<double>(size_of(view.dtype));
  }
  View tensor(const Meta& meta) {
    memory_.push_back(allocate(meta.bytes() + 64));
    std::memset(memory_.back().get(), 0, meta.bytes());
    return {memory_.back().get(), meta.dtype, true, meta.shape, contiguous_strides(meta.shape)};
  }

  std::mt19937_64 random_{1};
  std::deque<Memory> memory_;
  std::vector<Launch> launches_;
};

// --- what the machine can do
// -----------------------------------------------------------------------------

constexpr std::int64_t limit_chunk = 32768;

enum class Limit { read, copy, copy_streaming, triad, triad_streaming };

template <Limit limit>
__attribute__((target("avx2"))) void limit_chunk_run(
    const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) {
  const float* const a = call.in[0].as<const float>() + chunk * limit_chunk;
  const float* const b = call.in[1].as<const float>() + chunk * limit_chunk;
  float* const y = call.out[0].as<float>() + chunk * limit_chunk;
  __m256 sums[4] = {};
  const __m256 scale = _mm256_set1_ps(0.5f);
  for (std::int64_t i = 0; i < limit_chunk; i += 32)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      __m256 x = _mm256_load_ps(a + i + 8 * k);
      if constexpr (limit == Limit::read)
        sums[k] = _mm256_max_ps(sums[k], x);
      else if constexpr (limit == Limit::triad || limit == Limit::triad_streaming)
        x = _mm256_add_ps(x, _mm256_mul_ps(scale, _mm256_load_ps(b + i + 8 * k)));
      if constexpr (limit == Limit::copy || limit == Limit::triad)
        _mm256_store_ps(y + i + 8 * k, x);
      if constexpr (limit == Limit::copy_streaming || limit == Limit::triad_streaming)
        _mm256_stream_ps(y + i + 8 * k, x);
    }
  if constexpr (limit == Limit::read)
    for (const __m256& sum : sums) asm volatile("" ::"x"(sum));
  _mm_sfence();
}

template <Limit limit>
void measure_limit(benchmark::State& state, std::int64_t elements, int threads) {
  if (!__builtin_cpu_supports("avx2")) {
    state.SkipWithError("no AVX2 here");
    return;
  }
  Runner runner(threads);
  constexpr int operands = limit == Limit::read                                     ? 1
                           : limit == Limit::copy || limit == Limit::copy_streaming ? 2
                                                                                    : 3;
  std::vector<Memory> memory;
  KernelCall call;
  for (View* view : {&call.in[0], &call.in[1], &call.out[0]}) {
    memory.push_back(allocate(static_cast<std::size_t>(elements) * 4));
    std::memset(memory.back().get(), 0, static_cast<std::size_t>(elements) * 4);
    view->data = memory.back().get();
  }
  Plan plan;
  plan.add(&limit_chunk_run<limit>, elements / limit_chunk);
  for (auto _ : state) runner.run(call, plan);
  state.SetBytesProcessed(state.iterations() * elements * operands * 4);
}

// --- the ops
// ---------------------------------------------------------------------------------------------

/// Fills in the launches for a number of rows of 1,024 floats.
using Fill = std::function<void(Work&, std::int64_t rows)>;

struct Entry {
  std::string name;
  Fill fill;
};

template <class Op>
Entry unary(const Op& op, const std::string& name = std::string(Op::name)) {
  return {name, [op](Work& work, std::int64_t rows) { work.add(op, {work.floats({rows, 1024})}); }};
}

/// Queries, keys and values of a GPT's block, [N, T, 3, heads, 64] in 4 heads, N as the rows give
/// it.
struct Blocks {
  Shape qkv;
  Shape heads;
  Shape scores;

  Blocks(std::int64_t rows, std::int64_t places)
      : qkv{rows * 4 / places, places, 3, 4, 64},
        heads{qkv[0], 4, places, 64},
        scores{qkv[0], 4, places, places} {}
};
/// One of the three as [N, heads, T, 64].
View part_of(const View& qkv, std::int64_t part) {
  View view = qkv;
  view.shape = {qkv.shape[0], qkv.shape[3], qkv.shape[1], qkv.shape[4]};
  view.strides = {qkv.strides[0], qkv.strides[3], qkv.strides[1], qkv.strides[4]};
  view.data = qkv.as<float>() + part * qkv.strides[2];
  view.contiguous = false;
  return view;
}
/// Causal attention as one op, forward and perhaps backward.
Entry attention(std::int64_t places, bool both) {
  return {
      "attention_" + std::to_string(places) + (both ? "_both" : ""),
      [=](Work& w, std::int64_t rows) {
        const View qkv = w.floats(Blocks(rows, places).qkv);
        const auto y = w.add(Attention{{}, true, 0.125}, {qkv});
        if (both)
          w.add(AttentionBackward{{}, true, 0.125}, {w.floats(y[0].shape), qkv, y[0], y[1]});
      }};
}
/// The same by products and a softmax, as plain tensor algebra would; without the copies that cut
/// gradients out and join them.
Entry attention_composed(std::int64_t places, bool both) {
  return {
      "attention_composed_" + std::to_string(places) + (both ? "_both" : ""),
      [=](Work& w, std::int64_t rows) {
        const Blocks b(rows, places);
        const Dims turned{0, 1, 3, 2};
        const View qkv = w.floats(b.qkv);
        const View key = part_of(qkv, 1);
        const View value = part_of(qkv, 2);
        const View query = w.add(Mul{}, {part_of(qkv, 0), w.floats({})})[0];
        const View scores = w.add(Matmul{}, {query, Work::permuted(key, turned)})[0];
        const View masked = w.add(Add{}, {scores, w.floats({places, places})})[0];
        const View weights = w.add(Softmax{}, {masked})[0];
        const View y = w.add(Matmul{}, {weights, value})[0];
        w.add(Copy{}, {Work::permuted(y, {0, 2, 1, 3})});
        if (!both) return;
        const View dy = w.floats(b.heads);
        const View dweights = w.add(Matmul{}, {dy, Work::permuted(value, turned)})[0];
        w.add(Matmul{}, {Work::permuted(weights, turned), dy});
        const View dscores = w.add(SoftmaxBackward{}, {weights, dweights})[0];
        w.add(Mul{}, {w.add(Matmul{}, {dscores, key})[0], w.floats({})});
        w.add(Matmul{}, {Work::permuted(dscores, turned), query});
      }};
}

std::vector<Entry> entries() {
  std::vector<Entry> all;
  const auto add = [&](const std::string& name, Fill fill) {
    all.push_back({name, std::move(fill)});
  };
  Gelu gelu_tanh;
  gelu_tanh.approximate = GeluForm::tanh;
  GeluBackward gelu_tanh_backward;
  gelu_tanh_backward.approximate = GeluForm::tanh;
  all.push_back(unary(Relu{}));
  all.push_back(unary(Exp{}));
  all.push_back(unary(Expm1{}));
  all.push_back(unary(Log{}));
  all.push_back(unary(Tanh{}));
  all.push_back(unary(Sigmoid{}));
  all.push_back(unary(Silu{}));
  all.push_back(unary(Erf{}));
  all.push_back(unary(Gelu{}));
  all.push_back(unary(gelu_tanh, "gelu_tanh"));
  all.push_back(unary(Softplus{}));
  all.push_back(unary(Copy{}, "copy"));
  add("add", [](Work& w, std::int64_t rows) {
    w.add(Add{}, {w.floats({rows, 1024}), w.floats({rows, 1024})});
  });
  add("add_bias", [](Work& w, std::int64_t rows) {
    w.add(Add{}, {w.floats({rows, 1024}), w.floats({1024})});
  });
  add("gelu_backward", [](Work& w, std::int64_t rows) {
    w.add(GeluBackward{}, {w.floats({rows, 1024}), w.floats({rows, 1024})});
  });
  add("gelu_tanh_backward", [=](Work& w, std::int64_t rows) {
    w.add(gelu_tanh_backward, {w.floats({rows, 1024}), w.floats({rows, 1024})});
  });

  add("softmax", [](Work& w, std::int64_t rows) { w.add(Softmax{}, {w.floats({rows, 1024})}); });
  add("softmax_both", [](Work& w, std::int64_t rows) {
    const auto y = w.add(Softmax{}, {w.floats({rows, 1024})});
    w.add(SoftmaxBackward{}, {y[0], w.floats({rows, 1024})});
  });
  add("log_softmax_both", [](Work& w, std::int64_t rows) {
    const auto y = w.add(LogSoftmax{}, {w.floats({rows, 1024})});
    w.add(LogSoftmaxBackward{}, {y[0], w.floats({rows, 1024})});
  });
  add("softmax_dim0", [](Work& w, std::int64_t rows) {
    Softmax op;
    op.dim = 0;
    w.add(op, {w.floats({rows, 1024})});
  });
  add("layer_norm", [](Work& w, std::int64_t rows) {
    w.add(LayerNorm{}, {w.floats({rows, 1024}), w.floats({1024}), w.floats({1024})});
  });
  add("layer_norm_both", [](Work& w, std::int64_t rows) {
    const View x = w.floats({rows, 1024});
    const View weight = w.floats({1024});
    const auto y = w.add(LayerNorm{}, {x, weight, w.floats({1024})});
    w.add(LayerNormBackward{}, {w.floats({rows, 1024}), x, y[1], y[2], weight});
  });
  add("rms_norm", [](Work& w, std::int64_t rows) {
    w.add(RmsNorm{}, {w.floats({rows, 1024}), w.floats({1024})});
  });
  add("rms_norm_both", [](Work& w, std::int64_t rows) {
    const View x = w.floats({rows, 1024});
    const View weight = w.floats({1024});
    const auto y = w.add(RmsNorm{}, {x, weight});
    w.add(RmsNormBackward{}, {w.floats({rows, 1024}), x, y[1], weight});
  });
  for (const std::int64_t places : {128, 1024, 2048})
    for (const bool both : {false, true}) {
      all.push_back(attention(places, both));
      all.push_back(attention_composed(places, both));
    }
  add("cross_entropy", [](Work& w, std::int64_t rows) {
    w.add(CrossEntropy{}, {w.floats({rows, 1024}), w.numbers({rows}, 1024)});
  });
  add("cross_entropy_both", [](Work& w, std::int64_t rows) {
    const View x = w.floats({rows, 1024});
    const View classes = w.numbers({rows}, 1024);
    const auto y = w.add(CrossEntropy{}, {x, classes});
    w.add(CrossEntropyBackward{}, {w.floats({}), x, classes, y[1], y[2]});
  });
  add("cross_entropy_both_soft", [](Work& w, std::int64_t rows) {
    const View x = w.floats({rows, 1024});
    const View target = w.floats({rows, 1024}, 0, 1.0 / 512);
    const auto y = w.add(CrossEntropy{}, {x, target});
    w.add(CrossEntropyBackward{}, {w.floats({}), x, target, y[1], y[2]});
  });
  add("batch_norm_both", [](Work& w, std::int64_t rows) {
    const Shape shape{rows / 16, 64, 16, 16};
    const View x = w.floats(shape);
    const View weight = w.floats({64});
    const auto y = w.add(
        BatchNormTrain{}, {x, weight, w.floats({64}), w.floats({64}), w.floats({64}, 0.5, 1)});
    w.add(BatchNormBackward{}, {w.floats(shape), x, y[1], weight});
  });
  add("batch_norm_rows_both", [](Work& w, std::int64_t rows) {
    const View x = w.floats({rows, 1024});
    const View weight = w.floats({1024});
    const auto y = w.add(
        BatchNormTrain{},
        {x, weight, w.floats({1024}), w.floats({1024}), w.floats({1024}, 0.5, 1)});
    w.add(BatchNormBackward{}, {w.floats({rows, 1024}), x, y[1], weight});
  });

  add("transpose", [](Work& w, std::int64_t rows) {
    // 1024 × 1024 and 4096 × 4096
    const auto side = static_cast<std::int64_t>(std::sqrt(static_cast<double>(rows * 1024)));
    w.add(Copy{}, {Work::permuted(w.floats({side, side}), {1, 0})});
  });
  add("heads", [](Work& w, std::int64_t rows) {  // [B, T, H, D] → [B, H, T, D]
    w.add(Copy{}, {Work::permuted(w.floats({rows / 32, 128, 4, 64}), {0, 2, 1, 3})});
  });
  add("heads_turned", [](Work& w, std::int64_t rows) {  // [B, T, H, D] → [B, H, D, T]
    w.add(Copy{}, {Work::permuted(w.floats({rows / 32, 128, 4, 64}), {0, 2, 3, 1})});
  });
  add("channels_last", [](Work& w, std::int64_t rows) {
    w.add(Copy{}, {Work::permuted(w.floats({rows / 16, 64, 16, 16}), {0, 2, 3, 1})});
  });
  add("add_transposed", [](Work& w, std::int64_t rows) {
    const auto side = static_cast<std::int64_t>(std::sqrt(static_cast<double>(rows * 1024)));
    w.add(Add{}, {w.floats({side, side}), Work::permuted(w.floats({side, side}), {1, 0})});
  });

  add("sum", [](Work& w, std::int64_t rows) { w.add(Sum{}, {w.floats({rows, 1024})}); });
  add("sum_dim1", [](Work& w, std::int64_t rows) {
    w.add(fold_over<Sum>({1}, false), {w.floats({rows, 1024})});
  });
  add("sum_dim0", [](Work& w, std::int64_t rows) {
    w.add(fold_over<Sum>({0}, false), {w.floats({rows, 1024})});
  });
  add("sum_channels", [](Work& w, std::int64_t rows) {
    w.add(fold_over<Sum>({0, 2, 3}, false), {w.floats({rows / 16, 64, 16, 16})});
  });
  add("amax_dim1", [](Work& w, std::int64_t rows) {
    w.add(fold_over<Amax>({1}, false), {w.floats({rows, 1024})});
  });
  add("argmax_dim1", [](Work& w, std::int64_t rows) {
    w.add(fold_over<Argmax>({1}, false), {w.floats({rows, 1024})});
  });
  add("cumsum_dim1", [](Work& w, std::int64_t rows) {
    Cumsum op;
    op.dim = 1;
    w.add(op, {w.floats({rows, 1024})});
  });
  add("cumsum_dim0", [](Work& w, std::int64_t rows) { w.add(Cumsum{}, {w.floats({rows, 1024})}); });
  add("gather_dim1", [](Work& w, std::int64_t rows) {
    Gather op;
    op.dim = 1;
    w.add(op, {w.floats({rows, 1024}), w.numbers({rows, 1024}, 1024)});
  });
  add("gather_dim0", [](Work& w, std::int64_t rows) {
    w.add(Gather{}, {w.floats({rows, 1024}), w.numbers({rows, 1024}, rows)});
  });
  add("gather_dim1_backward", [](Work& w, std::int64_t rows) {
    GatherBackward op;
    op.dim = 1;
    op.input_shape = {rows, 1024};
    w.add(op, {w.floats({rows, 1024}), w.numbers({rows, 1024}, 1024)});
  });
  add("index_select_dim0", [](Work& w, std::int64_t rows) {
    w.add(IndexSelect{}, {w.floats({rows, 1024}), w.numbers({rows}, rows)});
  });
  add("index_select_dim1", [](Work& w, std::int64_t rows) {
    IndexSelect op;
    op.dim = 1;
    w.add(op, {w.floats({rows, 1024}), w.numbers({1024}, 1024)});
  });
  add("embedding", [](Work& w, std::int64_t rows) {
    w.add(Embedding{}, {w.numbers({rows * 4}, 256), w.floats({256, 256})});
  });
  add("embedding_backward", [](Work& w, std::int64_t rows) {
    EmbeddingBackward op;
    op.rows = 256;
    w.add(op, {w.floats({rows * 4, 256}), w.numbers({rows * 4}, 256)});
  });

  add("adamw", [](Work& w, std::int64_t rows) {
    AdamUpdate op;
    op.weight_decay = 0.01;
    op.decoupled = true;
    const Shape shape{rows, 1024};
    w.add(
        op,
        {w.floats(shape),
         w.floats(shape),
         w.floats(shape, 0, 1),
         w.floats(shape),
         w.doubles({1e-3, 10})},
        true);
  });
  add("sgd_momentum", [](Work& w, std::int64_t rows) {
    SgdUpdate op;
    op.momentum = 0.9;
    const Shape shape{rows, 1024};
    w.add(op, {w.floats(shape), w.floats(shape), w.floats(shape), w.doubles({1e-3, 10})}, true);
  });
  const auto mask = [](Work& w, std::int64_t rows) {
    DropoutMask op;
    op.shape = {rows, 1024};
    return w.add(op, {})[0];
  };
  add("dropout", [=](Work& w, std::int64_t rows) {
    w.add(Dropout{}, {mask(w, rows), w.floats({rows, 1024})});
  });
  add("dropout_both", [=](Work& w, std::int64_t rows) {
    const auto kept = mask(w, rows);
    w.add(Dropout{}, {kept, w.floats({rows, 1024})});
    w.add(Dropout{}, {kept, w.floats({rows, 1024})});
  });
  add("gt", [](Work& w, std::int64_t rows) {
    w.add(Gt{}, {w.floats({rows, 1024}), w.floats({rows, 1024})});
  });
  add("where", [](Work& w, std::int64_t rows) {
    const Shape shape{rows, 1024};
    w.add(Choose{}, {w.answers(shape), w.floats(shape), w.floats(shape)});
  });
  add("uniform", [](Work& w, std::int64_t rows) {
    Uniform op;
    op.shape = {rows, 1024};
    w.add(op, {});
  });
  add("normal", [](Work& w, std::int64_t rows) {
    Normal op;
    op.shape = {rows, 1024};
    w.add(op, {});
  });
  add("max_pool2d_both", [](Work& w, std::int64_t rows) {
    const MaxPool2d op{{{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}}};
    const View x = w.floats({rows / 16, 64, 16, 16});
    const auto y = w.add(op, {x});
    w.add(MaxPool2dBackward{op, x.shape}, {y[0], y[1]});
  });
  add("concat_dim1", [](Work& w, std::int64_t rows) {
    Concat op;
    op.dim = 1;
    w.add(op, {w.floats({rows, 512}), w.floats({rows, 512})});
  });
  return all;
}

void ours(benchmark::State& state, const Fill& fill, std::int64_t rows, int threads) {
  Work work;
  fill(work, rows);
  Runner runner(threads);
  for (auto _ : state) work.run(runner);
  state.SetBytesProcessed(
      static_cast<std::int64_t>(work.operand_bytes()) *
      static_cast<std::int64_t>(state.iterations()));
}

void add(const std::string& name, int threads, std::function<void(benchmark::State&)> body) {
  auto* bench = benchmark::RegisterBenchmark((name + "/t" + std::to_string(threads)).c_str(), body);
  bench->Unit(benchmark::kMicrosecond);
  if (threads > 1) bench->UseRealTime();
}

const bool registered = [] {
  const std::vector<Entry> all = entries();
  for (const int threads : {1, 2})
    for (const std::int64_t rows : {1024, 16384}) {
      const std::string size = rows == 1024 ? "/1M" : "/16M";
      const auto add_limit = [&]<Limit limit>(const char* name) {
        add("limit/" + std::string(name) + size, threads, [=](benchmark::State& state) {
          measure_limit<limit>(state, rows * 1024, threads);
        });
      };
      add_limit.template operator()<Limit::read>("read");
      add_limit.template operator()<Limit::copy>("copy");
      add_limit.template operator()<Limit::copy_streaming>("copy_streaming");
      add_limit.template operator()<Limit::triad>("triad");
      add_limit.template operator()<Limit::triad_streaming>("triad_streaming");
      for (const Entry& entry : all)
        add("onepass/" + entry.name + size, threads, [=](benchmark::State& state) {
          ours(state, entry.fill, rows, threads);
        });
    }
  return true;
}();

}  // namespace
}  // namespace troupe::cpu::bench
