#include <troupe/tensor/engine.hpp>

#include <utility>

namespace troupe {

Engine& Engine::of(System& system) {
  if (auto* engine = system.find<Engine>()) return *engine;
  return system.attach<Engine>();
}

void Engine::add_hook(
    const ActorCell& of, std::uint32_t output, std::shared_ptr<const GradientHook> hook) {
  const std::lock_guard lock(watching_);
  watched_[&of].hooks.emplace_back(output, std::move(hook));
  watched_count_.store(watched_.size(), std::memory_order_release);
}

Engine::Hooks Engine::hooks(const ActorCell& of) {
  if (!watches_gradients()) return {};
  const std::lock_guard lock(watching_);
  const auto found = watched_.find(&of);
  return found == watched_.end() ? Hooks() : found->second.hooks;
}

Ref<ActorCell> Engine::gradient_keeper(const ActorCell& of, std::uint32_t output) {
  if (!watches_gradients()) return nullptr;
  const std::lock_guard lock(watching_);
  const auto found = watched_.find(&of);
  if (found == watched_.end()) return nullptr;
  for (const auto& [its_output, keeper] : found->second.keepers)
    if (its_output == output) return keeper;
  return nullptr;
}

void Engine::keep_gradient(const ActorCell& of, std::uint32_t output, Ref<ActorCell> keeper) {
  const std::lock_guard lock(watching_);
  watched_[&of].keepers.emplace_back(output, std::move(keeper));
  watched_count_.store(watched_.size(), std::memory_order_release);
}

void Engine::forget(const ActorCell& of) noexcept {
  Watched gone;  // outlives the lock: what a hook holds may end other actors, which come here too
  const std::lock_guard lock(watching_);
  const auto found = watched_.find(&of);
  if (found == watched_.end()) return;
  gone = std::move(found->second);
  watched_.erase(found);
  watched_count_.store(watched_.size(), std::memory_order_release);
}

bool traps_nan(const System& system) noexcept {
  const Engine* engine = system.find<Engine>();
  return engine && engine->trap_nan.load(std::memory_order_relaxed);
}

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return Error(ErrorCode::op_failed, error.what());
  } catch (...) {
    return Error(ErrorCode::op_failed, "an exception that is no std::exception");
  }
}

}  // namespace troupe
