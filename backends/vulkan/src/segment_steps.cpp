#include "segment_steps.hpp"

#include "encoder.hpp"
#include "vulkan_device.hpp"

#include <algorithm>
#include <utility>

namespace troupe::vulkan {

namespace {

std::string number(std::size_t n) { return std::to_string(n); }

std::size_t arity_of(const Segment::Step& step) {
  const std::size_t arity = step.op->info().arity;
  if (arity == 0) misfit(std::string(step.op->info().name) + " is not elementwise");
  return arity;
}

std::vector<DType> dtypes_of(std::span<const Value> values) {
  std::vector<DType> dtypes;
  for (const Value& value : values) dtypes.push_back(value->dtype());
  return dtypes;
}

}  // namespace

void misfit(const std::string& what) {
  throw Error(ErrorCode::internal, "a segment's parts do not fit: " + what);
}

std::string_view glsl_type(DType dtype) noexcept {
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

SegmentSteps::SegmentSteps(
    const VulkanDevice& device, const Segment& segment, std::vector<DType> inputs)
    : segment_(segment), dtypes_(std::move(inputs)) {
  for (const Segment::Step& step : segment.steps) add(device, step);
  results_.assign(segment.outputs.begin(), segment.outputs.end());
  if (results_.empty()) results_.push_back(dtypes_.size() - 1);
}

SegmentSteps::SegmentSteps(
    const Encoder& encoder, const Segment& segment, std::span<const Value> inputs)
    : SegmentSteps(encoder.device(), segment, dtypes_of(inputs)) {}

std::string SegmentSteps::functions() && {
  for (std::size_t i = 0; i < dtype_count; ++i) write_steps(static_cast<DType>(i));
  write_segment();
  return std::move(text_);
}

void SegmentSteps::add(const VulkanDevice& device, const Segment::Step& step) {
  const std::size_t arity = arity_of(step);
  for (std::size_t i = 0; i < arity; ++i)
    if (step.from[i] >= dtypes_.size()) misfit("a step reads what comes later");
  const DType dtype = dtypes_[step.from[arity - 1]];
  GlslExpression expression = expression_of(*step.op, dtype);
  if (!expression.there) device.refuse(dtype, step.op->info().name);
  for (std::size_t i = expression.condition ? 1 : 0; i < arity; ++i)
    if (dtypes_[step.from[i]] != dtype) misfit("a step reads two dtypes");
  if (expression.condition && glsl_type(dtypes_[step.from[0]]) != "uint8_t")
    misfit("a condition is no bool");
  dtypes_.push_back(expression.answers ? DType::boolean : dtype);
  computed_in_.push_back(dtype);
  expressions_.push_back(std::move(expression));
}

/// The steps that compute in a dtype, each a function, behind the words for that dtype.
void SegmentSteps::write_steps(DType dtype) {
  if (std::find(computed_in_.begin(), computed_in_.end(), dtype) == computed_in_.end()) return;
  const std::string name = "DTYPE_" + std::string(name_of(dtype));
  // In GLSL bool and uint8 are one type, but their powers differ.
  constexpr std::string_view words[] = {
      "t_max", "t_min", "t_div_trunc", "t_fmod", "t_div_floor", "t_pow"};
  if (dtype == DType::boolean)
    for (const std::string_view word : words)
      text_ += "#define " + std::string(word) + " " + std::string(word) + "_bool\n";
  text_ += "#define T " + std::string(glsl_type(dtype)) + "\n#define " + name + "\n";
  text_ += shader_text("expression.glsl");
  for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
    if (computed_in_[i] != dtype) continue;
    const GlslExpression& expression = expressions_[i];
    text_ += std::string(glsl_type(dtypes_[segment_.inputs + i])) + " compute_" + number(i) + "(";
    for (std::size_t k = 0; k < expression.arity; ++k)
      text_ += (k > 0 ? ", " : "") + std::string(glsl_type(dtypes_[segment_.steps[i].from[k]])) +
               " x" + number(k);
    text_ += ") {\n" + expression.body + "}\n";
  }
  text_ += "#undef T\n#undef UNSIGNED\n#undef " + name + "\n";
  if (dtype == DType::boolean)
    for (const std::string_view word : words) text_ += "#undef " + std::string(word) + "\n";
}

/// All steps for one element.
void SegmentSteps::write_segment() {
  text_ += "void segment(";
  for (std::size_t k = 0; k < segment_.inputs; ++k)
    text_ += std::string(glsl_type(dtypes_[k])) + " r" + number(k) + ", ";
  for (std::size_t k = 0; k < results_.size(); ++k)
    text_ += (k > 0 ? ", out " : "out ") + std::string(glsl_type(result(k))) + " y" + number(k);
  text_ += ") {\n";
  for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
    const std::size_t at = segment_.inputs + i;
    text_ += "  const " + std::string(glsl_type(dtypes_[at])) + " r" + number(at) + " = compute_" +
             number(i) + "(";
    for (std::size_t k = 0; k < expressions_[i].arity; ++k)
      text_ += (k > 0 ? ", r" : "r") + number(segment_.steps[i].from[k]);
    text_ += ");\n";
  }
  for (std::size_t k = 0; k < results_.size(); ++k)
    text_ += "  y" + number(k) + " = r" + number(results_[k]) + ";\n";
  text_ += "}\n";
}

}  // namespace troupe::vulkan
