#include "contiguous.hpp"
#include "lanes.hpp"
#include "pool_pairs.hpp"
#include "unsupported.hpp"

#include <troupe/tensor/ops/max_pool2d.hpp>

#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

// Max pooling by planes [H, W]. Windows of 2×2 that tile the plane, which convolutional networks
// use most, run on whole registers. Comparing rounds nothing, so the two ways give the same bits.
namespace troupe::cpu {
namespace {

/// Elements of a window; as a place, none.
std::int64_t window_size(const MaxPool2dRule& rule) noexcept {
  return rule.kernel_size[0] * rule.kernel_size[1];
}

/// What the chunks of the kernels need to know.
struct Windows {
  std::int64_t height, width;  ///< of an input plane
  std::int64_t out_height, out_width;
  std::int64_t first_plane, end_plane;  ///< of this chunk
  const MaxPool2dRule& rule;

  Windows(const KernelCall& call, const Plan& plan, std::uint32_t chunk)
      : height(plan.numbers[0]),
        width(plan.numbers[1]),
        out_height(plan.numbers[2]),
        out_width(plan.numbers[3]),
        first_plane(chunk * plan.numbers[5]),
        end_plane(first_plane + plan.numbers[5]),
        rule(call.op<MaxPool2dRule>()) {
    if (end_plane > plan.numbers[4]) end_plane = plan.numbers[4];
  }

  /// Where the place `k` of the window at output (i, j) lies in its input plane; −1 for the
  /// padding, and for none.
  [[nodiscard]] std::int64_t input_of(std::int64_t i, std::int64_t j, std::int64_t k) const {
    if (k == window_size(rule)) return -1;
    const std::int64_t y =
        i * rule.stride[0] - rule.padding[0] + k / rule.kernel_size[1] * rule.dilation[0];
    const std::int64_t x =
        j * rule.stride[1] - rule.padding[1] + k % rule.kernel_size[1] * rule.dilation[1];
    return y < 0 || y >= height || x < 0 || x >= width ? -1 : y * width + x;
  }
};

/// An element as what it is compared and added as, and back: exact, but for sums.
template <class T>
Compared<T> compared(T x) noexcept {
  if constexpr (std::is_same_v<T, BFloat16>) {
    const std::uint32_t bits = std::uint32_t{x.bits} << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  } else {
    return x;
  }
}
template <class T>
T element_of(Compared<T> x) noexcept {
  if constexpr (std::is_same_v<T, BFloat16>) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    // To the nearest, halves to even. A NaN that was one of 16 bits has nothing to round.
    if (x == x) bits += 0x7fff + (bits >> 16 & 1);
    return {static_cast<std::uint16_t>(bits >> 16)};
  } else {
    return x;
  }
}

/// What stands for a place's type where places are not kept.
struct NoPlace {};

/// Whether a pooling goes on with relu.
template <bool Places>
bool has_relu(const KernelCall& call) noexcept {
  return call.op<std::conditional_t<Places, MaxPool2d, MaxPool2dValues>>().relu;
}

/// Windows are cut to what lies inside the plane before they are looked at, and the comparison is a
/// select: which element wins cannot be predicted.
template <class T, class Place>
void forward_plane(const Windows& windows, bool relu, const T* x, T* y, Place* places) {
  using Value = Compared<T>;
  const MaxPool2dRule& rule = windows.rule;
  /// The first place of a window along an axis that lies inside.
  const auto first_inside = [&](std::int64_t begin, std::size_t axis) {
    const std::int64_t step = rule.dilation[axis];
    return begin < 0 ? (step - 1 - begin) / step : 0;
  };
  const auto end_inside = [&](std::int64_t begin, std::size_t axis, std::int64_t size) {
    const std::int64_t fit = (size - begin + rule.dilation[axis] - 1) / rule.dilation[axis];
    return fit < rule.kernel_size[axis] ? fit : rule.kernel_size[axis];
  };
  for (std::int64_t i = 0; i < windows.out_height; ++i) {
    const std::int64_t top = i * rule.stride[0] - rule.padding[0];
    const std::int64_t first_row = first_inside(top, 0);
    const std::int64_t end_row = end_inside(top, 0, windows.height);
    for (std::int64_t j = 0; j < windows.out_width; ++j) {
      const std::int64_t left = j * rule.stride[1] - rule.padding[1];
      const std::int64_t first_column = first_inside(left, 1);
      const std::int64_t end_column = end_inside(left, 1, windows.width);
      Value most = -std::numeric_limits<Value>::infinity();
      std::int64_t where = first_row * rule.kernel_size[1] + first_column;
      for (std::int64_t k = first_row; k < end_row; ++k) {
        const T* row = x + (top + k * rule.dilation[0]) * windows.width + left;
        for (std::int64_t l = first_column; l < end_column; ++l) {
          const Value value = compared(row[l * rule.dilation[1]]);
          const bool better = (value > most) | (value != value);
          most = better ? value : most;
          where = better ? k * rule.kernel_size[1] + l : where;
        }
      }
      if (relu && !(most > Value(0))) {
        if (most == most) most = Value(0);
        where = window_size(rule);
      }
      *y++ = element_of<T>(most);
      if constexpr (!std::is_same_v<Place, NoPlace>) *places++ = static_cast<Place>(where);
    }
  }
}

template <class T, class Place>
void run_forward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Windows windows(call, plan, chunk);
  const T* x = Contiguous<Arch>::in<T>(call, scratch, 0);
  const std::int64_t in_size = windows.height * windows.width;
  const std::int64_t out_size = windows.out_height * windows.out_width;
  constexpr bool keeps = !std::is_same_v<Place, NoPlace>;
  const bool relu = has_relu<keeps>(call);
  for (std::int64_t p = windows.first_plane; p < windows.end_plane; ++p) {
    Place* places = nullptr;
    if constexpr (keeps) places = call.out[1].as<Place>() + p * out_size;
    forward_plane(windows, relu, x + p * in_size, call.out[0].as<T>() + p * out_size, places);
  }
}

/// The sums of a plane: in place, or, of 16-bit floats where windows overlap, in the scratch.
template <class T>
Compared<T>* sums_of_plane(
    const KernelCall& call, std::byte* scratch, std::int64_t plane, std::int64_t size) {
  if constexpr (std::is_same_v<T, BFloat16>)
    return reinterpret_cast<float*>(Contiguous<Arch>::rest(call, scratch)) + plane * size;
  else
    return call.out[0].as<T>() + plane * size;
}

template <class T, class Place>
void run_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Windows windows(call, plan, chunk);
  const std::int64_t in_size = windows.height * windows.width;
  const std::int64_t out_size = windows.out_height * windows.out_width;
  for (std::int64_t p = windows.first_plane; p < windows.end_plane; ++p) {
    const T* dy = Contiguous<Arch>::in<T>(call, scratch, 0) + p * out_size;
    const Place* places = Contiguous<Arch>::in<Place>(call, scratch, 1) + p * out_size;
    Compared<T>* const sums = sums_of_plane<T>(call, scratch, p, in_size);
    for (std::int64_t i = 0; i < in_size; ++i) sums[i] = 0;
    for (std::int64_t i = 0; i < windows.out_height; ++i)
      for (std::int64_t j = 0; j < windows.out_width; ++j) {
        const std::int64_t at = windows.input_of(i, j, *places++);
        if (at >= 0) sums[at] += compared(*dy);
        ++dy;
      }
    if constexpr (std::is_same_v<T, BFloat16>) {
      T* const dx = call.out[0].as<T>() + p * in_size;
      for (std::int64_t i = 0; i < in_size; ++i) dx[i] = element_of<T>(sums[i]);
    }
  }
}

template <class T, class Place>
void run_take(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Windows windows(call, plan, chunk);
  const std::int64_t in_size = windows.height * windows.width;
  const std::int64_t out_size = windows.out_height * windows.out_width;
  for (std::int64_t p = windows.first_plane; p < windows.end_plane; ++p) {
    const T* x = Contiguous<Arch>::in<T>(call, scratch, 0) + p * in_size;
    const Place* places = Contiguous<Arch>::in<Place>(call, scratch, 1) + p * out_size;
    T* y = call.out[0].as<T>() + p * out_size;
    for (std::int64_t i = 0; i < windows.out_height; ++i)
      for (std::int64_t j = 0; j < windows.out_width; ++j) {
        const std::int64_t at = windows.input_of(i, j, *places++);
        *y++ = at >= 0 ? x[at] : T{};
      }
  }
}

template <class T, int N, bool Places>
void run_pairs_forward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Windows windows(call, plan, chunk);
  const T* x = Contiguous<Arch>::in<T>(call, scratch, 0);
  const bool relu = has_relu<Places>(call);
  for (std::int64_t p = windows.first_plane; p < windows.end_plane; ++p)
    for (std::int64_t i = 0; i < windows.out_height; ++i) {
      const T* upper = x + (p * windows.height + 2 * i) * windows.width;
      const std::int64_t out = (p * windows.out_height + i) * windows.out_width;
      T* const y = call.out[0].as<T>() + out;
      std::uint8_t* const places = Places ? call.out[1].as<std::uint8_t>() + out : nullptr;
      const bool last = p + 1 == windows.end_plane && i + 1 == windows.out_height;
      for_row<T, N, Arch>(windows.out_width, last, [&]<class Piece>(std::int64_t j) {
        Piece::forward(
            upper + 2 * j,
            upper + windows.width + 2 * j,
            relu,
            y + j,
            Places ? places + j : nullptr);
      });
    }
}

template <class T, int N>
void run_pairs_backward(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Windows windows(call, plan, chunk);
  const T* dys = Contiguous<Arch>::in<T>(call, scratch, 0);
  const auto* all_places = Contiguous<Arch>::in<std::uint8_t>(call, scratch, 1);
  const std::int64_t covered = 2 * windows.out_width;
  for (std::int64_t p = windows.first_plane; p < windows.end_plane; ++p) {
    T* plane = call.out[0].as<T>() + p * windows.height * windows.width;
    for (std::int64_t i = 0; i < windows.out_height; ++i) {
      T* upper = plane + 2 * i * windows.width;
      T* lower = upper + windows.width;
      const std::int64_t out = (p * windows.out_height + i) * windows.out_width;
      const bool last = p + 1 == windows.end_plane && i + 1 == windows.out_height;
      for_row<T, N, Arch>(windows.out_width, last, [&]<class Piece>(std::int64_t j) {
        Piece::backward(dys + out + j, all_places + out + j, upper + 2 * j, lower + 2 * j);
      });
      for (std::int64_t j = covered; j < windows.width; ++j) upper[j] = lower[j] = T{};
    }
    // A last row or column that no window covers.
    for (std::int64_t j = 2 * windows.out_height * windows.width;
         j < windows.height * windows.width;
         ++j)
      plane[j] = T{};
  }
}

enum class Pass { forward, forward_values, backward };

/// The kernel for rows of such a length; null for those that are too short.
template <class T, Pass Which>
Plan::Run pairs(std::int64_t out_width) {
  Plan::Run run = nullptr;
  with_piece<T, Arch>(out_width, [&]<int N>() {
    if constexpr (Which == Pass::backward)
      run = &run_pairs_backward<T, N>;
    else
      run = &run_pairs_forward<T, N, Which == Pass::forward>;
  });
  return run;
}

/// Cuts the planes; `pooled` is a tensor of the pooled shape, `plane` one of the other.
void plan_planes(
    const KernelCall& call,
    Plan& plan,
    const View& plane,
    const View& pooled,
    std::size_t own_bytes = 0) {
  Contiguous<Arch>::plan(call, plan, own_bytes);
  const std::size_t rank = plane.shape.size();
  std::int64_t planes = 1;
  for (std::size_t i = 0; i + 2 < rank; ++i) planes *= plane.shape[i];
  const std::int64_t height = plane.shape[rank - 2];
  const std::int64_t width = plane.shape[rank - 1];
  const std::int64_t out_height = pooled.shape[rank - 2];
  const std::int64_t out_width = pooled.shape[rank - 1];
  const std::int64_t per_chunk = height * width < 32768 ? 32768 / (height * width) : 1;
  plan.numbers = {height, width, out_height, out_width, planes, per_chunk};
}

void add(Plan& plan, Plan::Run run, double ns_per_element) {
  const std::int64_t planes = plan.numbers[4];
  if (planes == 0) return;
  const std::int64_t elements = planes * plan.numbers[0] * plan.numbers[1];
  plan.cost_ns += static_cast<double>(elements) * ns_per_element;
  plan.add(run, (planes + plan.numbers[5] - 1) / plan.numbers[5]);
}

/// Windows that overlap cost more than their input has elements.
double window_cost(const Plan& plan, const MaxPool2dRule& rule) {
  const double looks = static_cast<double>(
      plan.numbers[2] * plan.numbers[3] * rule.kernel_size[0] * rule.kernel_size[1]);
  return looks / static_cast<double>(plan.numbers[0] * plan.numbers[1]);
}

/// Calls `use` with a null pointer to the elements' type.
template <class Use>
void with_element(std::string_view op, DType dtype, const Use& use) {
  switch (dtype) {
    case DType::float32:
      return use(static_cast<float*>(nullptr));
    case DType::float64:
      return use(static_cast<double*>(nullptr));
    case DType::bfloat16:
      return use(static_cast<BFloat16*>(nullptr));
    default:
      throw_unsupported(op, dtype);
  }
}

template <Pass Which, class Place>
void plan_forward(const KernelCall& call, Plan& plan) {
  const auto& rule = call.op<MaxPool2dRule>();
  with_element(MaxPool2d::name, call.in[0].dtype, [&]<class T>(T*) {
    plan_planes(call, plan, call.in[0], call.out[0]);
    if (tiles_of_two<Arch>(rule))
      if (const auto run = pairs<T, Which>(plan.numbers[3]))
        return add(plan, run, sizeof(T) == 8 ? 0.4 : 0.2);
    add(plan, &run_forward<T, Place>, 1.5 * window_cost(plan, rule));
  });
}

}  // namespace

template <>
void Kernel<MaxPool2d, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.out[1].dtype == DType::uint8)
    plan_forward<Pass::forward, std::uint8_t>(call, plan);
  else
    plan_forward<Pass::forward, std::int32_t>(call, plan);
}

template <>
void Kernel<MaxPool2dValues, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_forward<Pass::forward_values, NoPlace>(call, plan);
}

template <>
void Kernel<MaxPool2dBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  with_element(MaxPool2dBackward::name, call.in[0].dtype, [&]<class T>(T*) {
    if (tiles_of_two<Arch>(call.op<MaxPool2dBackward>())) {
      plan_planes(call, plan, call.out[0], call.in[1]);
      if (const auto run = pairs<T, Pass::backward>(plan.numbers[3]))
        return add(plan, run, sizeof(T) == 8 ? 0.4 : 0.2);
      plan = Plan();
    }
    const bool sums_apart = std::is_same_v<T, BFloat16>;
    const std::int64_t sums = sums_apart ? call.out[0].elements() : 0;
    plan_planes(
        call, plan, call.out[0], call.in[1], static_cast<std::size_t>(sums) * sizeof(float));
    const bool bytes = call.in[1].dtype == DType::uint8;
    add(plan, bytes ? &run_backward<T, std::uint8_t> : &run_backward<T, std::int32_t>, 1.5);
  });
}

template <>
void Kernel<MaxPool2dTake, Arch>::plan(const KernelCall& call, Plan& plan) {
  with_element(MaxPool2dTake::name, call.in[0].dtype, [&]<class T>(T*) {
    plan_planes(call, plan, call.in[0], call.in[1]);
    const bool bytes = call.in[1].dtype == DType::uint8;
    add(plan, bytes ? &run_take<T, std::uint8_t> : &run_take<T, std::int32_t>, 1);
  });
}

}  // namespace troupe::cpu
