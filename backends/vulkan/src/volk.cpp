// The loader's functions, found at run time: https://github.com/zeux/volk, whose Debian package has
// its source beside its header.
#define VOLK_IMPLEMENTATION
#include "api.hpp"
