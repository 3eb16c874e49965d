#include "segment.hpp"

#include "divisor.hpp"
#include "encoder.hpp"
#include "segment_steps.hpp"
#include "vulkan_device.hpp"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

// One shader for each segment, its inputs' dtypes and the way in which they lie, written when it is
// first asked for.
namespace troupe::vulkan {

namespace {

/// The outputs' axes, those merged that every input steps through alike.
struct Walk {
  std::size_t rank = 0;
  std::uint32_t sizes[rank_max] = {};
  std::uint32_t strides[bindings_max][rank_max] = {};  // in elements; 0 where an input repeats

  /// Whether input k lies as the outputs do.
  [[nodiscard]] bool straight(std::size_t k) const noexcept {
    std::uint32_t step = 1;
    for (std::size_t axis = rank; axis-- > 0; step *= sizes[axis])
      if (strides[k][axis] != step) return false;
    return true;
  }
  /// Whether input k is one element for all.
  [[nodiscard]] bool repeats(std::size_t k) const noexcept {
    return std::all_of(strides[k], strides[k] + rank, [](std::uint32_t x) { return x == 0; });
  }
};

Walk walk_of(const Shape& shape, std::span<const Value> inputs) {
  Walk walk;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    std::uint32_t strides[bindings_max] = {};
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const std::size_t missing = shape.size() - inputs[k]->shape().size();
      if (axis < missing || inputs[k]->shape()[axis - missing] == 1) continue;
      strides[k] = static_cast<std::uint32_t>(inputs[k]->strides()[axis - missing]);
    }
    const auto size = static_cast<std::uint32_t>(shape[axis]);
    bool merges = walk.rank > 0;
    for (std::size_t k = 0; merges && k < inputs.size(); ++k)
      merges = walk.strides[k][walk.rank - 1] == strides[k] * size;
    if (!merges) ++walk.rank;
    const std::size_t at = walk.rank - 1;
    walk.sizes[at] = (merges ? walk.sizes[at] : 1) * size;
    for (std::size_t k = 0; k < inputs.size(); ++k) walk.strides[k][at] = strides[k];
  }
  if (walk.rank == 0) {
    walk.rank = 1;
    walk.sizes[0] = 1;
    for (std::size_t k = 0; k < inputs.size(); ++k) walk.strides[k][0] = 1;
  }
  return walk;
}

/// A view of the value with the outputs' shape.
Value expanded(const Value& value, const Shape& shape) {
  Dims strides = Dims::filled(shape.size(), 0);
  const std::size_t missing = shape.size() - value->shape().size();
  for (std::size_t i = 0; i < value->shape().size(); ++i)
    if (value->shape()[i] != 1) strides[missing + i] = value->strides()[i];
  return ValueBody::view(value, {value->dtype(), shape}, strides, value->offset());
}

/// What the shader is told besides where its tensors are: invocations; sizes of all axes but the
/// first, as divisors; strides of the inputs that step.
std::size_t words_of(std::size_t rank, std::size_t stepping) {
  return stepping == 0 ? 1 : 1 + 3 * (rank - 1) + rank * stepping;
}

/// Inputs that a shader can walk through: as they are, or copies.
struct Inputs {
  Value values[bindings_max];
  std::size_t count = 0;
  Walk walk;

  [[nodiscard]] std::span<const Value> all() const noexcept { return {values, count}; }
  [[nodiscard]] bool stepping(std::size_t k) const noexcept {
    return !walk.straight(k) && !walk.repeats(k);
  }
};

Inputs walkable(
    Encoder& encoder, std::span<const Value> given, const Shape& shape, std::size_t bindings) {
  Inputs inputs;
  for (const Value& value : given) inputs.values[inputs.count++] = value;
  // By addresses, which are the longer ones: all devices take the same way.
  const std::size_t room = (push_bytes_max - 8 * bindings) / 4;
  const auto fits = [&] {
    inputs.walk = walk_of(shape, inputs.all());
    std::size_t stepping = 0;
    for (std::size_t k = 0; k < inputs.count; ++k) stepping += inputs.stepping(k) ? 1 : 0;
    return words_of(inputs.walk.rank, stepping) <= room;
  };
  if (fits()) return inputs;
  for (std::size_t k = 0; k < inputs.count; ++k)
    if (!inputs.values[k]->contiguous()) inputs.values[k] = encoder.contiguous(inputs.values[k]);
  // Still too many that repeat in turn: written out in full, one by one.
  for (std::size_t k = 0; !fits() && k < inputs.count; ++k)
    if (inputs.stepping(k))
      inputs.values[k] = encoder.contiguous(expanded(inputs.values[k], shape));
  return inputs;
}

bool loads_four(DType dtype) { return size_of(dtype) == 4 || size_of(dtype) == 1; }

/// Whether the value's first element lies where four may be loaded at once.
bool aligned(const ValueBody& value) { return value.offset() % 4 == 0; }

SegmentForm form_of(const Inputs& inputs, std::span<const Value> outputs) {
  const Walk& walk = inputs.walk;
  SegmentForm form;
  const std::size_t last = walk.rank - 1;
  form.by_four = walk.sizes[last] % 4 == 0;
  for (const Value& output : outputs)
    form.by_four = form.by_four && loads_four(output->dtype()) && aligned(*output);
  for (std::size_t k = 0; k < inputs.count; ++k) {
    if (inputs.stepping(k)) form.steps |= 1u << k;
    // An invocation's four are one element of it, or they lie side by side.
    if (walk.strides[k][last] == 0) continue;
    const Value& value = inputs.values[k];
    bool fours = loads_four(value->dtype()) && aligned(*value) && walk.strides[k][last] == 1;
    for (std::size_t axis = 0; axis < last; ++axis) fours = fours && walk.strides[k][axis] % 4 == 0;
    form.by_four = form.by_four && fours;
  }
  for (std::size_t k = 0; k < inputs.count; ++k)
    if (walk.repeats(k) || (form.by_four && walk.strides[k][last] == 0)) form.alone |= 1u << k;
  if (form.steps != 0) form.rank = static_cast<std::uint32_t>(walk.rank);
  return form;
}

std::string_view type_of_four(DType dtype) {
  return dtype == DType::float32 ? "vec4" : dtype == DType::int32 ? "ivec4" : "u8vec4";
}

/// Between four elements and two words that hold them.
constexpr std::string_view pairs_glsl = R"(
uvec4 words_of(u64vec2 x) { return uvec4(unpackUint2x32(x.x), unpackUint2x32(x.y)); }
u64vec2 pairs_of(uvec4 x) { return u64vec2(packUint2x32(x.xy), packUint2x32(x.zw)); }
vec4 vec4_of(u64vec2 x) { return uintBitsToFloat(words_of(x)); }
ivec4 ivec4_of(u64vec2 x) { return ivec4(words_of(x)); }
u64vec2 pairs_of(vec4 x) { return pairs_of(floatBitsToUint(x)); }
u64vec2 pairs_of(ivec4 x) { return pairs_of(uvec4(x)); }
)";

std::string number(std::size_t n) { return std::to_string(n); }

/// Writes a segment's shader.
class Writer {
 public:
  Writer(
      const Encoder& encoder,
      const Segment& segment,
      std::span<const Value> inputs,
      std::span<const Value> outputs,
      const SegmentForm& form)
      : segment_(segment), outputs_(outputs), form_(form), steps_(encoder, segment, inputs) {
    for (std::size_t k = 0; k < outputs.size(); ++k)
      if (steps_.result(k) != outputs[k]->dtype()) misfit("an output has another dtype");
  }

  [[nodiscard]] std::string text() {
    text_ += shader_text("troupe.glsl");
    text_ += shader_text("math.glsl");
    if (form_.rank > 1) text_ += shader_text("divide.glsl");
    if (form_.in_pairs) text_ += pairs_glsl;
    text_ += std::move(steps_).functions();
    write_bindings();
    write_main();
    return std::move(text_);
  }

 private:
  [[nodiscard]] bool four(std::size_t k) const { return form_.by_four && !(form_.alone >> k & 1); }

  /// Whether four elements are loaded and stored as pairs; bytes are one word anyway.
  [[nodiscard]] bool paired(DType dtype) const { return form_.in_pairs && size_of(dtype) == 4; }

  void write_bindings() {
    const auto binding = [&](std::size_t at, const char* access, DType dtype, bool by_four) {
      const auto alignment = size_of(dtype) * (by_four ? 4u : 1u);
      text_ += "BINDING_BY(" + number(alignment) + ", " + number(at) + ", " + access + ", " +
               std::string(
                   !by_four        ? glsl_type(dtype)
                   : paired(dtype) ? "u64vec2"
                                   : type_of_four(dtype));
    };
    for (std::size_t k = 0; k < segment_.inputs; ++k) {
      binding(k, "readonly", steps_.input(k), four(k));
      text_ += ", in" + number(k) + ")\n";
    }
    for (std::size_t k = 0; k < outputs_.size(); ++k) {
      binding(segment_.inputs + k, "writeonly", outputs_[k]->dtype(), form_.by_four);
      text_ += ", out" + number(k) + ")\n";
    }
    text_ += "PARAMS(uint n;";
    if (form_.rank > 1) text_ += " Divisor sizes[" + number(form_.rank - 1) + "];";
    for (std::size_t k = 0; k < segment_.inputs; ++k)
      if (form_.steps >> k & 1)
        text_ += " uint strides" + number(k) + "[" + number(form_.rank) + "];";
    text_ += ")\n";
  }

  void write_main() {
    text_ +=
        "layout(constant_id = 1) const uint turns = 1;\nvoid main() {\n  FOR_SPREAD(i, push.n, "
        "turns) {\n";
    if (form_.steps != 0) write_places();
    for (std::size_t k = 0; k < segment_.inputs; ++k) {
      const std::string place = form_.steps >> k & 1   ? "at" + number(k)
                                : form_.alone >> k & 1 ? "0"
                                                       : "i";
      text_ += "  const " +
               std::string(four(k) ? type_of_four(steps_.input(k)) : glsl_type(steps_.input(k))) +
               " a" + number(k) + " = ";
      const std::string element = "AT(in" + number(k) + ", " + place + ")";
      text_ += (four(k) && paired(steps_.input(k))
                    ? std::string(type_of_four(steps_.input(k))) + "_of(" + element + ")"
                    : element) +
               ";\n";
    }
    for (std::size_t k = 0; k < outputs_.size(); ++k) {
      const DType dtype = outputs_[k]->dtype();
      text_ += "  " + std::string(form_.by_four ? type_of_four(dtype) : glsl_type(dtype)) + " b" +
               number(k) + ";\n";
    }
    for (std::size_t lane = 0; lane < (form_.by_four ? 4 : 1); ++lane) {
      const std::string part = form_.by_four ? std::string(".") + "xyzw"[lane] : "";
      text_ += "  segment(";
      for (std::size_t k = 0; k < segment_.inputs; ++k)
        text_ += "a" + number(k) + (four(k) ? part : "") + ", ";
      for (std::size_t k = 0; k < outputs_.size(); ++k)
        text_ += (k > 0 ? ", b" : "b") + number(k) + part;
      text_ += ");\n";
    }
    for (std::size_t k = 0; k < outputs_.size(); ++k)
      text_ += "  AT(out" + number(k) + ", i) = " +
               (paired(outputs_[k]->dtype()) ? "pairs_of(b" + number(k) + ")" : "b" + number(k)) +
               ";\n";
    text_ += "  }\n}\n";
  }

  /// Where the invocation's elements lie in the inputs that step.
  void write_places() {
    std::string rest = "i";
    for (std::size_t axis = form_.rank; axis-- > 0;) {
      const std::string place = "p" + number(axis);
      if (axis > 0)
        text_ += "  const uint rest" + number(axis) + " = divide(" + rest + ", push.sizes[" +
                 number(axis - 1) + "]);\n  const uint " + place + " = " + rest + " - rest" +
                 number(axis) + " * push.sizes[" + number(axis - 1) + "].number;\n";
      else
        text_ += "  const uint " + place + " = " + rest + ";\n";
      rest = "rest" + number(axis);
    }
    for (std::size_t k = 0; k < segment_.inputs; ++k) {
      if (!(form_.steps >> k & 1)) continue;
      text_ += "  const uint at" + number(k) + " = ";
      for (std::size_t axis = 0; axis < form_.rank; ++axis)
        text_ += (axis > 0 ? " + p" : "p") + number(axis) + " * push.strides" + number(k) + "[" +
                 number(axis) + "]";
      text_ += ";\n";
    }
  }

  const Segment& segment_;
  std::span<const Value> outputs_;
  SegmentForm form_;
  SegmentSteps steps_;
  std::string text_;
};

void check_fit(
    const Segment& segment, std::span<const Value> inputs, std::span<const Value> outputs) {
  const std::size_t results = segment.outputs.empty() ? 1 : segment.outputs.size();
  if (segment.steps.empty() || inputs.empty() || inputs.size() != segment.inputs ||
      outputs.size() != results || inputs.size() + outputs.size() > bindings_max)
    misfit("there are more or fewer tensors");
  for (const std::uint16_t output : segment.outputs)
    if (output >= segment.inputs + segment.steps.size()) misfit("an output is no result");
  for (const Value& output : outputs)
    if (output->shape() != outputs[0]->shape()) misfit("outputs differ in shape");
}

std::uint64_t hash_of(
    const Segment& segment, std::span<const Value> inputs, std::uint64_t form) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, by words
  const auto mix = [&](std::uint64_t x) { hash = (hash ^ x) * 0x100000001b3; };
  mix(form);
  for (const Value& value : inputs) mix(static_cast<std::uint64_t>(value->dtype()));
  for (const Segment::Step& step : segment.steps) {
    mix(static_cast<std::uint64_t>(step.op->info().id));
    mix(step.from[0] | std::uint64_t{step.from[1]} << 16 | std::uint64_t{step.from[2]} << 32);
  }
  for (const std::uint16_t output : segment.outputs) mix(output);
  return hash;
}

}  // namespace

const Shader* SegmentShaders::find(
    const Segment& segment, std::span<const Value> inputs, std::uint64_t form) const noexcept {
  const std::shared_lock lock(lock_);
  const auto found = made_.find(hash_of(segment, inputs, form));
  if (found == made_.end()) return nullptr;
  for (const Entry& entry : found->second) {
    bool same = entry.form == form && entry.segment.inputs == inputs.size();
    for (std::size_t k = 0; same && k < inputs.size(); ++k)
      same = entry.dtypes[k] == inputs[k]->dtype();
    if (same && entry.segment == segment) return entry.shader;
  }
  return nullptr;
}

void SegmentShaders::add(
    const Segment& segment,
    std::span<const Value> inputs,
    std::uint64_t form,
    const Shader& shader) {
  Entry entry;
  entry.segment = segment;
  for (std::size_t k = 0; k < inputs.size(); ++k) entry.dtypes[k] = inputs[k]->dtype();
  entry.form = form;
  entry.shader = &shader;
  const std::unique_lock lock(lock_);
  made_[hash_of(segment, inputs, form)].push_back(std::move(entry));
}

void encode_segment(
    Encoder& encoder,
    const Segment& segment,
    std::span<const Value> given,
    std::span<const Value> outputs) {
  check_fit(segment, given, outputs);
  const auto n = static_cast<std::uint64_t>(outputs[0]->meta().elements());
  if (n == 0) return;
  const std::size_t bindings = given.size() + outputs.size();
  const Inputs inputs = walkable(encoder, given, outputs[0]->shape(), bindings);
  SegmentForm form = form_of(inputs, outputs);
  form.in_pairs = form.by_four && encoder.software() && encoder.device().context().info.int64;

  SegmentShaders& shaders = encoder.device().segment_shaders();
  const Shader* shader = shaders.find(segment, inputs.all(), form.code());
  if (!shader) {
    Writer writer(encoder, segment, inputs.all(), outputs, form);
    shader = &encoder.device().compiler().compile(
        segment.steps.size() == 1 ? std::string(segment.steps[0].op->info().name) : "a segment",
        static_cast<std::uint32_t>(bindings),
        writer.text());
    shaders.add(segment, inputs.all(), form.code(), *shader);
  }

  const Walk& walk = inputs.walk;
  const std::uint32_t width = form.by_four ? 4 : 1;
  std::uint32_t params[push_bytes_max / 4];
  std::size_t count = 0;
  params[count++] = static_cast<std::uint32_t>(n / width);
  for (std::size_t axis = 1; axis < form.rank; ++axis) {
    const Divisor size = Divisor::of(walk.sizes[axis] / (axis + 1 == form.rank ? width : 1));
    for (const std::uint32_t word : {size.number, size.multiplier, size.shift})
      params[count++] = word;
  }
  for (std::size_t k = 0; k < inputs.count; ++k) {
    if (!(form.steps >> k & 1)) continue;
    // The shader counts what it loads: fours along all axes, or elements, of which one serves four.
    const bool fours = form.by_four && !(form.alone >> k & 1);
    for (std::size_t axis = 0; axis < form.rank; ++axis)
      params[count++] = walk.strides[k][axis] / (fours && axis + 1 < form.rank ? width : 1);
  }
  Operand operands[bindings_max];
  const auto unit = [&](const Value& value, bool fours) {
    return fours ? width * static_cast<std::uint32_t>(size_of(value->dtype())) : 0;
  };
  for (std::size_t k = 0; k < inputs.count; ++k)
    operands[k] =
        read(inputs.values[k], unit(inputs.values[k], form.by_four && !(form.alone >> k & 1)));
  for (std::size_t k = 0; k < outputs.size(); ++k)
    operands[inputs.count + k] = write(outputs[k], unit(outputs[k], form.by_four));
  const Spread spread = encoder.spread(n / width);
  const std::uint32_t constants[] = {spread.group, spread.turns};
  encoder.dispatch(
      *shader,
      constants,
      {operands, bindings},
      std::as_bytes(std::span<const std::uint32_t>(params, count)),
      spread.grid);
}

}  // namespace troupe::vulkan
