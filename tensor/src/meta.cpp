#include <troupe/tensor/meta.hpp>

namespace troupe {

std::string to_string(const Meta& meta) {
  return std::string(name_of(meta.dtype)) + to_string(meta.shape);
}

}  // namespace troupe
