// Stands before the C library's dlclose() in programs under AddressSanitizer that load a Vulkan
// driver: what is loaded stays loaded. LeakSanitizer looks for pointers when the program ends; what
// only an unloaded library pointed to would look lost, and nobody could tell whose it was.
extern "C" __attribute__((visibility("default"))) int dlclose(void* /*library*/) noexcept {
  return 0;
}
