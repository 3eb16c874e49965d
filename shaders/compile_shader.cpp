// Compiles one shader of the folder shaders/ while Troupe is built, in each variant that its header
// comment names, once for buffer addresses and once for descriptors (see shaders/troupe.glsl):
//
//     compile_shader FILE.comp OUT.hpp DEPFILE
//
//     // variants: float32 int64       one for each dtype named
//     // variants: size                one for elements of 1, 2, 4 and 8 bytes
//     // variants: cast                one for each ordered pair of dtypes
//     // variants: none                one
//
// A compiler may be too old for some extensions, which a line names, for all variants or for one;
// then their SPIR-V is taken as tools/shaders left it in the folder spirv/.
//
//     // newer: GL_SOME, bfloat16 GL_MORE
//
// OUT.hpp gets the SPIR-V and, as the macro ROWS_<name>, a row of the table of shaders for each
// variant. DEPFILE says, as make reads it, what was included. One process for all of a shader's
// variants: glslang takes longer to start than to compile.

#include "shader_variant.hpp"
#include "spirv.hpp"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::vulkan {
namespace {

namespace fs = std::filesystem;

constexpr struct {
  std::string_view bytes, glsl;
} sizes[] = {{"1", "uint8_t"}, {"2", "uint16_t"}, {"4", "uint"}, {"8", "uvec2"}};

struct Variant {
  std::string name;  // as find_shader takes it
  std::string defines;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!(text << file.rdbuf())) throw std::runtime_error("cannot read " + path.string());
  return text.str();
}

/// What stands behind `begin` on the one line that begins with it.
std::string value_of(const std::string& text, const std::string& begin, const fs::path& file) {
  const std::size_t at = ("\n" + text).find("\n" + begin);
  if (at == std::string::npos)
    throw std::runtime_error(file.string() + ": needs a line \"" + begin + "…\"");
  const std::size_t value = at + begin.size();
  return text.substr(value, text.find('\n', value) - value);
}

std::vector<Variant> variants_of(const std::string& kind, const fs::path& file) {
  std::vector<Variant> variants;
  if (kind == "none") {
    variants.push_back({"", ""});
  } else if (kind == "size") {
    for (const auto& size : sizes)
      variants.push_back(
          {std::string(size.bytes), define("T", size.glsl) + define("SIZE", size.bytes)});
  } else if (kind == "cast") {
    for (const ShaderDType& from : shader_dtypes)
      for (const ShaderDType& to : shader_dtypes)
        if (from.name != to.name)
          variants.push_back(
              {std::string(from.name) + "_" + std::string(to.name),
               define("FROM", from.glsl) + define("DTYPE_FROM_" + std::string(from.name)) +
                   define("T", to.glsl) + define("DTYPE_" + std::string(to.name))});
  } else {
    std::istringstream names(kind);
    for (std::string name; names >> name;) {
      const std::string defines = defines_of_dtype(name);
      if (defines.empty())
        throw std::runtime_error(file.string() + ": no dtype is called \"" + name + "\"");
      variants.push_back({name, defines});
    }
  }
  return variants;
}

/// Whether glslang knows all extensions that a variant needs and not every glslang has.
bool knows_extensions(const std::string& text, const std::string& variant) {
  const std::string begin = "\n// newer: ";
  const std::size_t at = text.find(begin);
  if (at == std::string::npos) return true;
  std::istringstream line(
      text.substr(at + begin.size(), text.find('\n', at + 1) - at - begin.size()));
  for (std::string entry; std::getline(line, entry, ',');) {
    std::istringstream words(entry);
    std::string extension, of_variant;
    words >> extension;
    if (std::string second; words >> second) {
      of_variant = extension;
      extension = second;
    }
    if (!of_variant.empty() && of_variant != variant) continue;
    const Spirv probe = spirv_of(
        "#version 460\n#extension " + extension +
        " : require\nlayout(local_size_x = 1) in;\nvoid main() {}\n");
    if (!probe.faults.empty()) return false;
  }
  return true;
}

/// As numbers of C++, of which a compiler reads decimal ones as fast as any.
void print_array(std::ostream& out, const std::string& name, const Spirv& spirv) {
  out << "static const std::uint32_t " << name << "[] = {";
  for (std::size_t i = 0; i < spirv.code.size(); ++i)
    out << (i % 16 == 0 ? "\n" : "") << spirv.code[i] << ",";
  out << "};\n";
}

void compile(const fs::path& file, const fs::path& out_file, const fs::path& dep_file) {
  const std::string text = read_file(file);
  const std::string bindings = value_of(text, "#define BINDINGS ", file);
  const std::string shader = file.stem().string();
  std::map<std::string, std::string> included;
  const auto read = [&](const std::string& name) {
    const fs::path path = file.parent_path() / name;
    if (!fs::exists(path)) return Included{};
    const auto [at, fresh] = included.try_emplace(path.string());
    if (fresh) at->second = read_file(path);
    return Included{true, at->second};
  };

  const Glslang glslang;
  std::ostringstream out, rows;
  for (const Variant& variant : variants_of(value_of(text, "// variants: ", file), file)) {
    const std::string symbol = shader + "_" + variant.name;
    const bool known = knows_extensions(text, variant.name);
    for (const bool descriptors : {false, true}) {
      if (!known) {
        const std::string name = symbol + (descriptors ? "_descriptor.h" : "_address.h");
        const fs::path kept = fs::absolute(file.parent_path() / "spirv" / name);
        if (!fs::exists(kept))
          throw std::runtime_error(
              file.string() + ": this glslang is too old for it, and " + kept.string() +
              " is not there; run tools/shaders");
        out << "#include \"" << kept.string() << "\"\n";
        included.try_emplace(kept.string());
        continue;
      }
      const Spirv spirv =
          spirv_of(text, variant.defines + (descriptors ? define("TROUPE_DESCRIPTORS") : ""), read);
      if (!spirv.faults.empty())
        throw std::runtime_error(
            file.string() + ", variant \"" + variant.name + "\":\n" + spirv.faults);
      print_array(out, symbol + (descriptors ? "_descriptor" : "_address"), spirv);
    }
    rows << " \\\n  {\"" << shader << "\", \"" << variant.name << "\", " << bindings << ", "
         << symbol << "_address, " << symbol << "_descriptor},";
  }
  out << "#define ROWS_" << shader << rows.str() << "\n";
  if (!(std::ofstream(out_file, std::ios::binary) << out.str()))
    throw std::runtime_error("cannot write " + out_file.string());

  std::ofstream depends(dep_file, std::ios::binary);
  depends << out_file.string() << ": " << file.string();
  for (const auto& [path, content] : included) depends << " " << path;
  if (!(depends << "\n")) throw std::runtime_error("cannot write " + dep_file.string());
}

}  // namespace
}  // namespace troupe::vulkan

int main(int count, char** arguments) {
  if (count != 4) {
    std::fputs("compile_shader FILE.comp OUT.hpp DEPFILE\n", stderr);
    return 2;
  }
  try {
    troupe::vulkan::compile(arguments[1], arguments[2], arguments[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
