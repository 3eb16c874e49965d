#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace troupe::cli::test {

/// A folder of its own, gone at the end.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(
            std::filesystem::temp_directory_path() /
            ("troupe-" + name + "-" + std::to_string(number()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string path() const { return path_.string(); }
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  /// Of the process: several test programs may run at one time.
  static std::uintmax_t number() {
    return std::stoull(std::filesystem::read_symlink("/proc/self").string());
  }
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}
inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string big_endian(std::uint32_t value) {
  return {
      static_cast<char>(value >> 24),
      static_cast<char>(value >> 16),
      static_cast<char>(value >> 8),
      static_cast<char>(value)};
}

/// Grey square images in four classes, one bright quarter each, among noise: easy, but not at once.
inline void write_images(
    const std::string& images_path,
    const std::string& labels_path,
    std::uint32_t count,
    std::uint32_t side,
    std::uint64_t seed) {
  std::string images =
      std::string("\0\0\x08\x03", 4) + big_endian(count) + big_endian(side) + big_endian(side);
  std::string labels = std::string("\0\0\x08\x01", 4) + big_endian(count);
  std::uint64_t state = seed;
  const auto draw = [&] {  // Knuth's MMIX generator; the upper bits are good enough
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state >> 40);
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t label = draw() % 4;
    labels += static_cast<char>(label);
    for (std::uint32_t y = 0; y < side; ++y)
      for (std::uint32_t x = 0; x < side; ++x) {
        const bool bright = y / (side / 2) == label / 2 && x / (side / 2) == label % 2;
        images += static_cast<char>(draw() % 128 + (bright ? draw() % 100 : 0));
      }
  }
  write_file(images_path, images);
  write_file(labels_path, labels);
}

/// MNIST's four files, small.
inline void write_idx_folder(
    const std::string& folder, std::uint32_t train, std::uint32_t test, std::uint32_t side = 8) {
  std::filesystem::create_directories(folder);
  write_images(
      folder + "/train-images-idx3-ubyte", folder + "/train-labels-idx1-ubyte", train, side, 1);
  write_images(
      folder + "/t10k-images-idx3-ubyte", folder + "/t10k-labels-idx1-ubyte", test, side, 2);
}

/// Sentences of a few words in an order that nobody knows, cut off after so many bytes.
inline std::string small_text(std::size_t bytes) {
  static constexpr const char* words[] = {
      "whale", "sea", "ship", "captain", "harpoon", "sailor", "white", "deep"};
  std::string text;
  std::uint64_t state = 1;
  while (text.size() < bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    text += std::string(state >> 63 ? "The " : "And the ") + words[state >> 40 & 7] + " and the " +
            words[state >> 50 & 7] + ".\n";
  }
  text.resize(bytes);
  return text;
}

}  // namespace troupe::cli::test
