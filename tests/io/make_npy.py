#!/usr/bin/env python3
"""Writes the .npy files of the tests with NumPy itself (made with 1.24.2).

    python3 make_npy.py FOLDER
"""

import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
np.save(folder / "float32.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
np.save(folder / "scalar.npy", np.float64(0.1))
np.save(folder / "int64.npy", np.array([-1, 2**53 + 1], dtype=np.int64))
np.save(folder / "bool.npy", np.array([[True], [False]]))
np.save(folder / "half.npy", np.array([1, -2], dtype=np.float16))
np.save(folder / "empty.npy", np.zeros((0, 4), dtype=np.uint8))
np.save(folder / "big_endian.npy", np.array([1, -2, 300], dtype=">i4"))
np.save(folder / "fortran.npy", np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)))
np.save(folder / "uint16.npy", np.arange(3, dtype=np.uint16))
with open(folder / "version2.npy", "wb") as file:
    np.lib.format.write_array(file, np.arange(3, dtype=np.int32), version=(2, 0))
