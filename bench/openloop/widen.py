"""Makes a network wider without changing what it computes (Chen et al., "Net2Net", ICLR 2016): each channel between two layers
is there several times, and whoever reads it divides its weight by their number. With a power of two nothing is rounded but
sums. So a small trained model gives a large one with the same accuracies, that costs what any network of its size does, and
without a zero in it that arithmetic could profit from."""
import array, json, struct


def read_metadata(path):
    """Of a safetensors file."""
    with open(path, "rb") as f:
        return json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["__metadata__"]


def read(path):
    """-> metadata, {name: (shape, array of floats)} of a safetensors file in F32"""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, t in header.items():
        if t["dtype"] != "F32":
            raise SystemExit(f"{path}: {name} is {t['dtype']}, and not F32")
        values = array.array("f")
        values.frombytes(data[slice(*t["data_offsets"])])
        tensors[name] = (t["shape"], values)
    return metadata, tensors


def write(path, metadata, tensors):
    header, at = {"__metadata__": metadata}, 0
    for name, (shape, values) in tensors.items():
        size = 4 * len(values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            f.write(values.tobytes())


def rename(path, name, out):
    """The same model under another name, which is its network's."""
    metadata, tensors = read(path)
    metadata["autodidact.spec"] = json.dumps({**json.loads(metadata["autodidact.spec"]), "name": name})
    write(out, metadata, tensors)


def times(name, wide, narrow):
    if wide % narrow:
        raise SystemExit(f"{name}: {wide} is no multiple of {narrow}")
    return wide // narrow


def widen_tensor(name, narrow, values, wide):
    """Channel i of the wide one is channel i mod n of the narrow one."""
    if len(narrow) == 1:
        return values * times(name, wide[0], narrow[0])
    if narrow[2:] != wide[2:]:
        raise SystemExit(f"{name}: {narrow} and {wide} have other kernels")
    out, into = times(name, wide[0], narrow[0]), times(name, wide[1], narrow[1])
    scaled = array.array("f", (v / into for v in values))
    row = len(values) // narrow[0]
    rows = array.array("f")
    for o in range(narrow[0]):
        rows.extend(scaled[o * row:(o + 1) * row] * into)
    return rows * out


def widen(narrow_path, like_path, out_path):
    """like_path: a model of the wanted size, whose spec and shapes are taken."""
    metadata, narrow = read(narrow_path)
    wide_metadata, like = read(like_path)
    if narrow.keys() != like.keys():
        raise SystemExit(f"{narrow_path} and {like_path} are other networks")
    metadata["autodidact.spec"] = wide_metadata["autodidact.spec"]
    write(out_path, metadata, {name: (like[name][0], widen_tensor(name, shape, values, like[name][0]))
                               for name, (shape, values) in narrow.items()})
