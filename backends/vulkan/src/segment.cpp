#include "segment.hpp"

#include "divisor.hpp"
#include "encoder.hpp"
#include "expressions.hpp"
#include "vulkan_device.hpp"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

// One shader for each segment, its inputs' dtypes and the way in which they lie, written when it is
// first asked for.
namespace troupe::vulkan {

namespace {

[[noreturn]] void misfit(const std::string& what) {
  throw Error(ErrorCode::internal, "a segment's parts do not fit: " + what);
}

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

std::string_view type_of(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return "double";
    case DType::int32:
      return "int";
    case DType::int64:
      return "int64_t";
    case DType::uint8:
    case DType::boolean:
      return "uint8_t";
    default:
      return "float";
  }
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
      : segment_(segment), outputs_(outputs), form_(form) {
    for (const Value& value : inputs) dtypes_.push_back(value->dtype());
    for (const Segment::Step& step : segment.steps) add(encoder, step);
    for (std::size_t k = 0; k < outputs.size(); ++k)
      if (dtypes_[result(k)] != outputs[k]->dtype()) misfit("an output has another dtype");
  }

  [[nodiscard]] std::string text() {
    text_ += troupe_glsl;
    text_ += math_glsl;
    if (form_.rank > 1) text_ += divide_glsl;
    if (form_.in_pairs) text_ += pairs_glsl;
    for (std::size_t i = 0; i < dtype_count; ++i) write_steps(static_cast<DType>(i));
    write_bindings();
    write_segment();
    write_main();
    return std::move(text_);
  }

 private:
  /// The number of output k.
  [[nodiscard]] std::size_t result(std::size_t k) const {
    return segment_.outputs.empty() ? dtypes_.size() - 1 : segment_.outputs[k];
  }

  void add(const Encoder& encoder, const Segment::Step& step) {
    const std::size_t arity = arity_of(step);
    for (std::size_t i = 0; i < arity; ++i)
      if (step.from[i] >= dtypes_.size()) misfit("a step reads what comes later");
    const DType dtype = dtypes_[step.from[arity - 1]];
    GlslExpression expression = expression_of(*step.op, dtype);
    if (!expression.there) encoder.refuse(dtype, step.op->info().name);
    for (std::size_t i = expression.condition ? 1 : 0; i < arity; ++i)
      if (dtypes_[step.from[i]] != dtype) misfit("a step reads two dtypes");
    if (expression.condition && type_of(dtypes_[step.from[0]]) != "uint8_t")
      misfit("a condition is no bool");
    dtypes_.push_back(expression.answers ? DType::boolean : dtype);
    computed_in_.push_back(dtype);
    expressions_.push_back(std::move(expression));
  }

  /// The steps that compute in a dtype, each a function, behind the words for that dtype.
  void write_steps(DType dtype) {
    if (std::find(computed_in_.begin(), computed_in_.end(), dtype) == computed_in_.end()) return;
    const std::string name = "DTYPE_" + std::string(name_of(dtype));
    // In GLSL bool and uint8 are one type, but their powers differ.
    constexpr std::string_view words[] = {
        "t_max", "t_min", "t_div_trunc", "t_fmod", "t_div_floor", "t_pow"};
    if (dtype == DType::boolean)
      for (const std::string_view word : words)
        text_ += "#define " + std::string(word) + " " + std::string(word) + "_bool\n";
    text_ += "#define T " + std::string(type_of(dtype)) + "\n#define " + name + "\n";
    text_ += expression_glsl;
    for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
      if (computed_in_[i] != dtype) continue;
      const GlslExpression& expression = expressions_[i];
      text_ += std::string(type_of(dtypes_[segment_.inputs + i])) + " compute_" + number(i) + "(";
      for (std::size_t k = 0; k < expression.arity; ++k)
        text_ += (k > 0 ? ", " : "") + std::string(type_of(dtypes_[segment_.steps[i].from[k]])) +
                 " x" + number(k);
      text_ += ") {\n" + expression.body + "}\n";
    }
    text_ += "#undef T\n#undef UNSIGNED\n#undef " + name + "\n";
    if (dtype == DType::boolean)
      for (const std::string_view word : words) text_ += "#undef " + std::string(word) + "\n";
  }

  [[nodiscard]] bool four(std::size_t k) const { return form_.by_four && !(form_.alone >> k & 1); }

  /// Whether four elements are loaded and stored as pairs; bytes are one word anyway.
  [[nodiscard]] bool paired(DType dtype) const { return form_.in_pairs && size_of(dtype) == 4; }

  void write_bindings() {
    const auto binding = [&](std::size_t at, const char* access, DType dtype, bool by_four) {
      const bool sixteen = by_four && size_of(dtype) == 4;
      text_ += "BINDING_BY(" + std::string(sixteen ? "16, " : "4, ") + number(at) + ", " + access +
               ", " +
               std::string(
                   !by_four        ? type_of(dtype)
                   : paired(dtype) ? "u64vec2"
                                   : type_of_four(dtype));
    };
    for (std::size_t k = 0; k < segment_.inputs; ++k) {
      binding(k, "readonly", dtypes_[k], four(k));
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

  /// All steps for one element.
  void write_segment() {
    text_ += "void segment(";
    for (std::size_t k = 0; k < segment_.inputs; ++k)
      text_ += std::string(type_of(dtypes_[k])) + " r" + number(k) + ", ";
    for (std::size_t k = 0; k < outputs_.size(); ++k)
      text_ += (k > 0 ? ", out " : "out ") + std::string(type_of(outputs_[k]->dtype())) + " y" +
               number(k);
    text_ += ") {\n";
    for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
      const std::size_t at = segment_.inputs + i;
      text_ += "  const " + std::string(type_of(dtypes_[at])) + " r" + number(at) + " = compute_" +
               number(i) + "(";
      for (std::size_t k = 0; k < expressions_[i].arity; ++k)
        text_ += (k > 0 ? ", r" : "r") + number(segment_.steps[i].from[k]);
      text_ += ");\n";
    }
    for (std::size_t k = 0; k < outputs_.size(); ++k)
      text_ += "  y" + number(k) + " = r" + number(result(k)) + ";\n";
    text_ += "}\n";
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
      text_ += "  const " + std::string(four(k) ? type_of_four(dtypes_[k]) : type_of(dtypes_[k])) +
               " a" + number(k) + " = ";
      const std::string element = "AT(in" + number(k) + ", " + place + ")";
      text_ += (four(k) && paired(dtypes_[k])
                    ? std::string(type_of_four(dtypes_[k])) + "_of(" + element + ")"
                    : element) +
               ";\n";
    }
    for (std::size_t k = 0; k < outputs_.size(); ++k) {
      const DType dtype = outputs_[k]->dtype();
      text_ += "  " + std::string(form_.by_four ? type_of_four(dtype) : type_of(dtype)) + " b" +
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

  static std::size_t arity_of(const Segment::Step& step) {
    const std::size_t arity = elementwise_arity(step.op->info().id);
    if (arity == 0) misfit(std::string(step.op->info().name) + " is not elementwise");
    return arity;
  }

  const Segment& segment_;
  std::span<const Value> outputs_;
  SegmentForm form_;
  std::vector<DType> dtypes_;       // of all numbers
  std::vector<DType> computed_in_;  // of the steps
  std::vector<GlslExpression> expressions_;
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
    const Segment& segment, std::span<const Value> inputs, const SegmentForm& form) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, by words
  const auto mix = [&](std::uint64_t x) { hash = (hash ^ x) * 0x100000001b3; };
  mix(form.code());
  for (const Value& value : inputs) mix(static_cast<std::uint64_t>(value->dtype()));
  for (const Segment::Step& step : segment.steps) {
    mix(static_cast<std::uint64_t>(step.op->info().id));
    mix(step.from[0] | std::uint64_t{step.from[1]} << 16 | std::uint64_t{step.from[2]} << 32);
  }
  for (const std::uint16_t output : segment.outputs) mix(output);
  return hash;
}

}  // namespace

bool Segment::Step::operator==(const Step& other) const noexcept {
  return std::equal(from, from + 3, other.from) &&
         (op.get() == other.op.get() ||
          (op->info().id == other.op->info().id &&
           op->info().equal(op->attributes(), other.op->attributes())));
}

bool Segment::operator==(const Segment& other) const noexcept {
  return inputs == other.inputs && steps == other.steps && outputs == other.outputs;
}

const Shader* SegmentShaders::find(
    const Segment& segment, std::span<const Value> inputs, const SegmentForm& form) const noexcept {
  const std::shared_lock lock(lock_);
  const auto found = made_.find(hash_of(segment, inputs, form));
  if (found == made_.end()) return nullptr;
  for (const Entry& entry : found->second) {
    bool same = entry.form == form.code() && entry.segment.inputs == inputs.size();
    for (std::size_t k = 0; same && k < inputs.size(); ++k)
      same = entry.dtypes[k] == inputs[k]->dtype();
    if (same && entry.segment == segment) return entry.shader;
  }
  return nullptr;
}

void SegmentShaders::add(
    const Segment& segment,
    std::span<const Value> inputs,
    const SegmentForm& form,
    const Shader& shader) {
  Entry entry;
  entry.segment = segment;
  for (std::size_t k = 0; k < inputs.size(); ++k) entry.dtypes[k] = inputs[k]->dtype();
  entry.form = form.code();
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
  const Shader* shader = shaders.find(segment, inputs.all(), form);
  if (!shader) {
    Writer writer(encoder, segment, inputs.all(), outputs, form);
    shader = &encoder.device().compiler().compile(
        segment.steps.size() == 1 ? std::string(segment.steps[0].op->info().name) : "a segment",
        static_cast<std::uint32_t>(bindings),
        writer.text());
    shaders.add(segment, inputs.all(), form, *shader);
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
