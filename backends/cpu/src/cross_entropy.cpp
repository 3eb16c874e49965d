#include "axis.hpp"
#include "check_indices.hpp"
#include "contiguous.hpp"
#include "power_sum.hpp"

#include <troupe/tensor/ops/cross_entropy.hpp>

#include <limits>

// Cross entropy from logits, its gradient and its curvature. A sample is a line along the classes,
// and what it wants of them, w·q, has two parts: a dense one, which is there for probabilities and
// for label smoothing only, and a single entry at the sample's class. Losses are added in double,
// first within a chunk and then in the order of the chunks.
namespace troupe::cpu {
namespace {

template <class T>
constexpr T lowest = -std::numeric_limits<T>::infinity();

/// plan.numbers
enum Number : std::size_t { class_count, inner_size, group_count, groups_a_chunk, sample_count };

/// The inputs that the three ops share, beginning at different places, and the rule's numbers.
template <class T>
struct Job {
  const T* logits;
  const void* classes = nullptr;  ///< int64 or int32; null for probabilities
  bool classes_wide;
  const T* probabilities = nullptr;
  const T* weight = nullptr;  ///< null: 1 each
  const T* statistics =
      nullptr;  ///< of each sample the maximum; after them, log Σ exp(x − maximum)
  const T* divisor = nullptr;
  const T* dloss = nullptr;
  std::int64_t samples;
  std::int64_t ignored;
  Reduction reduction;
  T keep;   ///< what label smoothing leaves to the class
  T share;  ///< and what it gives to each
  T weight_sum;

  /// `logits_at`: the position of the logits among the op's inputs.
  Job(const KernelCall& call, const Plan& plan, std::byte* scratch, std::size_t logits_at) {
    using C = Contiguous<Arch>;
    const auto& rule = call.op<CrossEntropyRule>();
    const auto class_total = plan.numbers[class_count];
    logits = C::in<T>(call, scratch, logits_at);
    const DType target = call.in[logits_at + 1].dtype;
    classes_wide = target == DType::int64;
    if (target == DType::float32 || target == DType::float64)
      probabilities = C::in<T>(call, scratch, logits_at + 1);
    else
      classes = C::in<std::byte>(call, scratch, logits_at + 1);
    std::size_t next = logits_at + 2;
    if (logits_at > 0) {
      dloss = C::in<T>(call, scratch, logits_at - 1);
      statistics = C::in<T>(call, scratch, next++);
      divisor = C::in<T>(call, scratch, next++);
    }
    if (next < call.in_count) weight = C::in<T>(call, scratch, next);
    samples = plan.numbers[sample_count];
    ignored = rule.ignore_index;
    reduction = rule.reduction;
    keep = static_cast<T>(1 - rule.label_smoothing);
    share = static_cast<T>(rule.label_smoothing / static_cast<double>(class_total));
    weight_sum = weight ? T(0) : static_cast<T>(class_total);
    if (weight)
      for (std::int64_t c = 0; c < class_total; ++c) weight_sum += weight[c];
  }

  [[nodiscard]] bool dense() const { return probabilities || share != 0; }
};

/// What one group of samples wants.
template <class Group, class T>
struct Wanted {
  using V = typename Group::V;
  static constexpr std::int64_t width = Group::lines;

  const Group& line;
  const Job<T>& job;
  std::int64_t sample;              ///< the group's first
  std::int64_t place[width];        ///< of each sample's class among its logits; −1: none
  T weight[width];                  ///< of that class
  alignas(64) T entry[width] = {};  ///< keep · weight
  alignas(64) T total[width] = {};  ///< Σ w·q over the classes
  bool counts[width];               ///< false: ignored

  Wanted(const Group& group, const Job<T>& of) : line(group), job(of), sample(group.first_line()) {
    for (std::int64_t i = 0; i < line.lanes; ++i) {
      place[i] = -1;
      counts[i] = true;
      weight[i] = T(1);
    }
    if (job.classes) {
      for (std::int64_t i = 0; i < line.lanes; ++i) find_class(i);
    } else {
      Group::write_down(line.sum_of([&](auto at) { return dense(at); }), total);
    }
  }

  /// The dense part of a pack of classes; 0 in lanes beyond them.
  template <class At>
  [[nodiscard]] V dense(const At& at) const {
    V share(job.share);
    if (job.probabilities) share = at.load(job.probabilities, T(0)) * V(job.keep) + share;
    return job.weight ? at.shared(job.weight) * share : at.where_active(share);
  }

 private:
  void find_class(std::int64_t i) {
    const std::int64_t c = job.classes_wide
                               ? static_cast<const std::int64_t*>(job.classes)[sample + i]
                               : static_cast<const std::int32_t*>(job.classes)[sample + i];
    // The plan has refused classes out of range; should one come here all the same, it is not
    // followed.
    counts[i] = c != job.ignored && c >= 0 && c < line.length;
    if (!counts[i]) return;
    if (job.weight) weight[i] = job.weight[c];
    place[i] = line.base + (Group::across ? c * line.stride + i : c);
    entry[i] = job.keep * weight[i];
    total[i] = entry[i] + job.share * job.weight_sum;
  }
};

/// Adds what the samples of a chunk come to, or stores it where each has a number of its own.
template <class T>
struct Sink {
  T* each;  ///< null: added
  double sum = 0;

  void take(std::int64_t sample, T value) {
    if (each)
      each[sample] = value;
    else
      sum += static_cast<double>(value);
  }
};

/// Partial sums in the kernel's scratch: of each chunk the losses, then of each the weights.
double* partials_of(const KernelCall& call, std::byte* scratch) {
  return reinterpret_cast<double*>(Contiguous<Arch>::rest(call, scratch));
}

struct Range {
  std::int64_t first;
  std::int64_t end;

  Range(const Plan& plan, std::uint32_t chunk) {
    first = chunk * plan.numbers[groups_a_chunk];
    end = first + plan.numbers[groups_a_chunk];
    if (end > plan.numbers[group_count]) end = plan.numbers[group_count];
  }
};

template <class T, bool Across>
[[gnu::flatten]] void run_loss(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using Group = Line<T, Arch, Across ? Along::across : Along::one>;
  using V = typename Group::V;
  using W = Wanted<Group, T>;
  const Job<T> job(call, plan, scratch, 0);
  T* const statistics = call.out[1].as<T>();
  Sink<T> loss{job.reduction == Reduction::none ? call.out[0].as<T>() : nullptr};
  double weights = 0;
  PowerSum<Group, T> powers(job.logits);
  const Range range(plan, chunk);
  for (std::int64_t g = range.first; g < range.end; ++g) {
    const auto line = Group::at(g, plan.numbers[class_count], plan.numbers[inner_size]);
    powers.take(line, g + 1 < range.end);
    const V most = powers.most;
    const V log_sum = log(powers.total);

    const W wanted(line, job);
    V dense(0);
    if (job.dense())
      dense = line.sum_of([&](auto at) {
        return wanted.dense(at) * (log_sum - (at.load(job.logits, T(0)) - most));
      });
    alignas(64) T dense_of[W::width];
    alignas(64) T most_of[W::width];
    alignas(64) T log_of[W::width];
    Group::write_down(dense, dense_of);
    Group::write_down(most, most_of);
    Group::write_down(log_sum, log_of);
    for (std::int64_t i = 0; i < line.lanes; ++i) {
      statistics[wanted.sample + i] = most_of[i];
      statistics[job.samples + wanted.sample + i] = log_of[i];
      T value = wanted.counts[i] ? dense_of[i] : T(0);
      if (wanted.place[i] >= 0)
        value += wanted.entry[i] * (log_of[i] - (job.logits[wanted.place[i]] - most_of[i]));
      loss.take(wanted.sample + i, value);
      // A mean over classes divides by their weights, one over probabilities by the samples.
      if (wanted.counts[i]) weights += static_cast<double>(wanted.weight[i]);
    }
  }
  double* const partials = partials_of(call, scratch);
  partials[2 * chunk] = loss.sum;
  partials[2 * chunk + 1] = weights;
}

template <class T>
void finish_loss(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte* scratch) {
  const double* const partials = partials_of(call, scratch);
  const std::uint32_t chunks = plan.phases[plan.phase_count - 2].chunks;
  double loss = 0;
  double weights = 0;
  for (std::uint32_t i = 0; i < chunks; ++i) {
    loss += partials[2 * i];
    weights += partials[2 * i + 1];
  }
  const Reduction reduction = call.op<CrossEntropyRule>().reduction;
  *call.out[2].as<T>() = static_cast<T>(weights);
  if (reduction != Reduction::none)
    *call.out[0].as<T>() = static_cast<T>(reduction == Reduction::mean ? loss / weights : loss);
}

/// What each of a group's samples has its gradient multiplied by.
template <class Group, class T>
void scales_of(const Wanted<Group, T>& wanted, T* scales) {
  const Job<T>& job = wanted.job;
  for (std::int64_t i = 0; i < Wanted<Group, T>::width; ++i) scales[i] = T(0);
  for (std::int64_t i = 0; i < wanted.line.lanes; ++i) {
    if (!wanted.counts[i]) continue;
    const T dloss = job.dloss[job.reduction == Reduction::none ? wanted.sample + i : 0];
    scales[i] = job.reduction == Reduction::mean ? dloss / job.divisor[0] : dloss;
  }
}

/// A group's probabilities from its saved statistics.
template <class Group, class T>
struct Probabilities {
  using V = typename Group::V;
  V most;
  V log_sum;

  explicit Probabilities(const Wanted<Group, T>& wanted) {
    const T* of = wanted.job.statistics + wanted.sample;
    const std::int64_t lanes = wanted.line.lanes;
    if constexpr (Group::across) {
      load_some(most, of, lanes, T(0));
      load_some(log_sum, of + wanted.job.samples, lanes, T(0));
    } else {
      most = V(of[0]);
      log_sum = V(of[wanted.job.samples]);
    }
  }
  template <class At>
  V operator()(const At& at, const T* logits) const {
    return exp_below_one(at.load(logits, lowest<T>) - most - log_sum);
  }
};

template <class T, bool Across>
[[gnu::flatten]] void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using Group = Line<T, Arch, Across ? Along::across : Along::one>;
  using V = typename Group::V;
  using W = Wanted<Group, T>;
  const Job<T> job(call, plan, scratch, 1);
  T* const dx = call.out[0].as<T>();
  const Range range(plan, chunk);
  for (std::int64_t g = range.first; g < range.end; ++g) {
    const auto line = Group::at(g, plan.numbers[class_count], plan.numbers[inner_size]);
    const W wanted(line, job);
    const Probabilities<Group, T> p(wanted);
    alignas(64) T scales[W::width];
    scales_of(wanted, scales);
    const V scale = Group::spread(scales);
    const V scaled_total = scale * Group::spread(wanted.total);
    if (job.dense())
      line.each([&](auto at) {
        at.store(dx, p(at, job.logits) * scaled_total - wanted.dense(at) * scale);
      });
    else
      line.each([&](auto at) { at.store(dx, p(at, job.logits) * scaled_total); });
    for (std::int64_t i = 0; i < line.lanes; ++i)
      if (wanted.place[i] >= 0) dx[wanted.place[i]] -= scales[i] * wanted.entry[i];
  }
}

template <class T, bool Across>
[[gnu::flatten]] void run_curvature(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using Group = Line<T, Arch, Across ? Along::across : Along::one>;
  using V = typename Group::V;
  using W = Wanted<Group, T>;
  const Job<T> job(call, plan, scratch, 2);
  const T* const direction = Contiguous<Arch>::in<T>(call, scratch, 0);
  T* const dx = call.out[0].as<T>();
  Sink<T> sink{job.reduction == Reduction::none ? call.out[1].as<T>() : nullptr};
  const Range range(plan, chunk);
  for (std::int64_t g = range.first; g < range.end; ++g) {
    const auto line = Group::at(g, plan.numbers[class_count], plan.numbers[inner_size]);
    const W wanted(line, job);
    const Probabilities<Group, T> p(wanted);
    alignas(64) T scales[W::width];
    scales_of(wanted, scales);
    const V along =
        line.sum_of([&](auto at) { return p(at, job.logits) * at.load(direction, T(0)); });
    V dense(0);
    if (job.dense())
      dense = line.sum_of([&](auto at) { return wanted.dense(at) * at.load(direction, T(0)); });
    const V scaled_total = Group::spread(scales) * Group::spread(wanted.total);
    line.each([&](auto at) {
      at.store(dx, scaled_total * p(at, job.logits) * (at.load(direction, T(0)) - along));
    });
    alignas(64) T along_of[W::width];
    alignas(64) T dense_of[W::width];
    Group::write_down(along, along_of);
    Group::write_down(dense, dense_of);
    for (std::int64_t i = 0; i < line.lanes; ++i) {
      T value = wanted.total[i] * along_of[i] - dense_of[i];
      if (wanted.place[i] >= 0) value -= wanted.entry[i] * direction[wanted.place[i]];
      sink.take(wanted.sample + i, wanted.counts[i] ? value : T(0));
    }
  }
  partials_of(call, scratch)[chunk] = sink.sum;
}

template <class T>
void finish_curvature(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte* scratch) {
  const Reduction reduction = call.op<CrossEntropyRule>().reduction;
  if (reduction == Reduction::none) return;
  double sum = 0;
  const std::uint32_t chunks = plan.phases[plan.phase_count - 2].chunks;
  for (std::uint32_t i = 0; i < chunks; ++i) sum += partials_of(call, scratch)[i];
  if (reduction == Reduction::mean)
    sum /= static_cast<double>(*Contiguous<Arch>::in<T>(call, scratch, 5));
  *call.out[1].as<T>() = static_cast<T>(sum);
}

/// The instances of one op for one dtype.
struct Runs {
  Plan::Run along;
  Plan::Run across;
  Plan::Run finish;  ///< null: no second phase
};

void plan_samples(
    const KernelCall& call,
    Plan& plan,
    std::size_t logits_at,
    const Runs& narrow,
    const Runs& wide) {
  const View& logits = call.in[logits_at];
  const View& target = call.in[logits_at + 1];
  const auto axis = Axis<Arch>::of(logits.shape, logits.shape.size() == 1 ? 0 : 1);
  if (target.dtype == DType::int64 || target.dtype == DType::int32)
    check_indices(
        target, 0, axis.length, "the target's class", &call.op<CrossEntropyRule>().ignore_index);
  const bool is_wide = logits.dtype == DType::float64;
  const bool across = axis.inner > 1;
  const std::int64_t width =
      is_wide ? Line<double, Arch, Along::across>::lines : Line<float, Arch, Along::across>::lines;
  const std::int64_t groups = across ? axis.outer * ((axis.inner + width - 1) / width) : axis.outer;
  const std::int64_t group_elements = (axis.length + 8) * (across ? width : 1);
  const std::int64_t per_chunk = group_elements < 16384 ? 16384 / group_elements : 1;
  // One chunk also when there is no sample: the sums must be written.
  const std::int64_t chunks = groups == 0 ? 1 : (groups + per_chunk - 1) / per_chunk;
  Contiguous<Arch>::plan(call, plan, static_cast<std::size_t>(chunks) * 2 * sizeof(double));
  plan.numbers = {axis.length, axis.inner, groups, per_chunk, axis.outer * axis.inner};
  plan.cost_ns += static_cast<double>(axis.outer * axis.length * axis.inner) * (is_wide ? 3 : 1.5);
  const Runs& runs = is_wide ? wide : narrow;
  plan.add(across ? runs.across : runs.along, chunks);
  if (runs.finish) plan.add(runs.finish, 1);
}

}  // namespace

template <>
void Kernel<CrossEntropy, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_samples(
      call,
      plan,
      0,
      {&run_loss<float, false>, &run_loss<float, true>, &finish_loss<float>},
      {&run_loss<double, false>, &run_loss<double, true>, &finish_loss<double>});
}

template <>
void Kernel<CrossEntropyBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_samples(
      call,
      plan,
      1,
      {&run_backward<float, false>, &run_backward<float, true>, nullptr},
      {&run_backward<double, false>, &run_backward<double, true>, nullptr});
}

template <>
void Kernel<CrossEntropyCurvature, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_samples(
      call,
      plan,
      2,
      {&run_curvature<float, false>, &run_curvature<float, true>, &finish_curvature<float>},
      {&run_curvature<double, false>, &run_curvature<double, true>, &finish_curvature<double>});
}

}  // namespace troupe::cpu
