// What the shaders of convolutions share. All three products of a convolution are one:
//
//     C[r, c] = Σ_k left[r, k] · x[place of c moved by k]
//
// The left operand comes packed (gemm_pack.comp); x is read where the indices say. A column and a
// step of k have three digits each:
//
//     forward            r out channel   c image, row, column of y      k in channel, tap y, tap x
//     backward to x      r in channel    c image, row, column of x      k out channel, tap y, tap x
//     backward to w      r out channel   c in channel, tap y, tap x     k image, row, column of dy
//
// where "x" stands for what the right operand is: x, dy, x. Backward to x of a convolution with a
// stride, dy has zeros between its elements (INSERT). Zeros around and between take part in sums as
// zeros: an infinite weight times padding is NaN, as the definition says.

// Whether x may not have a place that is asked for: there is padding, or zeros lie between its
// elements, or k ends within a block of DEPTH.
layout(constant_id = 4) const uint CHECKED = 1;
// Places for each element of x, of which the others are zeros.
layout(constant_id = 5) const int INSERT_Y = 1;
layout(constant_id = 6) const int INSERT_X = 1;
const bool INSERTED = INSERT_Y > 1 || INSERT_X > 1;
// 1: each row has a bias.
layout(constant_id = 7) const uint BIAS = 0;

#define CONV2D_PARAMS                                                                             \
  uint rows; uint columns; uint depth; uint groups;                                               \
  uint column_y; uint column_x;              /* sizes of a column's lower digits */               \
  uint column_outer; int column_y_step; int column_x_step;                                        \
  uint k_y; uint k_x;                        /* sizes of k's lower digits */                      \
  uint k_outer; int k_y_step; int k_x_step;                                                       \
  int padding_y; int padding_x;                                                                   \
  uint height; uint width;                   /* of x */                                           \
  uint x_group;                                                                                   \
  uint c_row; uint c_outer;                  /* steps of C; columns of one image lie together */  \
  uint slice_depth;

// A column: where k = 0 reads, which may be outside, and where its elements of C begin.
struct Column {
  uint origin;  // offset in x of that place; INSERTED, of the image or channel
  int y;
  int x;
  uint c;
};
#define COLUMN_OF(COLUMN, INDEX)                                                                  \
  {                                                                                               \
    const uint size = push.column_y * push.column_x;                                              \
    const uint outer = (INDEX) / size;                                                            \
    const uint inner = (INDEX) % size;                                                            \
    COLUMN.y = int(inner / push.column_x) * push.column_y_step - push.padding_y;                  \
    COLUMN.x = int(inner % push.column_x) * push.column_x_step - push.padding_x;                  \
    COLUMN.origin = outer * push.column_outer +                                                   \
        (INSERTED ? 0u : uint(COLUMN.y) * push.width + uint(COLUMN.x));                           \
    COLUMN.c = outer * push.c_outer + inner;                                                      \
  }

// A step of k, in digits that are counted up rather than divided out.
struct Step {
  uint k;
  uint outer;  // offset in x
  uint y;
  uint x;
};
#define STEP_OF(STEP, K)                                                                          \
  STEP.k = (K);                                                                                   \
  STEP.x = (K) % push.k_x;                                                                        \
  STEP.y = (K) / push.k_x % push.k_y;                                                             \
  STEP.outer = (K) / push.k_x / push.k_y * push.k_outer;
#define ADVANCE(STEP)                                                                             \
  {                                                                                               \
    ++STEP.k;                                                                                     \
    ++STEP.x;                                                                                     \
    const bool row_done = STEP.x == push.k_x;                                                     \
    STEP.x = row_done ? 0u : STEP.x;                                                              \
    STEP.y += row_done ? 1u : 0u;                                                                 \
    const bool plane_done = STEP.y == push.k_y;                                                   \
    STEP.y = plane_done ? 0u : STEP.y;                                                            \
    STEP.outer += plane_done ? push.k_outer : 0u;                                                 \
  }

// RESULT = the element of x that a column meets at a step; its group begins at GROUP_ORIGIN.
#define X_AT(RESULT, COLUMN, STEP, GROUP_ORIGIN)                                                  \
  {                                                                                               \
    const int down = int(STEP.y) * push.k_y_step;                                                 \
    const int across = int(STEP.x) * push.k_x_step;                                               \
    int y_ = COLUMN.y + down;                                                                     \
    int x_ = COLUMN.x + across;                                                                   \
    bool inside = CHECKED == 0u || (STEP.k < push.depth && y_ >= 0 && x_ >= 0);                   \
    uint from = (GROUP_ORIGIN + STEP.outer) + COLUMN.origin;                                      \
    if (INSERTED) {                                                                               \
      inside = inside && y_ % INSERT_Y == 0 && x_ % INSERT_X == 0;                                \
      y_ /= INSERT_Y;                                                                             \
      x_ /= INSERT_X;                                                                             \
      from += uint(y_) * push.width + uint(x_);                                                   \
    } else {                                                                                      \
      from = (GROUP_ORIGIN + STEP.outer + uint(down) * push.width + uint(across)) + COLUMN.origin; \
    }                                                                                             \
    if (CHECKED == 0u) {                                                                          \
      RESULT = AT(x, from);                                                                       \
    } else {                                                                                      \
      inside = inside && uint(y_) < push.height && uint(x_) < push.width;                         \
      const T value = AT(x, inside ? from : 0u);                                                  \
      RESULT = inside ? value : T(0);                                                             \
    }                                                                                             \
  }

// Where a workgroup's tile lies: neighbours are the tiles along the rows, then along the columns,
// then the groups, then the slices of k, each of which writes a C of its own.
struct Tile {
  uint row;
  uint column;
  uint group;
  uint panel;  // of the left operand
  uint c;
  uint k_begin;
  uint k_end;
};
#define SET_TILE(TILE, ROW_COUNT, COLUMN_COUNT)                                                   \
  {                                                                                               \
    const uint tiles_down = (push.rows + (ROW_COUNT) - 1u) / (ROW_COUNT);                         \
    const uint tiles_across = (push.columns + (COLUMN_COUNT) - 1u) / (COLUMN_COUNT);              \
    const uint across = GROUP / tiles_down;                                                       \
    TILE.row = GROUP % tiles_down * (ROW_COUNT);                                                  \
    TILE.column = across % tiles_across * (COLUMN_COUNT);                                         \
    TILE.group = across / tiles_across % push.groups;                                             \
    TILE.panel = TILE.group * tiles_down + TILE.row / (ROW_COUNT);                                \
    const uint slice = across / tiles_across / push.groups;                                       \
    TILE.k_begin = slice * push.slice_depth;                                                      \
    TILE.k_end = min(TILE.k_begin + push.slice_depth, push.depth);                                \
    TILE.c = slice * push.groups * push.rows * push.columns + TILE.group * push.rows * push.c_row; \
  }
// False for a group beyond the last.
#define TILE_EXISTS(TILE) (TILE.k_begin < push.depth || TILE.k_begin == 0u)
