#include "pipelines.hpp"

#include "checksum.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace troupe::vulkan {

namespace {

/// What stands before the driver's bytes.
struct Seal {
  char magic[8] = {'T', 'R', 'P', 'I', 'P', 'E', 'S', '1'};
  std::uint64_t checksum = 0;
};

/// The driver's bytes, if they are whole and this device's; else nothing. Drivers check what they
/// are given, but not all of them well.
std::span<const std::byte> usable(const Context& context, std::span<const std::byte> saved) {
  Seal seal;
  const Seal own_seal;
  VkPipelineCacheHeaderVersionOne header;
  if (saved.size() < sizeof seal + sizeof header) return {};
  std::memcpy(&seal, saved.data(), sizeof seal);
  saved = saved.subspan(sizeof seal);
  if (std::memcmp(seal.magic, own_seal.magic, sizeof seal.magic) != 0 ||
      seal.checksum != checksum_of(saved))
    return {};
  std::memcpy(&header, saved.data(), sizeof header);
  VkPhysicalDeviceProperties own;
  vkGetPhysicalDeviceProperties(context.physical, &own);
  const bool fits = header.headerSize >= sizeof header &&
                    header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
                    header.vendorID == own.vendorID && header.deviceID == own.deviceID &&
                    std::memcmp(header.pipelineCacheUUID, own.pipelineCacheUUID, VK_UUID_SIZE) == 0;
  return fits ? saved : std::span<const std::byte>();
}

constexpr std::uint32_t cooperative_matrix = 6022;  // SPIR-V's number of the capability

/// Calls `visit` with each capability that a shader declares.
template <class Visit>
void for_each_capability(std::span<const std::uint32_t> spirv, Visit visit) {
  constexpr std::size_t header_words = 5;
  constexpr std::uint32_t op_capability = 17;  // these instructions come first, two words each
  for (std::size_t at = header_words; at + 1 < spirv.size(); at += 2) {
    if ((spirv[at] & 0xffff) != op_capability) return;
    visit(spirv[at + 1]);
  }
}

}  // namespace

std::string lacking(const Features& features, std::span<const std::uint32_t> spirv) {
  // SPIR-V's numbers of the capabilities that devices may go without, in the specification's table.
  const struct {
    std::uint32_t number;
    bool there;
    std::string_view name;
  } optional[] = {
      {9, features.v12.shaderFloat16 != VK_FALSE, "float16 arithmetic"},
      {10, features.core.features.shaderFloat64 != VK_FALSE, "float64"},
      {11, features.core.features.shaderInt64 != VK_FALSE, "int64"},
      {22, features.core.features.shaderInt16 != VK_FALSE, "16-bit integers"},
      {39, features.v12.shaderInt8 != VK_FALSE, "8-bit integers"},
      {4433, features.v11.storageBuffer16BitAccess != VK_FALSE, "16-bit storage"},
      {4448, features.v12.storageBuffer8BitAccess != VK_FALSE, "8-bit storage"},
      {5116, features.bfloat16.shaderBFloat16Type != VK_FALSE, "bfloat16 arithmetic"},
      {5117, features.bfloat16.shaderBFloat16DotProduct != VK_FALSE, "bfloat16 dot products"},
      {5118,
       features.bfloat16.shaderBFloat16CooperativeMatrix != VK_FALSE,
       "cooperative matrices of bfloat16"},
      {5345, features.v12.vulkanMemoryModel != VK_FALSE, "Vulkan's memory model"},
      {cooperative_matrix,
       features.cooperative_matrix.cooperativeMatrix != VK_FALSE,
       "cooperative matrices"},
  };
  std::string names;
  for_each_capability(spirv, [&](std::uint32_t number) {
    for (const auto& capability : optional)
      if (capability.number == number && !capability.there)
        names += (names.empty() ? "" : ", ") + std::string(capability.name);
  });
  return names;
}

std::uint32_t required_subgroup(
    const SubgroupControl& control,
    std::span<const std::uint32_t> spirv,
    std::uint32_t group) noexcept {
  constexpr std::uint32_t group_non_uniform = 61, group_non_uniform_quad = 68;
  if (control.size == 0 || group % control.size != 0 || group / control.size > control.count_max)
    return 0;
  bool together = false;
  for_each_capability(spirv, [&](std::uint32_t number) {
    together = together || (number >= group_non_uniform && number <= group_non_uniform_quad) ||
               number == cooperative_matrix;
  });
  return together ? control.size : 0;
}

std::size_t Pipelines::Hash::operator()(const KeyView& key) const noexcept {
  std::size_t hash = reinterpret_cast<std::uintptr_t>(key.shader) >> 4;
  for (const std::uint32_t constant : key.constants)
    hash = (hash ^ constant) * std::size_t{0x9E3779B97F4A7C15};
  return hash ^ hash >> 29;
}

Pipelines::Pipelines(Context& context, std::span<const std::byte> saved) : context_(context) {
  VkPipelineCacheCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
  const std::span<const std::byte> usable_bytes = usable(context, saved);
  create.initialDataSize = usable_bytes.size();
  create.pInitialData = usable_bytes.data();
  reused_ = !usable_bytes.empty();
  check(
      context.vk.vkCreatePipelineCache(context.handle, &create, nullptr, &cache_),
      "making a pipeline cache");
}

Pipelines::~Pipelines() {
  for (const auto& [key, pipeline] : made_)
    context_.vk.vkDestroyPipeline(context_.handle, pipeline->handle, nullptr);
  for (const Layout& layout : layouts_) {
    context_.vk.vkDestroyPipelineLayout(context_.handle, layout.layout, nullptr);
    context_.vk.vkDestroyDescriptorSetLayout(context_.handle, layout.set, nullptr);
  }
  context_.vk.vkDestroyPipelineCache(context_.handle, cache_, nullptr);
}

VkPipelineLayout Pipelines::layout(std::uint32_t bindings) {
  Layout& layout = layouts_[context_.options.descriptors ? bindings : 0];
  if (layout.layout) return layout.layout;
  VkPushConstantRange push{};
  push.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
  push.size = push_bytes_max;
  VkPipelineLayoutCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  create.pushConstantRangeCount = 1;
  create.pPushConstantRanges = &push;
  if (context_.options.descriptors) {
    VkDescriptorSetLayoutBinding places[bindings_max] = {};
    for (std::uint32_t i = 0; i < bindings; ++i) {
      places[i].binding = i;
      places[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
      places[i].descriptorCount = 1;
      places[i].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    }
    VkDescriptorSetLayoutCreateInfo set{};
    set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    set.flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR;
    set.bindingCount = bindings;
    set.pBindings = places;
    check(
        context_.vk.vkCreateDescriptorSetLayout(context_.handle, &set, nullptr, &layout.set),
        "making a descriptor layout");
    create.setLayoutCount = 1;
    create.pSetLayouts = &layout.set;
  }
  check(
      context_.vk.vkCreatePipelineLayout(context_.handle, &create, nullptr, &layout.layout),
      "making a pipeline layout");
  return layout.layout;
}

std::unique_ptr<Pipeline> Pipelines::make(
    const Shader& shader, std::span<const std::uint32_t> constants) {
  auto pipeline = std::make_unique<Pipeline>();
  pipeline->layout = layout(shader.bindings);
  const std::span<const std::uint32_t> code =
      context_.options.descriptors ? shader.by_descriptor : shader.by_address;
  if (const std::string names = lacking(context_.features, code); !names.empty())
    throw Error(
        ErrorCode::unsupported,
        context_.info.name + " lacks " + names + ", which the shader " + std::string(shader.name) +
            " uses")
        .hint("cast to float32 or int32 first, or run it on the device \"cpu\"");
  VkShaderModuleCreateInfo text{};
  text.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  text.codeSize = code.size_bytes();
  text.pCode = code.data();
  const std::string what = "compiling the shader " + std::string(shader.name);
  VkShaderModule module = VK_NULL_HANDLE;
  check(context_.vk.vkCreateShaderModule(context_.handle, &text, nullptr, &module), what);

  constexpr std::size_t constants_max = 24;
  VkSpecializationMapEntry entries[constants_max];
  const std::size_t count = std::min(constants.size(), constants_max);
  for (std::size_t i = 0; i < count; ++i)
    entries[i] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i * 4), 4};
  VkSpecializationInfo specialization{};
  specialization.mapEntryCount = static_cast<std::uint32_t>(count);
  specialization.pMapEntries = entries;
  specialization.dataSize = constants.size_bytes();
  specialization.pData = constants.data();
  VkComputePipelineCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  create.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  create.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  create.stage.module = module;
  create.stage.pName = "main";
  create.stage.pSpecializationInfo = &specialization;
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{};
  subgroup.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
  subgroup.requiredSubgroupSize =
      constants.empty() ? 0 : required_subgroup(context_.subgroups, code, constants[0]);
  if (subgroup.requiredSubgroupSize > 0) {
    create.stage.pNext = &subgroup;
    create.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  }
  create.layout = pipeline->layout;
  const VkResult result = context_.vk.vkCreateComputePipelines(
      context_.handle, cache_, 1, &create, nullptr, &pipeline->handle);
  context_.vk.vkDestroyShaderModule(context_.handle, module, nullptr);
  check(result, what);
  return pipeline;
}

const Pipeline& Pipelines::get(const Shader& shader, std::span<const std::uint32_t> constants) {
  const KeyView wanted{&shader, constants};
  {
    const std::shared_lock lock(lock_);
    if (const auto found = made_.find(wanted); found != made_.end()) return *found->second;
  }
  // One at a time, for two may want the same; those who want another that is there do not wait.
  const std::lock_guard making(making_);
  {
    const std::shared_lock lock(lock_);
    if (const auto found = made_.find(wanted); found != made_.end()) return *found->second;
  }
  auto pipeline = make(shader, constants);
  const std::unique_lock lock(lock_);
  return *made_.emplace(Key{&shader, {constants.begin(), constants.end()}}, std::move(pipeline))
              .first->second;
}

std::vector<std::byte> Pipelines::saved() const {
  std::size_t size = 0;
  context_.vk.vkGetPipelineCacheData(context_.handle, cache_, &size, nullptr);
  Seal seal;
  std::vector<std::byte> bytes(sizeof seal + size);
  std::byte* const own = bytes.data() + sizeof seal;
  if (context_.vk.vkGetPipelineCacheData(context_.handle, cache_, &size, own) < 0) return {};
  bytes.resize(sizeof seal + size);
  seal.checksum = checksum_of({own, size});
  std::memcpy(bytes.data(), &seal, sizeof seal);
  return bytes;
}

std::uint64_t Pipelines::count() const {
  const std::shared_lock lock(lock_);
  return made_.size();
}

}  // namespace troupe::vulkan
