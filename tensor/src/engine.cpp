#include <troupe/tensor/engine.hpp>

namespace troupe {

Engine& Engine::of(System& system) {
  if (auto* engine = system.find<Engine>()) return *engine;
  return system.attach<Engine>();
}

}  // namespace troupe
