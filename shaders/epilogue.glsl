// What becomes of an element of a product on its way to memory: nothing. Where something does, a text
// written at run time takes this file's place (backends/vulkan/src/epilogue.cpp).
//
//     FINISH(PLACE, LAST, SUM)   PLACE counts C's elements, LAST is the index along its last axis
#define FINISH(PLACE, LAST, SUM) (SUM)
