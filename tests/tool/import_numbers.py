"""The checkpoints of test_import.py, which PyTorch knows as well (make_import_vectors.py): every number comes from a hash
of its tensor's name, and has so few bits that 16-bit floats hold it exactly. Standard library only."""
import math, struct

U64 = (1 << 64) - 1


def signed_bytes(text, count):
    """count numbers -128..127: the bytes of splitmix64 from fnv(text) on."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & U64
    out = bytearray()
    while len(out) < count:
        h = (h + 0x9E3779B97F4A7C15) & U64
        z = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & U64
        z = (z ^ z >> 27) * 0x94D049BB133111EB & U64
        out += struct.pack("<Q", z ^ z >> 31)
    return struct.unpack(f"{count}b", out[:count])


def values(name, shape):
    """Elements of a tensor. A tensor of one dim is a norm's or a bias."""
    count = math.prod(shape)
    raw = signed_bytes(name, count)
    if name.endswith("num_batches_tracked"):
        return [1234567]
    if name.endswith("running_var"):
        return [(64 + k % 64) / 64 for k in raw]
    if name.endswith("running_mean") or name.endswith("bias"):
        return [k / 256 for k in raw]
    if len(shape) == 1:
        return [(32 + k % 32) / 64 for k in raw]  # a norm's scale
    # Uniform up to a power of two near sqrt(20 / inputs): what goes in shows at the end.
    step = 2.0 ** round(math.log2(math.sqrt(20 / (count // shape[0]))) - 7)
    return [k * step for k in raw]


def images(name, count):
    return [k / 64 for k in signed_bytes(name, count)]


def packed(numbers, kind):
    """Little endian, as a safetensors file has them."""
    if kind == "BF16":
        return b"".join(struct.pack("<f", x)[2:] for x in numbers)
    return struct.pack("<%d%s" % (len(numbers), {"F64": "d", "F32": "f", "F16": "e", "I64": "q"}[kind]), *numbers)


def write_safetensors(path, tensors, metadata=None):
    """tensors: [(name, kind, shape, bytes)]."""
    import json
    header, at = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, kind, shape, data in tensors:
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(t[3] for t in tensors))


def read_safetensors(path):
    """-> [(name, kind, shape, bytes)], metadata"""
    import json
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), f.read()
    metadata = header.pop("__metadata__", {})
    return [(k, t["dtype"], t["shape"], data[t["data_offsets"][0]:t["data_offsets"][1]])
            for k, t in header.items()], metadata
