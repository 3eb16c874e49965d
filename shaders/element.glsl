// The elements that a fold takes in: those of a tensor. Where a chain of ops makes them, a text
// written at run time takes this file's place (backends/vulkan/src/chain.cpp).
//
//     ELEMENT(PLACE)   the element at a place of the input; read once for each
BINDING(0, readonly, T, x)
#define ELEMENT(PLACE) AT(x, PLACE)
