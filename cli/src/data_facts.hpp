#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/data/dataset.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/data/text.hpp>
#include <troupe/io/tree.hpp>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace troupe {
class Device;
}

namespace troupe::cli {

/// A data set that is open.
using Dataset = std::variant<data::ImageDataset, data::TextDataset>;

/// What the images of a run are, so that a model can be used where its data set is not.
struct ImageFacts {
  Shape image;  ///< channels, height, width
  std::int64_t train_count = 0;
  std::int64_t test_count = 0;
  std::vector<float> mean{};
  std::vector<float> deviation{};
  std::vector<std::string> class_names{};

  [[nodiscard]] static ImageFacts of(const data::ImageDataset& dataset);
  [[nodiscard]] io::Tree tree() const;
  /// Throws `file_mismatch` for what is missing, of another kind or in no data set.
  [[nodiscard]] static ImageFacts from(const io::Tree& tree);
};

/// What the text of a run is: enough to know it again.
struct TextFacts {
  std::int64_t bytes = 0;
  std::int64_t crc32 = 0;

  [[nodiscard]] static TextFacts of(const data::TextDataset& dataset);
  [[nodiscard]] io::Tree tree() const;
  /// Throws `file_mismatch` for what is missing, of another kind or in no text.
  [[nodiscard]] static TextFacts from(const io::Tree& tree);
};

using DataFacts = std::variant<ImageFacts, TextFacts>;

/// Images are told apart, of texts the next byte is guessed: which of the two a run is decides
/// about its models and about the words that its results are told in.
enum class DataKind : std::uint8_t { images, text };
[[nodiscard]] DataKind kind_of(const DataFacts& facts);

[[nodiscard]] DataFacts facts_of(const Dataset& dataset);
/// Puts the facts into a tree, as "images" or "text"; and takes them from there. Throws
/// `file_mismatch` when they are not there, and as `from`.
void put_facts(io::Tree& tree, const DataFacts& facts);
[[nodiscard]] DataFacts take_facts(const io::Tree& tree);
/// For people: "images [1, 28, 28]", "a text of 1204997 bytes".
[[nodiscard]] std::string described(const DataFacts& facts);

/// A number of all that is in a data set, for processes to see that theirs is the same: FNV-1a of
/// 64 bits, as hexadecimal digits.
[[nodiscard]] std::string contents_of(const Dataset& dataset);

/// The part of a data set that is trained on, or the one that is tested on.
enum class Part : std::uint8_t { train, test };

/// @param facts    what the model was made for: images are normalized by its mean and deviation,
///                 whatever that of these images is
/// @param context  bytes of a window, for texts
[[nodiscard]] data::Loader make_loader(
    Device& device,
    const Dataset& dataset,
    Part part,
    const DataFacts& facts,
    std::int64_t context,
    const data::LoaderOptions& options);

}  // namespace troupe::cli
