#pragma once

#include "context.hpp"
#include "dispatch.hpp"
#include "shader.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

namespace troupe::vulkan {

/// What a shader uses and a device does not offer, by name; empty: nothing.
[[nodiscard]] std::string lacking(const Features& features, std::span<const std::uint32_t> spirv);

/// The subgroup size that a pipeline asks for, with no subgroup cut short; 0: it asks for none.
/// That is for shaders whose invocations work together in subgroups, in workgroups of whole ones.
///
/// @param group  the workgroup's size along x
[[nodiscard]] std::uint32_t required_subgroup(
    const SubgroupControl& control,
    std::span<const std::uint32_t> spirv,
    std::uint32_t group) noexcept;

/// The shaders of one device, compiled by its driver when they are first asked for.
///
/// Threads   any.
class Pipelines {
 public:
  /// @param saved  the driver's own cache as a run before kept it; what does not fit is ignored
  Pipelines(Context& context, std::span<const std::byte> saved);
  ~Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  /// `constants` are for constant_id 0, 1, … Throws `unsupported` for a shader that uses what the
  /// device does not offer, naming it.
  [[nodiscard]] const Pipeline& get(const Shader& shader, std::span<const std::uint32_t> constants);
  /// What to give to the next run's constructor.
  [[nodiscard]] std::vector<std::byte> saved() const;
  [[nodiscard]] std::uint64_t count() const;
  /// Whether the constructor was given something that fits.
  [[nodiscard]] bool reused() const noexcept { return reused_; }

 private:
  struct Key {
    const Shader* shader;
    std::vector<std::uint32_t> constants;
  };
  struct KeyView {
    const Shader* shader;
    std::span<const std::uint32_t> constants;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Key& key) const noexcept {
      return (*this)(KeyView{key.shader, key.constants});
    }
    std::size_t operator()(const KeyView& key) const noexcept;
  };
  struct Equal {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const noexcept {
      return a.shader == b.shader && a.constants.size() == b.constants.size() &&
             std::equal(a.constants.begin(), a.constants.end(), b.constants.begin());
    }
  };
  [[nodiscard]] std::unique_ptr<Pipeline> make(
      const Shader& shader, std::span<const std::uint32_t> constants);
  [[nodiscard]] VkPipelineLayout layout(std::uint32_t bindings);

  Context& context_;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  bool reused_ = false;
  mutable std::shared_mutex lock_;
  std::mutex making_;
  std::unordered_map<Key, std::unique_ptr<Pipeline>, Hash, Equal> made_;
  struct Layout {
    VkDescriptorSetLayout set = VK_NULL_HANDLE;
    VkPipelineLayout layout = VK_NULL_HANDLE;
  };
  Layout layouts_[bindings_max + 1];  // by the number of bindings; by address only the first
};

}  // namespace troupe::vulkan
