// What the shaders of matmul and linear share: which elements a product is of.

// Whether a bias is added, and along what: 0 none, 1 one for each row, 2 one for each column.
layout(constant_id = 4) const uint BIAS = 0;

// C[r, c] = Σ_k left[r, k] · right[k, c], for a batch of matrices; steps count elements (in panels,
// matrices). The matrices of C lie one behind the other. A matrix's index in the batch has up to
// three digits, of which each operand has its own steps: 0 where it is broadcast.
#define MATMUL_PARAMS                                                                             \
  uint rows; uint columns; uint depth;                                                            \
  uint left_row; uint left_k; uint right_k; uint right_column; uint c_row; uint c_column;         \
  uint batch; uint inner; uint middle;                                                            \
  uint left_inner; uint left_middle; uint left_outer;                                             \
  uint right_inner; uint right_middle; uint right_outer;                                          \
  uint left_begin; uint right_begin; uint c_begin;                                                \
  uint slice_depth;

// Where a workgroup's tile lies.
struct Tile {
  uint row;
  uint column;
  uint left;   // offset of the operand's matrix
  uint right;
  uint c;
  uint k_begin;
  uint k_end;
};

// Neighbours are the tiles along the rows, then along the columns, then the matrices, then the
// slices of k; each slice writes a C of its own.
#define SET_TILE(TILE, ROW_COUNT, COLUMN_COUNT)                                                   \
  {                                                                                               \
    const uint tiles_down = (push.rows + (ROW_COUNT) - 1u) / (ROW_COUNT);                         \
    const uint tiles_across = (push.columns + (COLUMN_COUNT) - 1u) / (COLUMN_COUNT);              \
    const uint across = GROUP / tiles_down;                                                       \
    TILE.row = GROUP % tiles_down * (ROW_COUNT);                                                  \
    TILE.column = across % tiles_across * (COLUMN_COUNT);                                         \
    const uint matrix_and_slice = across / tiles_across;                                          \
    const uint matrix = matrix_and_slice % push.batch;                                            \
    const uint slice = matrix_and_slice / push.batch;                                             \
    const uint i = matrix % push.inner;                                                           \
    const uint j = matrix / push.inner % push.middle;                                             \
    const uint k = matrix / push.inner / push.middle;                                             \
    TILE.left = push.left_begin + i * push.left_inner + j * push.left_middle +                    \
        k * push.left_outer;                                                                      \
    TILE.right = push.right_begin + i * push.right_inner + j * push.right_middle +                \
        k * push.right_outer;                                                                     \
    TILE.c = push.c_begin + matrix_and_slice * push.rows * push.columns;                          \
    TILE.k_begin = slice * push.slice_depth;                                                      \
    TILE.k_end = min(TILE.k_begin + push.slice_depth, push.depth);                                \
  }
// False for a group beyond the last.
#define TILE_EXISTS(TILE) (TILE.k_begin < push.depth || TILE.k_begin == 0u)

// Writes an element of C, its bias added. A slice is not finished: gemm_slices.comp does that.
#define WRITE_C(TILE, ROW, COLUMN, SUM)                                                           \
  {                                                                                               \
    const uint place = TILE.c + (ROW) * push.c_row + (COLUMN) * push.c_column;                    \
    const T sum = BIAS == 0u ? (SUM) : (SUM) + AT(bias, BIAS == 1u ? (ROW) : (COLUMN));           \
    AT(c, place) = FINISH(place, push.c_column == 1u ? (COLUMN) : (ROW), sum);                    \
  }
