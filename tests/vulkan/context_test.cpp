#include "context.hpp"

#include "machine.hpp"

#include <catch2/catch_test_macros.hpp>

namespace troupe::vulkan {

using test::says;
using test::thrown_by;

TEST_CASE("a device that is not there is refused with those that are", "[vulkan]") {
  System system{System::Options{.threads = 1}};
  const Error error = thrown_by([&] { return attach(system, 99).name(); });
  CHECK(error.code() == ErrorCode::device_mismatch);
  CHECK(says(error.message(), "vulkan:99"));
  CHECK(says(error.hint(), "vulkan:0 (" + devices()[0].model + ")"));
  CHECK(Devices::of(system).all().empty());
}

TEST_CASE("a device that lacks a feature is refused by its name", "[vulkan]") {
  auto instance = std::make_unique<Instance>(false);
  const unsigned index = test::vulkan_index();
  TestAccess::add_missing(*instance, index, "timelineSemaphore");
  const std::string model = instance->devices()[index].info.model;
  const Error error = thrown_by([&] {
    const Context context(std::move(instance), index, {});
    return 0;
  });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(says(error.message(), model + " lacks timelineSemaphore"));
  CHECK(says(error.hint(), "\"cpu\""));
}

TEST_CASE("a context knows its device", "[vulkan]") {
  const auto context = test::open_context();
  CHECK(context->handle != VK_NULL_HANDLE);
  CHECK(context->queue != VK_NULL_HANDLE);
  CHECK(says(context->profile, context->info.model));
  CHECK(says(context->profile, context->info.driver));
  CHECK(context->limits.maxPushConstantsSize >= 128);
  // A driver that can be told a size is told the one that kernels are made for.
  CHECK((context->subgroups.size == 0 || context->subgroups.size == context->info.subgroup_size));
  CHECK((context->subgroups.size == 0) == !context->features.subgroup_size.subgroupSizeControl);
  CHECK_FALSE(context->without_hazard_barriers);
  CHECK_FALSE(context->hidden_memory);
}

}  // namespace troupe::vulkan
