#include "scatter.hpp"

#include "divisor.hpp"

namespace troupe::vulkan {

Scatter::Scatter(Encoder& encoder, std::uint32_t sources, std::uint32_t destinations)
    : keys(encoder.scratch(DType::int32, {sources})),
      counts(encoder.scratch(DType::int32, {std::int64_t{destinations} + 1})),
      encoder_(encoder),
      sources_(sources),
      destinations_(destinations) {
  encoder.fill_zero(counts);
}

void Scatter::sum(const Value& dy, const Value& dx, std::uint32_t outer, std::uint32_t inner) {
  static const Shader* const begin = find_shader("scatter_begin", "");
  static const Shader* const fill = find_shader("scatter_list", "");
  static const Shader* const order = find_shader("scatter_order", "");
  static const ShaderByDType sums("scatter_sum");
  const Shader& shader = encoder_.shader(sums, dx->dtype());
  const std::uint32_t group = encoder_.plain_group();
  const Value places = encoder_.scratch(DType::int32, {destinations_});
  const Value list = encoder_.scratch(DType::int32, {sources_});
  const Value ordered = encoder_.scratch(DType::int32, {sources_});
  encoder_.dispatch(
      *begin,
      {group},
      {write(counts), write(places)},
      destinations_,
      grid_for(destinations_, group));
  encoder_.dispatch(
      *fill,
      {group},
      {read(keys), write(places), write(list)},
      sources_,
      grid_for(sources_, group));
  encoder_.dispatch(
      *order,
      {group},
      {read(keys), read(counts), read(places), read(list), write(ordered)},
      destinations_,
      grid_for(sources_, group));
  struct {
    std::uint32_t n;
    Divisor destinations;
    std::uint32_t sources;
    Divisor inner;
  } const params{
      outer * destinations_ * inner, Divisor::of(destinations_), sources_, Divisor::of(inner)};
  encoder_.dispatch(
      shader,
      {group},
      {read(dy), read(counts), read(places), read(ordered), write(dx)},
      params,
      grid_for(params.n, group));
}

}  // namespace troupe::vulkan
