#!/usr/bin/env python3
"""Makes tests/board/vectors.h: records of event files, from the published formats alone: TFRecord's framing, CRC-32C
bit by bit, and protocol buffers' wire format field by field (event.proto, summary.proto, tensor.proto,
plugin_data.proto, struct.proto). Standard library only."""
import struct


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff)


def record(data):
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def text(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def double(field, value):
    return varint(field << 3 | 1) + struct.pack("<d", value)


def single(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)


def tensor(tag, kind, values, plugin):
    shape = text(2, text(2, number(1, 1)))
    value = text(1, tag) + text(8, number(1, kind) + shape + values) + text(9, text(1, plugin) + number(4, 2))
    return record(double(1, 3.5) + text(5, text(1, value)))


VECTORS = {
    "version": record(double(1, 1.5) + text(3, "brain.Event:2")),
    "scalars": record(double(1, 2.25) + number(2, 300) + text(5, text(1, text(1, "loss/total") + single(2, 0.1)) +
                                                             text(1, text(1, "lr") + single(2, -1e-3)))),
    "text": tensor("a tag", 7, text(8, "**bold**"), text(1, "text")),
    "settings": tensor("_hparams_/session_start_info", 1, text(5, struct.pack("<f", 0)), text(1, "hparams") + text(
        2, number(1, 0) + text(3, text(1, text(1, "lr") + text(2, double(2, 0.1))) +
                               text(1, text(1, "method") + text(2, text(3, "byot"))) + double(5, 3.5)))),
}

if __name__ == "__main__":
    print("/* Made by make_vectors.py. */")
    for name, data in VECTORS.items():
        print(f"static const unsigned char {name}[] = {{")
        for i in range(0, len(data), 16):
            print("    " + ", ".join(f"0x{byte:02x}" for byte in data[i:i + 16]) + ",")
        print("};")
