// Numbers of the tensors' dtype among the parameters: two words each, see number.hpp. NUMBER_PARAM(x)
// in PARAMS, then NUMBER(x).
#define NUMBER_PARAM(NAME) uint NAME##_low; uint NAME##_high;
#ifdef DTYPE_float64
#define NUMBER(NAME) packDouble2x32(uvec2(push.NAME##_low, push.NAME##_high))
#else
#define NUMBER(NAME) uintBitsToFloat(push.NAME##_low)
#endif
