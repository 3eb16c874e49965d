#include "instance.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

namespace troupe::vulkan {

namespace {

// volk's functions that need no device are the process's: found once, and the same for every
// instance, since they lead through the loader.
std::mutex loading;

void load_loader() {
  static bool loaded = false;
  if (loaded) return;
  if (volkInitialize() != VK_SUCCESS)
    throw Error(ErrorCode::unsupported, "there is no Vulkan loader (libvulkan.so.1) here")
        .hint(
            "install it (on Debian: apt-get install libvulkan1) and the GPU's driver (for AMD and "
            "Intel: mesa-vulkan-drivers), or use the device \"cpu\"");
  if (volkGetInstanceVersion() < VK_API_VERSION_1_2)
    throw Error(ErrorCode::unsupported, "the Vulkan loader knows version 1.1 at most")
        .hint("install one of version 1.2 or newer, or use the device \"cpu\"");
  loaded = true;
}

constexpr const char* validation_layer = "VK_LAYER_KHRONOS_validation";

/// The version of Vulkan that a layer was made for; 0: it is not installed.
std::uint32_t version_of_layer(const char* name) {
  std::uint32_t count = 0;
  vkEnumerateInstanceLayerProperties(&count, nullptr);
  std::vector<VkLayerProperties> layers(count);
  vkEnumerateInstanceLayerProperties(&count, layers.data());
  const auto found =
      std::find_if(layers.begin(), layers.end(), [&](const VkLayerProperties& layer) {
        return std::strcmp(layer.layerName, name) == 0;
      });
  return found == layers.end() ? 0 : found->specVersion;
}

std::vector<std::string> extension_names(VkPhysicalDevice device) {
  std::uint32_t count = 0;
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> properties(count);
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, properties.data());
  std::vector<std::string> names;
  for (const VkExtensionProperties& extension : properties)
    names.emplace_back(extension.extensionName);
  return names;
}

}  // namespace

Instance::Physical Instance::describe(VkPhysicalDevice device, std::uint32_t layer_version) const {
  Physical physical;
  physical.handle = device;
  DeviceInfo& info = physical.info;
  VkPhysicalDeviceSubgroupSizeControlProperties sizes{};
  sizes.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES;
  VkPhysicalDeviceSubgroupProperties subgroup{};
  subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
  VkPhysicalDeviceDriverProperties driver{};
  driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
  driver.pNext = &subgroup;
  VkPhysicalDeviceProperties2 properties{};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &driver;
  physical.extensions = extensions_among(extension_names(device), layer_version);
  if (physical.extensions.subgroup_size_control) subgroup.pNext = &sizes;
  vkGetPhysicalDeviceProperties2(device, &properties);
  const VkPhysicalDeviceProperties& own = properties.properties;
  info.model = own.deviceName;
  info.software = own.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  if (own.apiVersion < VK_API_VERSION_1_2) {
    info.missing = "Vulkan 1.2";
    return physical;
  }
  info.driver = std::string(driver.driverName) + " " + driver.driverInfo;
  info.subgroup_size = subgroup.subgroupSize;
  const bool told = sizes.minSubgroupSize > 0;
  info.subgroup_size_min = told ? sizes.minSubgroupSize : info.subgroup_size;
  info.subgroup_size_max = told ? sizes.maxSubgroupSize : info.subgroup_size;

  VkPhysicalDeviceMemoryProperties memory;
  vkGetPhysicalDeviceMemoryProperties(device, &memory);
  for (std::uint32_t i = 0; i < memory.memoryHeapCount; ++i)
    if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
      info.memory_bytes = std::max<std::uint64_t>(info.memory_bytes, memory.memoryHeaps[i].size);

  Features features;
  features.link(physical.extensions);
  vkGetPhysicalDeviceFeatures2(device, &features.core);
  info.float16 = features.v12.shaderFloat16;
  info.bfloat16 = features.bfloat16.shaderBFloat16CooperativeMatrix;
  info.float64 = features.core.features.shaderFloat64;
  info.int64 = features.core.features.shaderInt64;
  info.bytes = features.v12.storageBuffer8BitAccess && features.v12.shaderInt8;
  if (physical.extensions.cooperative_matrix) {
    const auto list = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
        vkGetInstanceProcAddr(handle_, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
    std::uint32_t count = 0;
    if (list) list(device, &count, nullptr);
    VkCooperativeMatrixPropertiesKHR empty{};
    empty.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    std::vector<VkCooperativeMatrixPropertiesKHR> matrices(count, empty);
    if (list) list(device, &count, matrices.data());
    info.cooperative_matrices = usable_among(matrices, features);
  }

  std::uint32_t families = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(device, &families, nullptr);
  std::vector<VkQueueFamilyProperties> queues(families);
  vkGetPhysicalDeviceQueueFamilyProperties(device, &families, queues.data());
  const bool computes =
      std::any_of(queues.begin(), queues.end(), [](const VkQueueFamilyProperties& q) {
        return q.queueFlags & VK_QUEUE_COMPUTE_BIT;
      });
  info.missing = missing_of(features, subgroup.supportedOperations, computes);
  return physical;
}

struct MessageSink {
  static VKAPI_ATTR VkBool32 VKAPI_CALL message(
      VkDebugUtilsMessageSeverityFlagBitsEXT,
      VkDebugUtilsMessageTypeFlagsEXT,
      const VkDebugUtilsMessengerCallbackDataEXT* data,
      void* instance) {
    auto& self = *static_cast<Instance*>(instance);
    ++self.messages_;
    if (self.on_message_) self.on_message_(data->pMessage);
    return VK_FALSE;
  }
};

Features::Features() noexcept
    : core{}, v11{}, v12{}, subgroup_size{}, cooperative_matrix{}, bfloat16{} {
  core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  core.pNext = &v11;
  v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
  v11.pNext = &v12;
  v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
  subgroup_size.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
  cooperative_matrix.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
  bfloat16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR;
}

void Features::link(const Extensions& extensions) noexcept {
  void** end = &v12.pNext;
  const auto add = [&](bool there, auto& features) {
    if (!there) return;
    *end = &features;
    end = &features.pNext;
  };
  add(extensions.subgroup_size_control, subgroup_size);
  add(extensions.cooperative_matrix, cooperative_matrix);
  add(extensions.bfloat16, bfloat16);
}

Extensions extensions_among(std::span<const std::string> names, std::uint32_t layer_version) {
  const auto has = [&](const char* name, std::uint32_t since = 0) {
    return (layer_version == 0 || layer_version >= since) &&
           std::find(names.begin(), names.end(), name) != names.end();
  };
  Extensions extensions;
  extensions.memory_budget = has(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  extensions.push_descriptor = has(VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME);
  extensions.subgroup_size_control = has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  extensions.cooperative_matrix =
      has(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME, VK_MAKE_API_VERSION(0, 1, 3, 255));
  extensions.bfloat16 =
      has(VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME, VK_MAKE_API_VERSION(0, 1, 4, 311));
  return extensions;
}

std::vector<CooperativeMatrix> usable_among(
    std::span<const VkCooperativeMatrixPropertiesKHR> properties, const Features& features) {
  std::vector<CooperativeMatrix> usable;
  if (!features.cooperative_matrix.cooperativeMatrix || !features.v12.vulkanMemoryModel ||
      !features.v12.vulkanMemoryModelDeviceScope)
    return usable;
  for (const VkCooperativeMatrixPropertiesKHR& one : properties) {
    const bool float16 = one.AType == VK_COMPONENT_TYPE_FLOAT16_KHR && features.v12.shaderFloat16;
    const bool bfloat16 = one.AType == VK_COMPONENT_TYPE_BFLOAT16_KHR &&
                          features.bfloat16.shaderBFloat16CooperativeMatrix;
    if (!(float16 || bfloat16) || one.BType != one.AType ||
        one.CType != VK_COMPONENT_TYPE_FLOAT32_KHR || one.ResultType != one.CType ||
        one.scope != VK_SCOPE_SUBGROUP_KHR || one.saturatingAccumulation)
      continue;
    const CooperativeMatrix matrix{
        one.MSize, one.NSize, one.KSize, float16 ? DType::float16 : DType::bfloat16};
    if (std::find(usable.begin(), usable.end(), matrix) == usable.end()) usable.push_back(matrix);
  }
  return usable;
}

std::string missing_of(
    const Features& features, VkSubgroupFeatureFlags subgroup, bool compute_queue) {
  std::string missing;
  const auto need = [&](bool there, const char* name) {
    if (!there) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(features.v12.timelineSemaphore, "timelineSemaphore");
  need(features.v12.bufferDeviceAddress, "bufferDeviceAddress");
  need(subgroup & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT, "subgroup arithmetic");
  need(subgroup & VK_SUBGROUP_FEATURE_SHUFFLE_BIT, "subgroup shuffle");
  need(compute_queue, "a compute queue");
  return missing;
}

Instance::Instance(bool validation, std::function<void(std::string_view)> on_message) : Instance() {
  on_message_ = std::move(on_message);
  const std::lock_guard lock(loading);
  load_loader();

  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.pApplicationName = "troupe";
  application.apiVersion = std::min<std::uint32_t>(volkGetInstanceVersion(), VK_API_VERSION_1_3);
  VkInstanceCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  create.pApplicationInfo = &application;

  const VkValidationFeatureEnableEXT enabled[] = {
      VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
  VkValidationFeaturesEXT checks{};
  checks.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
  checks.enabledValidationFeatureCount = 1;
  checks.pEnabledValidationFeatures = enabled;
  VkDebugUtilsMessengerCreateInfoEXT messenger{};
  messenger.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
  messenger.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                              VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  messenger.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
  messenger.pfnUserCallback = &MessageSink::message;
  messenger.pUserData = this;
  const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  std::uint32_t layer_version = 0;
  if (validation) {
    layer_version = version_of_layer(validation_layer);
    if (layer_version == 0)
      throw Error(ErrorCode::unsupported, "the Vulkan validation layer is not installed")
          .hint(
              "on Debian: apt-get install vulkan-validationlayers; or let VK_LAYER_PATH name the "
              "folder that holds it");
    create.enabledLayerCount = 1;
    create.ppEnabledLayerNames = &validation_layer;
    create.enabledExtensionCount = 1;
    create.ppEnabledExtensionNames = &extension;
    create.pNext = &checks;
  }
  const VkResult made = vkCreateInstance(&create, nullptr, &handle_);
  if (made == VK_ERROR_INCOMPATIBLE_DRIVER)
    throw Error(ErrorCode::unsupported, "there is no Vulkan driver here")
        .hint(
            "install the GPU's driver (for AMD and Intel on Debian: mesa-vulkan-drivers), or use "
            "the device \"cpu\"");
  check(made, "connecting to Vulkan");
  volkLoadInstance(handle_);
  if (validation)
    check(
        vkCreateDebugUtilsMessengerEXT(handle_, &messenger, nullptr, &messenger_),
        "listening to the validation layer");

  std::uint32_t count = 0;
  vkEnumeratePhysicalDevices(handle_, &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  vkEnumeratePhysicalDevices(handle_, &count, handles.data());
  for (const VkPhysicalDevice handle : handles) devices_.push_back(describe(handle, layer_version));
  std::stable_sort(devices_.begin(), devices_.end(), [](const Physical& a, const Physical& b) {
    return !a.info.software && b.info.software;
  });
  for (std::size_t i = 0; i < devices_.size(); ++i)
    devices_[i].info.name = "vulkan:" + std::to_string(i);
}

Instance::~Instance() {
  if (messenger_) vkDestroyDebugUtilsMessengerEXT(handle_, messenger_, nullptr);
  // With the last instance the loader unloads the drivers, and some can be loaded only so often:
  // NVIDIA's takes thread-local memory each time that does not come back, and after some twenty
  // times no device is found. The first without layers stays for as long as the process.
  static std::atomic_flag one_stays;
  if (!handle_ || (!messenger_ && !one_stays.test_and_set())) return;
  vkDestroyInstance(handle_, nullptr);
}

std::vector<DeviceInfo> devices() {
  const Instance instance(false);
  std::vector<DeviceInfo> all;
  for (const Instance::Physical& physical : instance.devices()) all.push_back(physical.info);
  if (all.empty())
    throw Error(ErrorCode::unsupported, "Vulkan has no device here: no driver found a GPU")
        .hint(
            "install the GPU's driver (for AMD and Intel on Debian: mesa-vulkan-drivers), or use "
            "the device \"cpu\"");
  return all;
}

}  // namespace troupe::vulkan
