#include "compiler.hpp"

#include "checksum.hpp"
#include "shader_variant.hpp"

#include <glslang/Public/ShaderLang.h>

#include <cstdio>
#include <cstring>
#include <span>

namespace troupe::vulkan {

namespace {

struct Header {
  char magic[8] = {'T', 'R', 'S', 'P', 'I', 'R', 'V', '1'};
  std::uint64_t words = 0;
  std::uint64_t checksum = 0;
};

constexpr std::uint64_t words_max = std::uint64_t{1} << 22;

}  // namespace

const Shader& Compiler::compile(
    const std::string& name, std::uint32_t bindings, const std::string& body) {
  const std::string text = (context_.options.descriptors ? "#define TROUPE_DESCRIPTORS\n" : "") +
                           ("#define BINDINGS " + std::to_string(bindings)) + "\n" + body;
  return find_or_make(name, bindings, text, [&] { return spirv_of("#version 460\n" + text); });
}

const Shader& Compiler::compile_varied(const Shader& shader, const Variation& variation) {
  const std::string file = std::string(shader.name) + ".comp";
  const std::string defines = defines_of_dtype(shader.variant) +
                              (context_.options.descriptors ? "#define TROUPE_DESCRIPTORS\n" : "") +
                              define("MORE_BINDINGS", std::to_string(variation.more_bindings)) +
                              define("MORE_PARAMS", variation.more_params);
  const auto read = [&](const std::string& name) {
    if (name == variation.file) return Included{true, variation.text};
    const std::string_view text = shader_text(name);
    return Included{!text.empty(), std::string(text)};
  };
  // Any of the folder's files may be part of it.
  static const std::uint64_t folder = [] {
    std::uint64_t sum = 0;
    for (const ShaderText& text : all_shader_texts())
      sum = checksum_of(std::as_bytes(std::span(text.text)), sum);
    return sum;
  }();
  return find_or_make(
      std::string(shader.name),
      shader.bindings + variation.more_bindings,
      file + std::to_string(folder) + defines + variation.text,
      [&] { return spirv_of(std::string(shader_text(file)), defines, read); });
}

const Shader& Compiler::find_or_make(
    const std::string& name,
    std::uint32_t bindings,
    const std::string& key,
    const std::function<Spirv()>& translate) {
  const std::lock_guard lock(lock_);
  if (const auto found = made_.find(key); found != made_.end()) return found->second->shader;

  auto made = std::make_unique<Made>();
  made->name = name;
  std::string path;
  if (!context_.options.cache_folder.empty()) {
    char hash[33];
    const std::string whole = key + glslang::GetGlslVersionString();
    const auto bytes = std::as_bytes(std::span(whole));
    std::snprintf(
        hash,
        sizeof hash,
        "%016llx%016llx",
        static_cast<unsigned long long>(checksum_of(bytes)),
        static_cast<unsigned long long>(checksum_of(bytes, 0x9E3779B97F4A7C15)));
    path = context_.options.cache_folder + "/" + hash + ".spv";
  }
  if (path.empty() || !read(path, made->code)) {
    Spirv spirv = translate();
    if (!spirv.faults.empty())
      throw Error(
          ErrorCode::internal,
          "the shader written for " + name + " does not compile: " + spirv.faults);
    made->code = std::move(spirv.code);
    ++compiled_;
    if (!path.empty()) write(path, made->code);
  }
  made->shader = {made->name, "", bindings, made->code, made->code};
  return made_.emplace(key, std::move(made)).first->second->shader;
}

bool Compiler::read(const std::string& path, std::vector<std::uint32_t>& code) const {
  if (!disk_.exists(path)) return false;
  const auto bytes = disk_.read_all(path, words_max * 4);
  Header header, own;
  if (!bytes || bytes.value().size() < sizeof header) return false;
  std::memcpy(&header, bytes.value().data(), sizeof header);
  if (std::memcmp(header.magic, own.magic, sizeof own.magic) != 0 || header.words > words_max ||
      bytes.value().size() != sizeof header + header.words * 4)
    return false;
  code.resize(header.words);
  std::memcpy(code.data(), bytes.value().data() + sizeof header, header.words * 4);
  return checksum_of(std::as_bytes(std::span(code))) == header.checksum;
}

void Compiler::write(const std::string& path, const std::vector<std::uint32_t>& code) const {
  Header header;
  header.words = code.size();
  header.checksum = checksum_of(std::as_bytes(std::span(code)));
  std::vector<std::byte> bytes(sizeof header + code.size() * 4);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, code.data(), code.size() * 4);
  // A cache that cannot be written costs time, not more.
  if (disk_.make_folders(context_.options.cache_folder)) (void)disk_.replace(path, bytes);
}

}  // namespace troupe::vulkan
