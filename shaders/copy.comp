// Elements from strided memory to strided memory, whatever they are.
//
// variants: size
#version 460
#extension GL_GOOGLE_include_directive : require
#define BINDINGS 2
#include "copy.glsl"
