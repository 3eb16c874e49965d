// The parameters of gather, and where an element of its index points to. Takes constant_id 2.

layout(constant_id = 2) const uint rank = 1;

// n             elements of the index
// extent        of the looked up axis, in the tensor that is looked up in
// axis_stride   of that axis there
// size, stride  of the index's axes; and how far a step along each goes in the other tensor, 0
//               along the looked up one
PARAMS(uint n; uint extent; uint axis_stride; uint op; uint size[8]; uint stride[8];)

// Where element i's line along the axis begins in the other tensor.
uint gather_line(uint i) {
  uint at = 0u;
  for (uint d = rank; d-- > 0u;) {
    const uint outer = i / push.size[d];
    at += (i - outer * push.size[d]) * push.stride[d];
    i = outer;
  }
  return at;
}
