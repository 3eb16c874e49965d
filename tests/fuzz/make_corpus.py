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


def crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def frame(kind, lane=0, sequence=0, ack=0, meta=b"", payload=b"", destination=bytes(16), epoch=0):
    front = b"TRPF" + struct.pack("<BBBBQQ", 1, kind, 0, lane, sequence, ack)
    front += struct.pack("<IIIII", 8, 4096, epoch, len(meta), len(payload)) + destination
    head = meta + (crc32c(meta) if meta else b"")
    blocks = [payload[at : at + (1 << 20)] for at in range(0, len(payload), 1 << 20)]
    return front + crc32c(front) + head + b"".join(map(crc32c, blocks)) + payload


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
    name = b"peer"
    hello = struct.pack("<QQH", 1, 2, len(name)) + name + struct.pack("<QQQQBI", 1, 3, 4, 0, 2, 4096)
    refusal = struct.pack("<H", 25) + struct.pack("<H", 3) + b"why" + struct.pack("<H", 0)
    pulse = struct.pack("<QBQQQ", 1, 1, 2, 3, 4)
    frames = {
        "hello": frame(1, lane=1, meta=hello),
        "refusal": frame(2, meta=refusal),
        "message": frame(3, sequence=1, meta=b"meta", payload=bytes(100), destination=bytes(range(16))),
        "empty": frame(3, sequence=1),
        "ack": frame(4, ack=1),
        "heartbeat": frame(5, meta=pulse),
        "fenced": frame(6, epoch=7),
        "goodbye": frame(7),
    }
    for key, content in frames.items():
        put("frame", key, content)
        put("session", key, b"\2" + content)
        put("stranger", "reception-" + key, b"\3" + content)
    # A greeting's first record, as far as it says that it is one; then what is no TLS at all.
    put("stranger", "record", b"\0\x16\3\1\0\5\1\0\0\1\3")
    put("stranger", "long-record", b"\0\x16\3\1\xff\xff" + bytes(2000))
    put("stranger", "alert", b"\0\x15\3\3\0\2\2\x28")
    put("stranger", "http", b"\0GET / HTTP/1.1\r\n\r\n")
    put("stranger", "frame", b"\0" + frames["hello"])
    for way, name in ((1, "stranger"), (2, "friend")):
        put("stranger", name, bytes([way]))
        for at in (0, 1, 40, 100, 200, 400, 800):
            put("stranger", "%s-%d" % (name, at), struct.pack("<BHBHB", way, at, 1, at, 0x80))
    several = frames["message"] + frames["heartbeat"] + frame(3, sequence=2, payload=bytes(1000))
    put("frame", "several", several)
    put("session", "several", b"\0" + several)
    put("session", "repeated", b"\2" + frames["message"] * 3 + frame(3, sequence=2) + frame(3, sequence=4))
    put("session", "round-trip", b"\2" + frame(5, meta=struct.pack("<QBQQQ", 1, 1, 2, 1 << 63, (1 << 63) + 5)))
    put("session", "lane1", b"\3" + b"".join(frame(3, lane=1, sequence=i) for i in range(1, 12)))

    put("checkpoint", "later", bytes([20, 0]) + b"troupe checkpoint 2\n")


if __name__ == "__main__":
    main()
