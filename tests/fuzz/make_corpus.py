#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets: small files, sound ones and nearly sound ones.

    python3 make_corpus.py          into corpus/ beside this file
"""

import gzip
import json
import pathlib
import struct
import zlib

corpus = pathlib.Path(__file__).parent / "corpus"


def put(target, name, content):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def idx(code, sizes, data):
    header = struct.pack(">BBBB", 0, 0, code, len(sizes))
    return header + b"".join(struct.pack(">I", size) for size in sizes) + data


def safetensors(tensors, metadata=None):
    header = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, dtype, shape, content in tensors:
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def npy(dtype, shape, data):
    text = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n" % (dtype, shape)
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data


def manifest(meta, state):
    text = b"troupe checkpoint 1\n"
    for name, content in (b"meta.json", meta), (b"state.safetensors", state):
        text += b"%s %d %08x\n" % (name, len(content), zlib.crc32(content))
    return text + b"crc %08x\n" % zlib.crc32(text)


def main():
    plain = idx(8, [2, 2, 3], bytes(range(12)))
    put("idx", "uint8", plain)
    put("idx", "uint8.gz", gzip.compress(plain, mtime=0))
    put("idx", "int32", idx(0x0C, [2], struct.pack(">2i", 1, -1)))
    put("idx", "float64", idx(0x0E, [1], struct.pack(">d", 1.5)))
    put("idx", "empty", idx(8, [0, 28, 28], b""))
    put("idx", "huge", idx(8, [0xFFFFFFFF] * 8, b""))
    put("idx", "huge-empty", idx(8, [0xFFFFFFFF] * 4 + [0], b""))
    put("idx", "bomb.gz", gzip.compress(idx(8, [100], bytes(100_000)), mtime=0))

    names = b"".join(b"%c\n" % c for c in b"abcdefghij")
    put("cifar10", "one", b"\0" + bytes(3072))
    put("cifar10", "named", names + b"\0" + bytes(3072))
    put("cifar10", "short", b"\0" + bytes(100))

    weight = ("w", "F32", [2, 2], struct.pack("<4f", 1, 2, 3, 4))
    everything = safetensors(
        [
            ("l", "I64", [1], bytes(8)),
            ("d", "F64", [], bytes(8)),
            weight,
            ("i", "I32", [1], bytes(4)),
            ("b", "BF16", [1], bytes(2)),
            ("h", "F16", [1], bytes(2)),
            ("u", "U8", [3], bytes(3)),
            ("t", "BOOL", [2], b"\0\1"),
            ("e", "F32", [0, 4], b""),
        ],
        {"format": "pt"},
    )
    put("safetensors", "everything", everything)
    put("safetensors", "one", safetensors([weight]))
    put("safetensors", "none", safetensors([]))
    put("safetensors", "foreign", safetensors([("w", "U32", [1], bytes(4))]))
    put("safetensors", "odd", struct.pack("<Q", 52) + b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'[:52])

    put("npy", "float32", npy("<f4", "(2, 2)", bytes(16)))
    put("npy", "int32", npy(">i4", "(2,)", bytes(8)))
    put("npy", "scalar", npy("<f8", "()", bytes(8)))
    put("npy", "bool", npy("|b1", "(0, 3)", b""))

    put("tree", "meta", b'{"epoch": 3, "loss": [0.1, -2e-5], "seed": 18446744073709551615, "a": {"b": null}}')
    put("tree", "words", b'["NaN", true, false, "\\u00fc\\ud83c\\udfad\\n", -9223372036854775808]')
    put("tree", "twice", b'{"a": 1, "a": 2}')
    put("tree", "deep", b"[" * 64 + b"]" * 64)

    meta = b'{"step":1}'
    state = safetensors([weight])
    listed = manifest(meta, state)
    put("checkpoint", "fitted", bytes([0, len(meta)]) + meta + state)
    put("checkpoint", "whole", bytes([len(listed), len(meta)]) + listed + meta + state)
    put("checkpoint", "later", bytes([20, 0]) + b"troupe checkpoint 2\n")


if __name__ == "__main__":
    main()
