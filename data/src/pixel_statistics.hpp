#pragma once

#include <troupe/data/dataset.hpp>

namespace troupe::data {

/// Fills `mean` and `deviation` from the training images.
void measure_pixels(ImageDataset& dataset);

}  // namespace troupe::data
