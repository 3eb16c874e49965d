#pragma once

#include <troupe/io/tree.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// What a run is: with the same of these, the same bits come out. Kept in the run's config.json.
struct RunConfig {
  std::string data;
  std::string model = "cnn";
  std::int64_t epochs = 5;
  std::int64_t batch_size = 128;
  double lr = 1e-3;
  std::string optimizer = "adam";
  double momentum = 0;
  double weight_decay = -1;  ///< below 0: the optimizer's own default
  std::string schedule = "constant";
  double clip = 0;
  std::int64_t accumulate = 1;
  std::int64_t seed = 0;
  bool augment = false;
  std::int64_t limit = 0;  ///< samples of each of the two sets; 0: all

  /// The names of all fields, as options spell them without dashes and config.json has them.
  [[nodiscard]] static const std::vector<std::string>& names();
  /// Those that a resumed run may change: what was trained so far stays what it is.
  [[nodiscard]] static bool may_change(std::string_view name);

  [[nodiscard]] io::Tree tree() const;
  /// Throws `file_mismatch` for what is missing or of another kind.
  [[nodiscard]] static RunConfig from(const io::Tree& tree);
};

}  // namespace troupe::cli
