#!/usr/bin/env python3
"""Writes small safetensors files by the published format, with nothing but json and struct.

    python3 make_safetensors.py FOLDER

The format (https://github.com/huggingface/safetensors): eight bytes, the length N of the header as a
little-endian uint64; N bytes of JSON, beginning with '{', that may end in spaces; then the tensors'
bytes without gaps, little-endian and row-major, at [begin, end) counted from the end of the header.
Python's library writes the tensors by dtype, widest first, then by name, "__metadata__" before them,
and pads the header to a multiple of eight. sample.safetensors is laid out like that, byte for byte;
unaligned.safetensors is sound too, but as other writers do: unpadded, in another order.
"""

import json
import pathlib
import struct
import sys


def safetensors(header, data, padded=True):
    text = json.dumps(header, separators=(",", ":")).encode()
    if padded:
        text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def sample():
    tensors = [
        ("steps", "I64", [2], struct.pack("<2q", -1, 2**53 + 1)),
        ("mean", "F64", [], struct.pack("<d", 0.1)),
        ("a.weight", "F32", [2, 3], struct.pack("<6f", *range(6))),
        ("b.weight", "F32", [0, 4], b""),
        ("index", "I32", [3], struct.pack("<3i", -7, 0, 7)),
        ("brain", "BF16", [2], struct.pack("<2H", 0x3F80, 0xC000)),
        ("half", "F16", [2], struct.pack("<2e", 1.0, -2.0)),
        ("pixels", "U8", [4], bytes([0, 1, 254, 255])),
        ("mask", "BOOL", [3], bytes([1, 0, 1])),
    ]
    header = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, dtype, shape, content in tensors:
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    return safetensors(header, data)


def unaligned():
    header = {
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
        "flag": {"data_offsets": [0, 1], "shape": [1], "dtype": "U8"},
    }
    return safetensors(header, b"\x05" + struct.pack("<2f", 1.5, -2.5), padded=False)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    (folder / "sample.safetensors").write_bytes(sample())
    (folder / "unaligned.safetensors").write_bytes(unaligned())
