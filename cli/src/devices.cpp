#include "devices.hpp"

#include <troupe/cpu/cpu.hpp>
#ifdef TROUPE_VULKAN
#include <troupe/vulkan/vulkan.hpp>
#endif

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

namespace {

constexpr std::string_view vulkan_prefix = "vulkan:";

[[noreturn]] void refuse(const std::string& name) {
  throw Error(ErrorCode::device_mismatch, "there is no device \"" + name + "\"")
      .hint("'troupe devices' lists those of this machine; \"cpu\" is always there");
}

#ifdef TROUPE_VULKAN

/// Where compiled shaders are kept between runs, as the XDG base directories say; empty: nowhere.
std::string cache_folder() {
  if (const char* own = std::getenv("TROUPE_CACHE")) return own;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/troupe";
  if (const char* home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/troupe";
  return {};
}

std::optional<unsigned> index_in(std::string_view name) {
  if (!name.starts_with(vulkan_prefix)) return std::nullopt;
  name.remove_prefix(vulkan_prefix.size());
  unsigned index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return index;
}

Device& attach_vulkan(System& system, unsigned index, Console& console) {
  // For who looks for a fault: "descriptors", "validation", "paranoid", in any order; "lose=100"
  // for who wants to see one.
  const char* debug = std::getenv("TROUPE_VULKAN_DEBUG");
  const std::string_view how = debug ? debug : "";
  const auto asked = [&](std::string_view word) { return how.find(word) != how.npos; };
  constexpr std::string_view lose = "lose=";
  std::uint64_t lost_after = 0;
  if (const std::size_t at = how.find(lose); at != how.npos)
    (void)std::from_chars(how.data() + at + lose.size(), how.data() + how.size(), lost_after);
  const char* tuning = std::getenv("TROUPE_VULKAN_TUNING");
  Device& device = vulkan::attach(
      system,
      index,
      {.descriptors = asked("descriptors"),
       .validation = asked("validation"),
       .paranoid = asked("paranoid"),
       .lost_after_submissions = lost_after,
       .tuning = vulkan::tuning_named(tuning ? tuning : ""),
       .cache_folder = cache_folder()});
  if (vulkan::info(device).software)
    console.say(
        std::string(device.name()) + " is a software device (" + vulkan::info(device).model +
        "): for tests; \"cpu\" is many times faster");
  return device;
}

/// The first that is a GPU and has all that is needed.
std::optional<unsigned> first_gpu() {
  try {
    unsigned index = 0;
    for (const vulkan::DeviceInfo& info : vulkan::devices()) {
      if (!info.software && info.missing.empty()) return index;
      ++index;
    }
  } catch (const Error&) {  // no loader or no driver: there is none
  }
  return std::nullopt;
}

std::string gibibytes(std::uint64_t bytes) {
  const std::uint64_t tenths = (bytes * 10 + (std::uint64_t{1} << 29)) >> 30;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

#endif

}  // namespace

Device& attach_device(System& system, const std::string& name, Console& console) {
  if (Devices::of(system).all().empty()) (void)cpu::attach(system);
  Device& cpu = Devices::of(system).first();
  for (const auto& device : Devices::of(system).all())
    if (device->name() == name) return *device;
#ifdef TROUPE_VULKAN
  if (name == "auto") {
    const std::optional<unsigned> gpu = first_gpu();
    if (!gpu) return cpu;
    return attach_device(system, std::string(vulkan_prefix) + std::to_string(*gpu), console);
  }
  if (const std::optional<unsigned> index = index_in(name))
    return attach_vulkan(system, *index, console);
#else
  (void)console;
  if (name == "auto") return cpu;
  if (name.starts_with(vulkan_prefix))
    throw Error(ErrorCode::unsupported, "this build has no Vulkan backend")
        .hint("configure it with -DTROUPE_VULKAN=ON");
#endif
  refuse(name);
}

#ifdef TROUPE_VULKAN

std::string described(const vulkan::DeviceInfo& info) {
  std::string text = info.name + "  " + info.model;
  const auto line = [&](const std::string& more) { text += "\n          " + more; };
  if (info.software) line("software device: for tests, used only when it is named");
  if (!info.missing.empty()) line("cannot be used: lacks " + info.missing);
  if (!info.driver.empty()) line("driver " + info.driver);
  std::string subgroups = std::to_string(info.subgroup_size);
  if (info.subgroup_size_min != info.subgroup_size_max)
    subgroups += " (of " + std::to_string(info.subgroup_size_min) + " to " +
                 std::to_string(info.subgroup_size_max) + ")";
  line(gibibytes(info.memory_bytes) + " of memory, subgroups of " + subgroups);
  std::string types = "computes float32";
  if (info.float16) types += ", float16";
  if (info.bfloat16) types += ", bfloat16";
  if (info.float64) types += ", float64";
  if (info.int64) types += ", int64";
  if (info.bytes) types += ", uint8 and bool";
  line(types);
  std::string shapes;
  for (const vulkan::CooperativeMatrix& matrix : info.cooperative_matrices)
    shapes += (shapes.empty() ? "" : ", ") + std::to_string(matrix.m) + "x" +
              std::to_string(matrix.n) + "x" + std::to_string(matrix.k) + " " +
              std::string(name_of(matrix.operands));
  line(
      shapes.empty() ? "no cooperative matrices"
                     : "cooperative matrices " + shapes + ", sums in float32");
  return text + "\n";
}

#endif

int devices(Console& console) {
  System system(System::Options{.threads = 1});
  const Device& cpu = cpu::attach(system);
  console.print(std::string(cpu.name()) + "       " + cpu.description() + "\n");
#ifdef TROUPE_VULKAN
  try {
    for (const vulkan::DeviceInfo& info : vulkan::devices()) console.print(described(info));
  } catch (const Error& error) {
    console.print("vulkan    none: " + error.message() + "\n          " + error.hint() + "\n");
  }
#endif
  return 0;
}

}  // namespace troupe::cli
