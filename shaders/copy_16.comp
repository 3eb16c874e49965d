// Elements from strided memory to strided memory, in pieces of 16 bytes.
//
// variants: none
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#define T uvec4
#define ALIGNMENT 16
#include "copy.glsl"
