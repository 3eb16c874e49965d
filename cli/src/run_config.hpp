#pragma once

#include <troupe/io/tree.hpp>
#include <troupe/tensor/dtype.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// The values that a field of a run's config may have: what the command line takes and what
/// config.json may hold.
struct FieldRange {
  std::vector<std::string> words{};  ///< for text: one of these, or any when there are none
  double low = 0;                    ///< for numbers
  double high = 0;

  /// "AT LEAST 1", "{mlp,cnn}"; empty when anything goes.
  [[nodiscard]] std::string text() const;
  /// What is wrong with a value, in words; empty when nothing is.
  [[nodiscard]] std::string fault(std::string_view value) const;
  [[nodiscard]] std::string fault(double value) const;
};

/// `--data text:FILE`.
inline constexpr std::string_view text_prefix = "text:";

/// What a run is: with the same of these, the same bits come out. Kept in the run's config.json.
struct RunConfig {
  std::string data;
  std::string model = "cnn";
  std::int64_t epochs = 5;
  std::int64_t batch_size = 128;
  double lr = 1e-3;
  std::string optimizer = "adam";
  double momentum = 0;
  double weight_decay = -1;  ///< −1: the optimizer's own default
  std::string schedule = "constant";
  double clip = 0;
  std::int64_t accumulate = 1;
  std::int64_t shards = 1;
  std::int64_t seed = 0;
  std::string precision = "float32";
  bool augment = false;
  std::int64_t limit = 0;  ///< samples of each of the two sets; 0: all
  // Of gpt alone.
  std::int64_t context = 128;  ///< bytes that it sees at a time
  std::int64_t layers = 4;
  std::int64_t width = 256;
  std::int64_t heads = 4;
  double dropout = 0;
  bool tied = true;

  /// The names of all fields, as options spell them without dashes and config.json has them.
  [[nodiscard]] static const std::vector<std::string>& names();
  /// Whether a field says anything about a model: what does not is not in its tree.
  [[nodiscard]] static bool applies(std::string_view name, std::string_view model);
  /// Those that a resumed run may change: what was trained so far stays what it is.
  [[nodiscard]] static bool may_change(std::string_view name);
  [[nodiscard]] static FieldRange range(std::string_view name);

  /// What is wrong with fields that are right each by itself, in words; empty when nothing is.
  [[nodiscard]] std::string fault() const;

  /// What the model's products are computed in.
  [[nodiscard]] DType product_dtype() const;

  [[nodiscard]] io::Tree tree() const;
  /// Throws `file_mismatch` for what is missing, of another kind or out of range; a run from before
  /// there was a choice of precision is one of float32, and one from before there were shards has
  /// one.
  [[nodiscard]] static RunConfig from(const io::Tree& tree);
};

}  // namespace troupe::cli
