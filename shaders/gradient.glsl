// The gradient that an update takes: a tensor. Where a prologue makes it, a text written at run time
// takes this file's place (backends/vulkan/src/prologue.cpp).
//
//     #define GRADIENT_BINDING 4
//     GRADIENT(I)   element i; read once for each, in main(), behind math.glsl and update.glsl
BINDING(GRADIENT_BINDING, readonly, T, g)
#define GRADIENT(I) AT(g, I)
