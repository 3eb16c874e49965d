#include "chain.hpp"

#include "segment_steps.hpp"
#include "vulkan_device.hpp"

#include <string>
#include <utility>
#include <vector>

namespace troupe::vulkan {

namespace {

using Place = ChainPlaces::Place;

/// Of a fold's own shader, the most.
constexpr std::size_t own_bindings_max = 4;
constexpr std::size_t own_params_bytes = 36;

constexpr std::string_view split_params = "uint split; uint split_multiplier; uint split_shift;";

std::string number(std::size_t n) { return std::to_string(n); }

/// What takes the place of shaders/element.glsl.
std::string text_of(
    SegmentSteps steps,
    const FoldedChain& chain,
    const ChainPlaces& places,
    std::uint32_t more_bindings_at) {
  const std::string own(glsl_type(chain.dtype));
  const std::string macro = "DTYPE_" + std::string(name_of(chain.dtype));
  const std::size_t inputs = chain.inputs.size();
  std::string text;
  std::size_t at = more_bindings_at;
  for (std::size_t k = 0; k < inputs; ++k)
    text += "BINDING(" + number(k == 0 ? 0 : at++) + ", readonly, " +
            std::string(glsl_type(steps.input(k))) + ", chain_in" + number(k) + ")\n";
  for (std::size_t k = 0; k < chain.stored.size(); ++k)
    text += "BINDING(" + number(at++) + ", writeonly, " + std::string(glsl_type(steps.result(k))) +
            ", chain_out" + number(k) + ")\n";
  text += shader_text("math.glsl");
  text += shader_text("divide.glsl");

  std::string body = own + " element(uint place) {\n";
  body += "  const uint line = divide_by(place, push.split_multiplier, push.split_shift);\n";
  const std::size_t results = chain.segment.outputs.size();
  for (std::size_t k = 0; k < results; ++k)
    body += "  " + std::string(glsl_type(steps.result(k))) + " y" + number(k) + ";\n";
  body += "  segment(";
  for (std::size_t k = 0; k < inputs; ++k) {
    const Place place = places.of_input[k];
    body += "AT(chain_in" + number(k) + ", " +
            (place == Place::alike ? "place"
             : place == Place::row ? "place - line * push.split"
             : place == Place::one ? "0u"
                                   : "line") +
            "), ";
  }
  for (std::size_t k = 0; k < results; ++k) body += (k > 0 ? ", y" : "y") + number(k);
  body += ");\n";
  for (std::size_t k = 0; k < chain.stored.size(); ++k)
    body += "  AT(chain_out" + number(k) + ", place) = y" + number(k) + ";\n";
  body += "  return y" + number(chain.folded) + ";\n}\n";

  text += "#undef T\n#undef " + macro + "\n" + std::move(steps).functions();
  text += "#define T " + own + "\n#define " + macro + "\n" + body;
  text += "#define ELEMENT(PLACE) element(PLACE)\n";
  return text;
}

/// What tells the shaders of one segment apart.
std::uint64_t form_of(
    const OpInfo& fold, const FoldedChain& chain, const ChainPlaces& places) noexcept {
  std::uint64_t form = static_cast<std::uint64_t>(fold.id);
  form = form << 4 | chain.stored.size();
  form = form << 4 | chain.folded;
  for (const Place place : places.of_input) form = form << 2 | static_cast<std::uint64_t>(place);
  return form;
}

}  // namespace

std::optional<ChainPlaces> ChainPlaces::of(
    const Shape& shape, std::span<const Shape> inputs) noexcept {
  ChainPlaces places;
  bool split = false;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const std::size_t missing = shape.size() - inputs[k].size();
    // From the last axis on: elements of it that are stepped through before it repeats, or that it
    // repeats before a step, and whether that changes again.
    std::int64_t inner = 1;
    int turns = 0;
    bool steps = false;
    bool any = false;
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (shape[d] == 1) continue;
      const bool here = d >= missing && inputs[k][d - missing] != 1;
      if (any && here != steps) ++turns;
      if (turns == 0) inner *= shape[d];
      any = true;
      steps = here;
    }
    if (turns > 1) return std::nullopt;
    if (turns == 0) {
      places.of_input[k] = any && !steps ? Place::one : Place::alike;
      continue;
    }
    // `steps` is the outermost axis' now.
    places.of_input[k] = steps ? Place::column : Place::row;
    if (split && places.split != inner) return std::nullopt;
    split = true;
    places.split = static_cast<std::uint32_t>(inner);
  }
  return places;
}

bool chain_has_room(std::size_t inputs, std::size_t stored) noexcept {
  const std::size_t bindings = own_bindings_max + inputs - 1 + stored;
  // By addresses, which are the longer ones: all devices take the same way.
  return bindings <= bindings_max &&
         8 * bindings + own_params_bytes + sizeof(Divisor) <= push_bytes_max;
}

ChainShader::ChainShader(Encoder& encoder, const Shader& shader, const FoldInput& input)
    : shader_(&shader) {
  if (input.x) {
    inputs_[count_++] = input.x;
    return;
  }
  const FoldedChain& chain = *encoder.chain();
  if (chain.inputs.empty() || chain.segment.inputs != chain.inputs.size() ||
      !chain_has_room(chain.inputs.size(), chain.stored.size()))
    misfit("a chain has other inputs or outputs");
  std::vector<Shape> shapes;
  for (const Value& value : chain.inputs) {
    shapes.push_back(value->shape());
    inputs_[count_++] = encoder.contiguous(value);
  }
  stored_ = chain.stored;
  const std::optional<ChainPlaces> places = ChainPlaces::of(chain.shape, shapes);
  if (!places) misfit("a chain's inputs are repeated in too many ways");
  split_ = Divisor::of(places->split);

  VulkanDevice& device = encoder.device();
  const std::uint64_t form = form_of(encoder.launch().op->info(), chain, *places);
  shader_ = device.chain_shaders().find(chain.segment, chain.inputs, form);
  if (shader_) return;
  SegmentSteps steps(encoder, chain.segment, chain.inputs);
  if (steps.result(chain.folded) != chain.dtype) misfit("a chain's result has another dtype");
  const auto more = static_cast<std::uint32_t>(chain.inputs.size() - 1 + chain.stored.size());
  shader_ = &device.compiler().compile_varied(
      shader,
      {"element.glsl",
       text_of(std::move(steps), chain, *places, shader.bindings),
       more,
       split_params});
  device.chain_shaders().add(chain.segment, chain.inputs, form, *shader_);
}

OperandList ChainShader::operands(std::initializer_list<Operand> others) const noexcept {
  OperandList all;
  all.add(read(inputs_[0]));
  all.add(others);
  for (std::size_t k = 1; k < count_; ++k) all.add(read(inputs_[k]));
  for (const Value& value : stored_) all.add(write(value));
  return all;
}

}  // namespace troupe::vulkan
