"""Makes the seeds in tests/fuzz/corpus/TARGET: valid inputs and broken ones, all small.
Run by hand; the files are committed. Images come from tests/image/vectors."""
import gzip, json, os, random, struct, zlib

here = os.path.dirname(os.path.abspath(__file__))
vectors = os.path.join(here, "..", "image", "vectors")
rnd = random.Random(2)


def write(target, name, data):
    folder = os.path.join(here, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)


def tensors_file(header, data=b""):
    text = header if isinstance(header, str) else json.dumps(header)
    return struct.pack("<Q", len(text)) + text.encode() + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    floats = struct.pack("<6f", 1, -2, 3.5, 1e-40, float("inf"), 0)
    write("safetensors", "empty", tensors_file({}))
    write("safetensors", "one", tensors_file({"a": tensor("F32", [2, 3], 0, 24)}, floats))
    write("safetensors", "three", tensors_file(
        {"__metadata__": {"autodidact.spec": "{}", "k": "v\n\u00e9"}, "b": tensor("F16", [4], 8, 16),
         "a": tensor("F32", [2], 0, 8), "c": tensor("BF16", [], 16, 18)}, bytes(range(18))))
    write("safetensors", "no_elements", tensors_file({"a": tensor("F32", [0, 5], 0, 0), "b": tensor("F32", [1], 0, 4)}, b"1234"))
    write("safetensors", "padded", tensors_file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}      ', b"1234"))
    write("safetensors", "hole", tensors_file({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 8, 12)}, bytes(12)))
    write("safetensors", "overlap", tensors_file({"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [2], 4, 12)}, bytes(12)))
    write("safetensors", "past_end", tensors_file({"a": tensor("F32", [2], 0, 8)}, bytes(7)))
    write("safetensors", "trailing", tensors_file({"a": tensor("F32", [2], 0, 8)}, bytes(9)))
    write("safetensors", "huge_shape", tensors_file({"a": tensor("F32", [1 << 32, 1 << 32], 0, 0)}))
    write("safetensors", "huge_offset", tensors_file({"a": tensor("F32", [1], (1 << 63) - 5, (1 << 63) - 1)}, bytes(4)))
    write("safetensors", "other_type", tensors_file({"a": tensor("I64", [1], 0, 8)}, bytes(8)))
    write("safetensors", "checkpoint", tensors_file(
        {"module.block1.layer.0.convShortcut.weight": tensor("F64", [2, 1], 0, 16),
         "module.bn1.num_batches_tracked": tensor("I64", [], 16, 24),
         "_orig_mod.layer1.0.shortcut.0.weight": tensor("BF16", [1], 24, 26), "linear.bias": tensor("U8", [2], 26, 28)},
        struct.pack("<2dqHBB", 0.1, -1e300, 7, 0x3F80, 1, 2)))
    write("safetensors", "long_header", struct.pack("<Q", (1 << 64) - 1) + b"{}")
    write("safetensors", "deep", tensors_file("[" * 3000))
    write("safetensors", "short", b"\1\0\0")


SPEC = {"name": "tiny", "classes": 2, "input": {"channels": 3, "height": 4, "width": 4},
        "stem": {"kernel": 3, "channels": 2, "stride": 1, "pad": 1},
        "stages": [{"block": "basic", "blocks": 1, "channels": 2, "stride": 1},
                   {"block": "basic", "blocks": 1, "channels": 3, "stride": 2}],
        "cuts": [1, 2], "heads": {"kind": "scala", "mid_channels": 2}}


def changed(path, value):
    spec = json.loads(json.dumps(SPEC))
    at = spec
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(spec)


def specs():
    with open(os.path.join(here, "..", "..", "models", "resnet18.json"), "rb") as f:
        write("spec", "resnet18", f.read())
    write("spec", "tiny", json.dumps(SPEC))
    write("spec", "one_section", json.dumps({k: v for k, v in SPEC.items() if k != "heads"} | {"cuts": [2]}))
    write("spec", "wide", changed(("stages", 1, "channels"), 16384))
    write("spec", "deep", changed(("stages", 1, "blocks"), 511).replace("[1, 2]", "[1, 512]"))
    write("spec", "vanishing", changed(("stages", 1, "stride"), 8))
    write("spec", "real", changed(("classes",), 2.5))
    write("spec", "unknown", changed(("stem", "bias"), 1))
    write("spec", "block", changed(("stages", 0, "block"), "inception"))
    for name in ("vgg19-224", "resnext29-8", "wrn20-8", "pyramidnet101-240", "resnet50-64"):
        with open(os.path.join(here, "..", "..", "models", name + ".json"), "rb") as f:
            write("spec", name, f.read())
    for block in ("bottleneck", "preact", "pyramid", "vgg"):
        write("spec", block, changed(("stages",), [{"block": block, "blocks": 1, "channels": 2 + i, "stride": 1 + i}
                                                   for i in range(2)]))
    write("spec", "groups", changed(("stages", 0), {"block": "bottleneck", "blocks": 1, "channels": 2, "groups": 3,
                                                    "group_width": 5461, "pool": 2}))
    write("spec", "scala_attention", changed(("heads", "kind"), "scala+attention"))
    write("spec", "sepconv_attention", changed(("heads",), {"kind": "sepconv+attention"}))
    write("spec", "hidden", changed(("classifier",), {"hidden": [16384, 1], "pooled": 2}))
    write("spec", "cut_stages", changed(("cuts",), "stages"))
    write("spec", "no_cuts", json.dumps({k: v for k, v in SPEC.items() if k != "cuts"}))
    write("spec", "many_blocks", changed(("stages", 0, "blocks"), 2147483647).replace("[1, 2]", '"stages"'))
    write("spec", "cuts", changed(("cuts",), [2, 1]))
    write("spec", "name", changed(("name",), "../x"))
    write("spec", "cut_short", json.dumps(SPEC)[:-40])
    write("spec", "nested", "[" * 3000)
    write("spec", "null", "null")


def conv(name, o, i, k, bias=False):
    return [(name + ".weight", [o, i, k, k])] + ([(name + ".bias", [o])] if bias else [])


def norm(name, c):
    return [(name + "." + m, [c]) for m in ("weight", "bias", "running_mean", "running_var")]


def params():
    out = conv("conv1", 2, 3, 3) + norm("bn1", 2)
    for stage, (i, o) in enumerate(((2, 2), (2, 3)), 1):
        b = f"layer{stage}.0."
        out += conv(b + "conv1", o, i, 3) + norm(b + "bn1", o) + conv(b + "conv2", o, o, 3) + norm(b + "bn2", o)
        if stage == 2:
            out += conv(b + "downsample.0", o, i, 1) + norm(b + "downsample.1", o)
    e = "exits.1."
    out += conv(e + "conv1", 2, 2, 1, True) + norm(e + "bn1", 2) + conv(e + "conv2", 2, 2, 2, True) + norm(e + "bn2", 2)
    out += conv(e + "conv3", 3, 2, 1, True) + norm(e + "bn3", 3) + [(e + "fc.weight", [2, 3]), (e + "fc.bias", [2])]
    return out + [("fc.weight", [2, 3]), ("fc.bias", [2])]


META = {
    "autodidact.spec": json.dumps(SPEC),
    "autodidact.labels": '["cat", "dog"]',
    "autodidact.preprocess": '{"width": 4, "height": 4, "resize": "stretch", "filter": "bilinear", "crop": "none",'
                             ' "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}',
    "autodidact.calibration": '{"images": 10, "exits": [{"top1": 0.5, "temperature": 1}, {"top1": 0.6, "temperature": 2}],'
                              ' "ensemble": {"top1": 0.7, "temperature": 1.5}, "thresholds": [0.9, 0]}',
}


def model(meta=META, drop=None, value=0.25):
    header, data = {"__metadata__": meta}, b""
    for name, shape in params():
        if name == drop:
            continue
        n = 1
        for d in shape:
            n *= d
        header[name] = tensor("F16", shape, len(data), len(data) + 2 * n)
        data += struct.pack(f"<{n}e", *(value if "running_var" in name else rnd.uniform(-1, 1) for _ in range(n)))
    return tensors_file(header, data)


def model_int8(weight="I8", scale="F32", value=0.01, drop=None, long=False):
    """Weights of convolutions and linear layers as whole numbers, with a scale for each output channel."""
    header, data, rnd = {"__metadata__": META}, b"", random.Random(8)

    def add(name, dtype, shape, packed):
        nonlocal data
        header[name] = tensor(dtype, shape, len(data), len(data) + len(packed))
        data += packed

    for name, shape in params():
        n = 1
        for d in shape:
            n *= d
        if not name.endswith(".weight") or len(shape) < 2:
            add(name, "F32", shape, struct.pack(f"<{n}f", *(0.25 if "running_var" in name else rnd.uniform(-1, 1) for _ in range(n))))
            continue
        if name != drop:
            scales = [value] * (shape[0] + long)
            add(name + "_scale", scale, [len(scales)], struct.pack(f"<{len(scales)}{'f' if scale == 'F32' else 'e'}", *scales))
        add(name, weight, shape, bytes(rnd.randrange(256) for _ in range(n)))
    return tensors_file(header, data)


def models():
    write("model", "good", model())
    write("model", "no_calibration", model({k: v for k, v in META.items() if "calibration" not in k}))
    write("model", "no_labels", model({k: v for k, v in META.items() if "labels" not in k}))
    write("model", "missing", model(drop="layer2.0.bn2.bias"))
    write("model", "negative", model(value=-1))
    write("model", "not_finite", model(value=float("nan")))
    write("model", "cut_short", model()[:-3])
    write("model", "labels", model(META | {"autodidact.labels": '["cat"]'}))
    write("model", "std", model(META | {"autodidact.preprocess": META["autodidact.preprocess"].replace("0.25]", "0]")}))
    write("model", "int8", model_int8())
    write("model", "int8_unsigned", model_int8(weight="U8"))
    write("model", "int8_half", model_int8(scale="F16"))
    write("model", "int8_missing", model_int8(drop="fc.weight"))
    write("model", "int8_long", model_int8(long=True))
    write("model", "int8_zero", model_int8(value=0))
    write("model", "int8_negative", model_int8(value=-1))
    write("model", "int8_not_finite", model_int8(value=float("nan")))
    write("model", "int8_too_large", model_int8(value=3e38))


def images():
    for name in ("grey1.png", "grey16.png", "rgb8.png", "rgb8_key.png", "palette4.png", "palette_past.png", "grey_alpha8.png",
                 "rgba16_interlaced.png", "palette4_interlaced.png", "one.png", "bad_short.png", "bad_stream.png", "bad_zlib.png",
                 "grey.jpg", "rgb444.jpg", "rgb420.jpg", "progressive.jpg", "one_jpeg.jpg", "cmyk.jpg", "arithmetic.jpg",
                 "arithmetic_progressive.jpg", "restarts.jpg", "no_tables.jpg", "one_by_one.jpg", "odd_parts.jpg", "ycck.jpg",
                 "turned_6_mmjpg.jpg", "turned_7_iipng.png"):
        with open(os.path.join(vectors, name), "rb") as f:
            data = f.read()
        write("image", name, data)
        if name in ("rgb8.png", "rgb420.jpg", "progressive.jpg"):
            write("image", "cut_" + name, data[:len(data) * 2 // 3])
    with open(os.path.join(vectors, "rgb420.jpg"), "rb") as f:
        data = f.read()
    write("image", "cut_end.jpg", data[:len(data) * 2 // 3] + b"\xff\xd9")
    write("image", "odd_restart.jpg", data[:-2] + b"\xff\xd0\xff\xd9")
    write("image", "no_scan.jpg", data[:data.index(b"\xff\xda")] + b"\xff\xd9")
    write("image", "headless.jpg", b"\xff\xd8\xff\xd9")
    with open(os.path.join(vectors, "one.png"), "rb") as f:
        data = f.read()
    write("image", "empty_data.png", data[:data.index(b"IDAT") - 4] + b"\0\0\0\0IDAT\x35\xaf\x06\x1e" + data[-12:])
    write("image", "gif", b"GIF89a\1\0\1\0\0\0\0;")


def exifs():
    def tiff(order, *entries, magic=42, offset=8, count=None):
        pack = lambda form, *values: struct.pack((">" if order == b"MM" else "<") + form, *values)
        return (order + pack("HI", magic, offset) + pack("H", len(entries) if count is None else count) +
                b"".join(pack("HHIHH", *entry, 0) for entry in entries))
    for value in (0, 1, 3, 6, 8, 9):
        write("exif", f"orientation_{value}", tiff(b"MM", (0x112, 3, 1, value)))
    write("exif", "little", tiff(b"II", (0x10f, 2, 4, 0), (0x112, 3, 1, 5)))
    write("exif", "long_type", tiff(b"II", (0x112, 4, 1, 5)))
    write("exif", "two_values", tiff(b"II", (0x112, 3, 2, 5)))
    write("exif", "no_tiff", tiff(b"II", (0x112, 3, 1, 5), magic=43))
    write("exif", "far", tiff(b"MM", (0x112, 3, 1, 5), offset=0xffffffff))
    write("exif", "many", tiff(b"MM", (0x110, 3, 1, 5), count=0xffff))
    write("exif", "cut_short", tiff(b"MM", (0x112, 3, 1, 5))[:-3])
    write("exif", "short", b"MM\0*")


def holdout():
    head = "seed 0 limit 1999999999999999"
    write("holdout", "usual", head + " apart 0123456789abcdef 2000000000000000")
    write("holdout", "none", "seed 18446744073709551615 limit 0000000000000000")
    write("holdout", "all", head)
    write("holdout", "disorder", head + " apart 2000000000000000 0123456789abcdef")
    write("holdout", "short", head + " apart 0123456789abcde")
    write("holdout", "empty", head + " apart")
    write("holdout", "seen", head + " seen 1999999999999999 ffffffffffffffff")
    write("holdout", "both", head + " apart 0123456789abcdef seen 2000000000000000")
    write("holdout", "seen_first", head + " seen 2000000000000000 apart 0123456789abcdef")
    write("holdout", "seen_many", head + " seen" + "".join(f" {i:016x}" for i in range(65)))


def lineages():
    border, classes = "seed 0 limit 1999999999999999", " classes 0123456789abcdef fedcba9876543210 "
    write("lineage", "usual", "cifar100" + classes + border + " apart 0123456789abcdef seen 2000000000000000\n"
                              "folder classes 00000000000000ff " + border + "\nfolder" + classes + "seed 3 count 500\n")
    write("lineage", "unknown", "unknown\ncifar10" + classes + border + "\n")
    write("lineage", "only_unknown", "unknown\n")
    write("lineage", "none", "")
    write("lineage", "same", "".join(f"folder classes {i:016x} {border} seen {i:016x}\n" for i in range(4)))
    write("lineage", "within", "folder" + classes + border + "\nfolder" + classes + border.replace("19", "18", 1) + "\n")
    write("lineage", "many", "".join(f"folder classes {i:016x} seed {i} count 1\n" for i in range(33)))
    write("lineage", "disorder", "folder classes 02 01 " + border + "\n")
    write("lineage", "no_classes", "folder classes " + border + "\n")
    write("lineage", "no_kind", " classes 0123456789abcdef " + border + "\n")
    write("lineage", "no_end", "folder" + classes + border)
    write("lineage", "long_kind", "x" * 32 + classes + border + "\n")
    write("lineage", "count", "folder" + classes + "seed 0 count 9223372036854775808\n")


def choices():
    """Behind the first line, which the target writes for its own processor."""
    write("choices", "usual", "plan fp32 1 32x32x16 16 3x3 1 1 1 direct\nplan fp32 8 32x32x64 64 3x3 1 1 1 winograd\n"
                              "plan fp32 64 8x8x256 512 3x3 1 1 1 winograd-lean\nplan fp32 2 4x4x512 512 3x3 1 1 1 winograd-small\n"
                              "plan bf16 4 16x16x64 128 1x1 2 0 1 bf16\n"
                              "forward fp32 2 32x32x64 64 3x3 1 1 1 winograd\nbackward-data fp32 2 32x32x64 64 3x3 1 1 1 direct\n"
                              "backward-weight fp32 64 4x4x512 512 3x3 1 1 1 direct\n")
    write("choices", "twice", "plan fp32 4 8x8x4 4 1x1 1 0 1 direct\nplan fp32 4 8x8x4 4 1x1 1 0 1 direct\n")
    write("choices", "no_end", "plan fp32 4 8x8x4 4 3x3 1 1 4 direct")
    write("choices", "unknown", "plan fp32 4 8x8x4 4 3x3 1 1 1 fastest\n")
    write("choices", "not_permitted", "plan fp32 4 8x8x64 64 3x3 1 1 1 bf16\n")
    write("choices", "images", "plan fp32 3 8x8x4 4 3x3 1 1 1 direct\n")
    write("choices", "zero", "plan fp32 4 8x0x4 4 3x3 1 1 1 direct\n")
    write("choices", "large", "plan bf16 4 2147483647x2147483647x65536 65536 3x3 1 1 1 bf16\n")
    write("choices", "overflow", "plan fp32 99999999999999999999 8x8x4 4 3x3 1 1 1 direct\n")
    write("choices", "trailing", "plan fp32 4 8x8x4 4 3x3 1 1 1 direct \n")
    write("choices", "nul", "plan fp32 4 8x8x4 4 3x3\0 1 1 1 direct\n")
    write("choices", "long", "plan fp32 4 8x8x4 4 3x3 1 1 1 " + "direct" * 60 + "\n")


def metadata():
    """The first byte: which document (labels, preprocess, calibration, training) + 4 (classes or exits - 1) + 32 (the bits
    of the first exits that have not learned)."""
    labels, preprocess, calibration, training = range(4)

    def put(name, which, n, text, untrained=0):
        write("metadata", name, bytes([which + 4 * (n - 1) + 32 * untrained]) + (text if isinstance(text, str) else json.dumps(text)).encode())
    put("labels", labels, 2, '["cat", "a dog \u00e9"]')
    put("labels_fewer", labels, 3, '["cat", "dog"]')
    put("labels_types", labels, 3, '["cat", 5, null]')
    put("labels_empty", labels, 2, '["", "dog"]')
    put("labels_long", labels, 1, json.dumps(["\u00e9" * 128]))
    put("labels_too_long", labels, 1, json.dumps(["x" * 257]))
    put("labels_control", labels, 1, '["a\\u0007"]')
    put("labels_object", labels, 2, '{"0": "cat"}')
    put("preprocess", preprocess, 1, META["autodidact.preprocess"])
    put("preprocess_cover", preprocess, 1, META["autodidact.preprocess"].replace("stretch", "cover").replace("none", "centre"))
    put("preprocess_std", preprocess, 1, META["autodidact.preprocess"].replace("0.25]", "-1]"))
    put("preprocess_large", preprocess, 1, META["autodidact.preprocess"].replace('"width": 4', '"width": 4294967300'))
    put("calibration", calibration, 2, META["autodidact.calibration"])
    put("calibration_fewer", calibration, 3, META["autodidact.calibration"])
    put("calibration_cold", calibration, 2, META["autodidact.calibration"].replace('"temperature": 2', '"temperature": 0'))
    put("calibration_threshold", calibration, 2, META["autodidact.calibration"].replace("[0.9", "[-0.9"))
    one = {"top1": 0.5, "temperature": 1.5}
    three = {"images": 10, "exits": [one] * 3, "ensemble": one, "thresholds": [0.9, 2, 0], "running": [
        {"exits": 2, **one, "weights": [0.25, 0.75]}, {"exits": 3, **one, "weights": [0.5, 0, 0.5]}]}
    put("calibration_running", calibration, 3, three)
    put("calibration_sum", calibration, 3, three | {"running": [{"exits": 2, **one, "weights": [0.25, 0.5]}]})
    put("calibration_twice", calibration, 3, three | {"running": [three["running"][0]] * 2})
    put("calibration_one", calibration, 3, three | {"running": [{"exits": 1, **one, "weights": [1]}]})
    level = {"max_loss": 0.01, "confidence": 0.75, "top1": 0.5, "macs": 1.5e6}
    def risk(*levels):
        return three | {"risk": {"images": 10, "sure": 0.95, "levels": list(levels)}}
    put("calibration_risk", calibration, 3, risk({**level, "max_loss": 0, "confidence": 2}, level))
    put("calibration_risk_many", calibration, 3, risk(*({**level, "max_loss": i / 17} for i in range(17))))
    put("calibration_risk_twice", calibration, 3, risk(level, level))
    put("calibration_risk_dearer", calibration, 3, risk(level, {**level, "max_loss": 0.5, "confidence": 0.9}))
    half = three | {"exits": [None, one, one], "thresholds": [None, 0.5, 0],
                    "running": [{"exits": 3, **one, "weights": [0, 0.5, 0.5]}]}
    put("calibration_untrained", calibration, 3, half, 1)
    put("calibration_untrained_weight", calibration, 3, three, 1)
    put("calibration_null", calibration, 3, half)
    figures = {"top1": 0.5, "top5": 0.875, "nll": 2.25, "ece": 0.0625}
    whole = {"method": "byot", "data": "cifar100:x", "program": "0.1.0", "schedule": "cosine", "augment": "crop,flip", "parent": "",
             "epochs": 30, "batch": 128, "warmup": 2, "threads": 2, "seed": "18446744073709551615", "lr": 0.1, "momentum": 0.9,
             "weight_decay": 0.0005, "temperature": 3, "alpha": 0.3, "lambda": 0.03, "kd_scale": True, "holdout": 5000,
             "holdout_seed": 0, "command": "autodidact train", "figures": {"exits": [figures], "ensemble": figures}}
    put("training", training, 1, whole)
    put("training_later", training, 1, whole | {"something": [1, {}]})
    put("training_seed", training, 1, whole | {"seed": "18446744073709551616"})
    put("training_figures", training, 2, whole)
    put("training_negative", training, 1, whole | {"epochs": -1})
    some = whole | {"learned": [2, 3], "figures": {"exits": [None, figures, figures], "ensemble": figures}}
    put("training_learned", training, 3, some)
    put("training_baseline", training, 3, whole | {"method": "baseline", "figures": {"exits": [figures] * 3, "ensemble": figures}})
    put("training_import", training, 3, {k: v for k, v in whole.items() if k != "figures"} | {
        "method": "import", "command": "autodidact import; not trained, of random values: classifiers 1, 2"})
    put("training_learned_deepest", training, 3, some | {"learned": [1, 2]})
    put("training_learned_order", training, 3, some | {"learned": [3, 2]})
    put("training_learned_range", training, 3, some | {"learned": [2, 3, 9]})
    put("training_learned_type", training, 3, some | {"learned": "3"})
    put("deep", labels, 1, "[" * 3000)


def cifars():
    names = "".join(f"class_{i}\n" for i in range(100))
    record = bytes([19, 99]) + bytes(range(256)) * 12
    write("cifar", "usual", names.encode() + b"\n\0" + record + record)
    write("cifar", "crlf", names.replace("\n", "\r\n").encode() + b"\0" + record)
    write("cifar", "fewer_names", names[:-9].encode() + b"\0" + record)
    write("cifar", "more_names", names.encode() + b"one\0" + record)
    write("cifar", "no_records", names.encode() + b"\0")
    write("cifar", "fine", names.encode() + b"\0" + bytes([19, 100]))
    write("cifar", "coarse", names.encode() + b"\0" + bytes([20, 99]))


def checkpoints():
    """Of the net in fuzz_checkpoint.c."""
    shapes = {"features.0.weight": [1, 1, 3, 3], "features.0.bias": [1], "features.1.weight": [1], "features.1.bias": [1],
              "fc.weight": [2, 1], "fc.bias": [2]}
    statistics = {"features.1.running_mean": [1], "features.1.running_var": [1]}
    tensors = ([("model." + n, s) for n, s in (shapes | statistics).items()] + [("momentum." + n, s) for n, s in shapes.items()] +
               [("state.regressor", [3])])

    def checkpoint(drop=None, dtype="F32", **meta):
        strings = {"autodidact.checkpoint": "1", "autodidact.position": "12 3 0x1.8p+1", "option.lr": "0.1",
                   "option.holdout": "5000"} | {k.replace("_", "."): v for k, v in meta.items()}
        header, data = {"__metadata__": {k: v for k, v in strings.items() if v is not None}}, b""
        for name, shape in tensors:
            if name == drop:
                continue
            n = 1
            for d in shape:
                n *= d
            size = n * (4 if dtype == "F32" else 2)
            header[name] = tensor(dtype, shape, len(data), len(data) + size)
            data += struct.pack(f"<{n}{'f' if dtype == 'F32' else 'e'}", *([0.5] * n))
        return tensors_file(header, data)
    write("checkpoint", "good", checkpoint())
    write("checkpoint", "other_lr", checkpoint(option_lr="0.2"))
    write("checkpoint", "no_holdout", checkpoint(option_holdout=None))
    write("checkpoint", "long_text", checkpoint(option_lr="0." + "1" * 400))
    write("checkpoint", "no_position", checkpoint(autodidact_position=None))
    write("checkpoint", "negative", checkpoint(autodidact_position="-1 3 0x1p+0"))
    write("checkpoint", "not_finite", checkpoint(autodidact_position="1 3 nan"))
    write("checkpoint", "large", checkpoint(autodidact_position="99999999999999999999 3 0x1p+5000"))
    write("checkpoint", "later", checkpoint(autodidact_checkpoint="2"))
    write("checkpoint", "no_checkpoint", checkpoint(autodidact_checkpoint=None))
    write("checkpoint", "missing", checkpoint(drop="momentum.fc.bias"))
    write("checkpoint", "half", checkpoint(dtype="F16"))
    write("checkpoint", "cut_short", checkpoint()[:-3])
    write("checkpoint", "log", checkpoint(autodidact_log="1764547200 310 4294967295 77 0 byot-2"))
    write("checkpoint", "log_path", checkpoint(autodidact_log="1764547200 310 1 77 0 ../byot"))
    write("checkpoint", "log_number", checkpoint(autodidact_log="1764547200 -310 4294967296 77 0 byot"))


def inputs():
    """Behind kind + 3 (cover), width and height; the target's network takes 4x4."""
    encoded, u8, f32 = range(3)

    def put(name, kind, width, height, data, cover=0):
        write("input", name, struct.pack("<Bhh", kind + 3 * cover, width, height) + data)
    for name in ("rgb8.png", "grey.jpg"):
        with open(os.path.join(vectors, name), "rb") as f:
            put("encoded_" + name, encoded, 0, 0, f.read(), cover=1)
    put("u8", u8, 4, 4, bytes(range(48)))
    put("u8_resized", u8, 5, 3, bytes(range(45)), cover=1)
    put("u8_short", u8, 5, 3, bytes(44))
    put("u8_negative", u8, -1, -1, bytes(3))
    put("u8_large", u8, 257, 1, bytes(771))
    put("u8_none", u8, 0, 4, b"")
    put("f32", f32, 4, 4, struct.pack("<48f", *(i / 7 for i in range(48))))
    put("f32_nan", f32, 4, 4, struct.pack("<48f", *([1.0] * 47 + [float("nan")])))
    put("f32_other", f32, 3, 4, struct.pack("<36f", *([1.0] * 36)))
    put("f32_long", f32, 4, 4, bytes(193))


def listeners():
    for name, text in (("usual", "127.0.0.1:8080"), ("name", "localhost:0"), ("all", "*:80"), ("v6", "[::1]:65535"),
                       ("v6_bare", "::1:80"), ("v6_open", "[::1:80"), ("v6_empty", "[]:80"), ("v6_behind", "[::1]x:80"),
                       ("port_large", "a:65536"), ("port_huge", "a:99999999999999999999"), ("port_none", "a:"), ("port_sign", "a:-1"),
                       ("port_text", "a:http"), ("host_none", ":80"), ("no_colon", "8080"), ("host_long", "a" * 128 + ":1"),
                       ("bracket", "[:80"), ("colon", ":"), ("v6_all", "[::]:8080"), ("zero", "0")):
        write("listener", name, text)


def heads():
    """Behind a byte that says in what pieces the head comes."""
    def put(name, *lines, first="POST /v1/classify?top=1 HTTP/1.1", end="\r\n", behind=""):
        write("head", name, "\x04" + end.join((first, *lines, "", "")) + behind)
    put("usual", "Host: a:80", "Content-Length: 17", "Content-Type: image/png", behind="0123456789abcdefg")
    put("chunked", "Host: [::1]", "transfer-encoding: Chunked", "Expect: 100-continue")
    put("old", "Accept: */*", first="GET / HTTP/1.0")
    put("old_chunked", "Transfer-Encoding: chunked", first="POST / HTTP/1.0")
    put("newer", "Host: a", first="GET / HTTP/1.2")
    put("much_newer", first="PRI * HTTP/2.0", behind="SM\r\n\r\n")
    put("ancient", first="GET /")
    put("blanks", "Host: a", first="GET  / HTTP/1.1")
    put("tabs", "Host: a", first="GET\t/\tHTTP/1.1")
    put("blank_behind", "Host: a", first="GET / HTTP/1.1 ")
    put("empty_line", "GET / HTTP/1.1", "Host: a", first="")
    put("bare_lf", "Host: a", end="\n")
    put("bare_cr", "Host: a\rX: b")
    put("no_host", "Content-Length: 0")
    put("two_hosts", "Host: a", "host: a")
    put("bad_host", "Host: a/b")
    put("two_lengths", "Host: a", "Content-Length: 5", "Content-Length: 5")
    put("length_and_encoding", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked")
    put("length_sign", "Host: a", "Content-Length: +5")
    put("length_huge", "Host: a", "Content-Length: 99999999999999999999")
    put("encoding_list", "Host: a", "Transfer-Encoding: gzip, chunked")
    put("encoding_nul", "Host: a", "Transfer-Encoding: chunked\0, gzip")
    put("blank", "Host: a", "Content-Length : 5")
    put("folded", "Host: a", "Content-Length:", " 5")
    put("control", "Host: a", "X: a\1b")
    put("expectation", "Host: a", "Expect: 200")
    put("two_types", "Host: a", "Content-Type: a/b", "Content-Type: c/d")
    put("no_name", "Host: a", ": x")
    put("no_colon", "Host: a", "x")
    put("no_value", "Host: a", "X:", "Y:\t ")
    put("many", "Host: a", *["X: y"] * 140)
    put("cut", "Host: a", end="\r")


def chunks():
    """Behind a byte that says in what pieces the body comes."""
    for name, text in (("usual", "5\r\nabcde\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"), ("empty", "0\r\n\r\nGET /"),
                       ("capitals", "0A\r\n0123456789\r\n000\r\n\r\n"), ("extension", "3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n"),
                       ("trailer", "1\r\na\r\n0\r\nX-A: b\r\nX-C:\r\n\r\n"), ("lf", "1\na\n0\n\n"), ("lf_end", "1\r\na\r\n0\r\n\n"),
                       ("sign", "+1\r\na\r\n0\r\n\r\n"), ("prefix", "0x1\r\na\r\n0\r\n\r\n"), ("blank", "1 \r\na\r\n0\r\n\r\n"),
                       ("no_size", "\r\na\r\n0\r\n\r\n"), ("huge", "fffffffffffffffff\r\na"), ("large", "fffffffffffffff\r\na"),
                       ("short", "2\r\na\r\n0\r\n\r\n"), ("long", "1\r\nab\r\n0\r\n\r\n"), ("bad_trailer", "0\r\n: x\r\n\r\n"),
                       ("folded_trailer", "0\r\nX: a\r\n b\r\n\r\n"), ("control", "1;\0\r\na\r\n0\r\n\r\n")):
        write("chunks", name, "\x02" + text)


def targets():
    for name, text in (("usual", "GET /jobs?limit=5"), ("value", "POST /jobs/17/cancel"), ("two_values", "HEAD /m/resnet18/v/2"),
                       ("absolute", "GET http://a:80/jobs"), ("absolute_bare", "GET HTTPS://a"), ("no_authority", "GET http:///jobs"),
                       ("bad_authority", "GET http://a%20b/jobs"), ("other_method", "PUT /jobs/1"), ("slash", "GET /jobs/"),
                       ("slashes", "GET //jobs//"), ("many_values", "GET /1/2/3/4/5"), ("long_value", "GET /jobs/" + "x" * 200),
                       ("none", "GET /nothing"), ("star", "OPTIONS *"), ("no_target", "GET"),
                       ("query", "GET /jobs?a=1&&b&=c&d=e+f%20%41%zz%4&x=%00y"), ("path_escape", "GET /jobs/%31%2f2%")):
        write("target", name, text)


def lines():
    write("lines", "empty", "")
    write("lines", "usual", "apple\nbaby bird\n")
    write("lines", "windows", "\ufeffapple \r\nbird\t\r\n\r\n")
    write("lines", "nul", "apple\nbi\0rd\n")
    write("lines", "gaps", "\n\n a\n\n\nb\n\n\n")
    write("lines", "many", "x\n" * 70)
    write("lines", "half_mark", b"\xef\xbb")


def configs():
    write("config", "empty", "")
    write("config", "usual", "# comment\n[http]\nlisten = 127.0.0.1:0\nbody_max_bytes = 32M\n\n[engine]\nworkers=2\n"
                             "[train]\nmargin = 0.02\n[sla]\ndefault_classifier = auto\n[drain]\ndelay_ms = 0\n")
    write("config", "crlf", "\ufeff[log]\r\nlevel=debug\r\nformat = json\r\n")
    write("config", "comments", "[http] # why\nlisten = :8080 ; all\n[model]\nfile = \"/a \\\"b\\\" \\\\ ; c\"\t# odd\nspecs=/a;b\n")
    write("config", "quotes", "[model]\nfile = \"a\n[model]\nfile = \"a\" b\n")
    write("config", "units", "[http]\nbody_max_bytes = 32 MiB\nidle_timeout_ms=75s\nupload_max_bytes = 512mb\n[drain]\ndelay_ms = 1min\n")
    write("config", "twice", "[http]\nlisten=a:1\nlisten=b:1\n")
    write("config", "unknown", "[http]\nlisten=a:1\n[x]\ny=z\n")
    write("config", "range", "[engine]\nqueue_max = 99999999999999999999\n")
    write("config", "nul", "[http]\nlisten=a\0b\n")
    write("config", "long", "[http]\nlisten=" + "a" * 5000)
    write("config", "headless", "listen=a\n")
    write("config", "open", "[http\n")


def documents():
    write("json", "members", '{"a": [1, -2.5e-3, "x\\u00e9\\n", true, null, {}], "b": {"c": 0.1, "a": []}}')
    write("json", "scalar", " 12 ")
    write("json", "mark", "\ufeff[1]")
    write("json", "marks", "\ufeff\ufeff[1]")
    write("json", "numbers", "[5e-324, 1.7976931348623157e308, -0.0, 0.30000000000000004, 9223372036854775807, 1e5, 100]")
    write("json", "too_large", "[9223372036854775808, 1e999]")
    write("json", "deep", "[" * 16 + "]" * 16)
    write("json", "deeper", "[" * 17 + "]" * 17)
    write("json", "many", "[" + "0," * 4095 + "0]")
    write("json", "more", "[" + "[]," * 4096 + "0]")
    write("json", "twice", '{"a":1,"\\u0061":2}')
    write("json", "nul", '["\\u0000"]')
    write("json", "raw_nul", b'["\0"]')
    write("json", "not_utf8", b'["\xff"]')
    write("json", "surrogates", '["\\ud83d\\ude00", "\\u0085"]')
    write("json", "lone_surrogate", '["\\ud83d"]')
    write("json", "shape_in_strings", '{"a\\"[[[": "{{{,,,\\\\", "b": "a"}')
    write("json", "open", '{"a": "b')
    write("json", "trailing", "{} {}")


def bodies():
    good = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
    write("body", "image", json.dumps({"image": good}))
    write("body", "images", json.dumps({"images": [good, good[:40] + "\n" + good[40:]]}))
    write("body", "sla", json.dumps({"image": good, "sla": {"classifier": 2, "deadline_ms": 20.5, "min_confidence": "0.5",
                                                           "min_accuracy": 1e-3, "on_miss": "fail", "priority": "u=1"}}))
    write("body", "both", json.dumps({"image": good, "images": [good]}))
    write("body", "types", json.dumps({"image": 5, "sla": [1, {}]}))
    write("body", "many", json.dumps({"images": ["AA=="] * 9}))
    write("body", "bad_base64", json.dumps({"images": ["AA==", "A", "====", "AA=A", "!"]}))
    write("body", "empty_image", json.dumps({"image": ""}))
    write("body", "deep", '{"image":' * 30)
    write("body", "twice", '{"image":"AA==","image":"AA=="}')
    write("body", "numbers", '{"image":"AA==","sla":{"deadline_ms":1e308,"min_confidence":123456789012345678901234567890}}')
    write("body", "unicode", '{"image":"\\ud800\\u0000\\u00e9"}')
    write("body", "one_of_many", json.dumps({"images": [good, "data:,", "!", good.rstrip("=")]}))
    write("body", "asked", json.dumps({"top": 3, "explain": True, "model": "a.b_c-1", "image": "data:image/png;base64," + good}))
    write("body", "asked_wrongly", json.dumps({"image": good, "top": "1001"}))


def image_texts():
    write("image_text", "plain", "iVBORw0KGgoAAAANSUhEUgAA")
    write("image_text", "lines", " iVBO\r\nRw0K\nGgo=\n")
    write("image_text", "of_urls", "-_-_-w")
    write("image_text", "both_alphabets", "-_+/")
    write("image_text", "padding", "Zg=")
    write("image_text", "url", "data:image/png;base64,iVBORw0KGgo=")
    write("image_text", "url_encoded", "DATA:;charset=utf-8 ; BASE64 ,iVBORw0%4bGgo%3D%0a")
    write("image_text", "url_bytes", "data:,%89PNG%0d%0a%1a%0a%00")
    write("image_text", "url_broken", "data:,%8")
    write("image_text", "url_open", "data:image/png;base64")
    write("image_text", "url_empty", "data:;base64,")


def unpacked():
    def raw(data):
        o = zlib.compressobj(9, zlib.DEFLATED, -15)
        return o.compress(data) + o.flush()

    def packed(data):  # without the time, for the same bytes each time
        return gzip.compress(data, 9, mtime=0)
    text = b"hello, hello, hello; " * 9
    write("unpack", "gzip", b"gzip\n" + packed(text))
    write("unpack", "zlib", b"deflate\n" + zlib.compress(text))
    write("unpack", "raw", b"deflate, identity\n" + raw(text))
    write("unpack", "members", b"x-gzip\n" + packed(b"") + packed(b"a") + packed(text))
    write("unpack", "cut_short", b"gzip\n" + packed(text)[:-3])
    write("unpack", "behind", b"gzip\n" + packed(text) + b"x")
    write("unpack", "bomb", b"gzip\n" + packed(bytes(1 << 19)))
    write("unpack", "stored", b"*;q=0\n" + zlib.compress(text, 0))
    write("unpack", "dictionary", b"gzip;q=0.5, *;q=0\n\x78\xbb\1\2\3\4")
    write("unpack", "extra", b"br;q=1.0, gzip ;\tq=0.001, identity;q=1.000\n\x1f\x8b\x08\x1f\0\0\0\0\0\3\3\0abcname\0comment\0\0\0")
    write("unpack", "several", b"gzip, br;q=2,,;q=1, x-gzip;q\n")


def forms():
    def part(name, data, *headers):
        lines = [f'Content-Disposition: form-data; name="{name}"', *headers]
        return "--x y\r\n" + "\r\n".join(lines) + "\r\n\r\n" + data + "\r\n"

    def form(*parts, type='multipart/form-data; boundary="x y"', end="--x y--\r\n"):
        return type + "\n" + "".join(parts) + end
    image = part("image", "abc\r\n--x\r\ndef", "Content-Type: image/png")
    write("form", "image", form(image))
    write("form", "file", form(part("image", "abc", "Content-Type: application/octet-stream; q=1").replace(
        'name="image"', 'name="image"; filename="a;\\"b.png"')))
    write("form", "images", form(*[part("image", str(i)) for i in range(8)]))
    write("form", "too_many", form(*[part("image", str(i)) for i in range(9)]))
    write("form", "sla", form(image, part("sla", '{"classifier": 2, "deadline_ms": 20.5}', "Content-Type: application/json")))
    write("form", "sla_twice", form(part("sla", "{}"), part("sla", "{}"), image))
    write("form", "sla_broken", form(part("sla", '{"classifier"'), image))
    write("form", "token", form(image, type="Multipart/Form-Data ; charset=utf-8;BOUNDARY=x"))
    write("form", "no_boundary", form(image, type="multipart/form-data"))
    write("form", "empty", form())
    write("form", "empty_image", form(part("image", "")))
    write("form", "empty_part", form("--x y\r\nContent-Disposition: form-data; name=image\r\n\r\n", end="--x y--"))
    write("form", "headless", form("--x y\r\n\r\nabc\r\n"))
    write("form", "other_name", form(part("picture", "abc")))
    write("form", "base64", form(part("image", "YWJj", "Content-Transfer-Encoding: base64")))
    write("form", "open", form(image, end=""))
    write("form", "around", form("hello\r\n" + image, end="--x y-- \t\r\nbye\r\n--x y\r\n"))
    write("form", "folded", form(image.replace("form-data; ", "form-data;\r\n\t").replace("Type: ", "Type:\r\n ")))
    write("form", "no_file", form(part("image", "").replace('"image"', '"image"; filename=""'), image))
    write("form", "names", form(*[part(name, "a") for name in ("file", "files[]", "images", "image[]", "_charset_")]))
    write("form", "asked", form(part("top", "3"), part("explain", "1"), part("model", "a"), part("file", "a")
                                .replace("name", "filename*=utf-8''%20; name")))
    write("form", "html", form(part("image", "a", "Content-Type: text/html"), part("image", "")))
    write("form", "padded", form(image.replace("x y\r\n", "x y \t\r\n"), end="--x y-- \r\n"))


def job_requests():
    base = {"kind": "train", "spec": "resnet18", "data": "cifar100:tiny"}

    def job(name, **members):
        write("job_request", name, json.dumps(base | members))
    job("plain")
    job("usual", method="byot", epochs=30, width=16, batch=128, lr=0.1, momentum=0.9, weight_decay=5e-4, seed=3, holdout=5000,
        schedule="steps:75,130,180", warmup=2, augment="crop,flip,resizedcrop:0.25", promote="manual", model="mine")
    job("preset", preset="sdf", hint="norm", hint_exits="1,2", kd_scale=False, heads="sepconv+attention", mixup=0.2,
        label_smoothing=0.1, temperature=3, alpha=0.3)
    job("teacher", method="at", teacher="big/3", beta=1000)
    job("init", init="resnet18/12", threads=2, precision="fp32", store="bf16")
    job("seed", seed="18446744073709551615", holdout_seed=1 << 53)
    job("unread", method="baseline", alpha=0.5)
    job("no_teacher", method="kd")
    job("method", method="nonesuch")
    job("mixup", mixup=1e-300)
    job("range", epochs=-1)
    job("real", epochs=1.5, lr=1e308)
    job("types", epochs="3", kd_scale="on", method=["byot"])
    job("option", method="--help")
    job("unicode", schedule="\u00e9\x1b[31m")
    job("unknown", out="/etc/passwd")
    job("peer", peer="resnet18")
    job("path", model="../x", init="..", teacher="/etc/passwd")
    job("long", augment="crop," * 500)
    write("job_request", "no_object", "[]")
    write("job_request", "twice", '{"kind":"train","kind":"train"}')


def job_lines():
    start = {"event": "start", "epoch": 1, "epochs": 2, "step": 0, "steps": 100}
    epoch = start | {"event": "epoch", "step": 50, "loss": 4.5, "lr": 0.1, "img_per_s": 812.5, "eta_s": 3.25,
                     "exits": [{"name": "1", "top1": 0.25}, {"name": "2", "top1": 0.5}], "ensemble": {"top1": 0.5}}

    def lines(name, *rows, end="\n"):
        write("job_lines", name, "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + end)
    lines("training", start, epoch | {"event": "step"}, epoch, epoch | {"event": "done", "model": "x.safetensors"})
    lines("windows", json.dumps(start) + "\r", "", json.dumps(epoch) + "\r")
    lines("open", start, epoch, end="")
    lines("chatter", "libfoo: hello", start, "{", "[1]", '{"event": 5}', '{"event": "later"}', "null")
    lines("numbers", epoch | {"loss": None, "lr": "x", "step": -5, "steps": 1.5, "img_per_s": 1e308, "eta_s": -1},
          '{"event":"epoch","loss":1e999}', '{"event":"epoch","epoch":9223372036854775807,"epochs":92233720368547758080}')
    lines("exits", epoch | {"exits": [{}] * 300}, epoch | {"exits": [1, None]}, epoch | {"exits": {}, "ensemble": []})
    lines("ranges", epoch | {"epoch": -1, "loss": 1e308, "exits": [{"top1": 1.5}, {"top1": -1}], "ensemble": {"top1": 1e9}})
    lines("twice", '{"event":"step","event":"done"}')
    lines("long", "x" * 70000, start)
    write("job_lines", "bytes", bytes(range(256)) * 3)


def studies():
    good = {"data": "cifar100:data", "networks": ["models/resnet18.json"], "widths": [16], "seeds": [0, 1],
            "methods": ["baseline", {"name": "b", "method": "byot", "alpha": 0.5, "kd_scale": False}],
            "options": {"epochs": 3, "schedule": "steps:1,2", "init": "a.safetensors"}, "split": "holdout"}

    def study(name, **change):
        write("study", name, json.dumps({k: v for k, v in {**good, **change}.items() if v is not None}).encode())

    study("good")
    study("small", widths=None, seeds=None, options=None, split=None, methods=["dsn"])
    study("own", options={"data": "x"})
    study("unknown", options={"epochz": 1})
    study("unread", methods=["kd"])
    study("twice", methods=["dsn", "dsn"])
    study("range", options={"epochs": 0})
    study("paths", networks=["/" + "x" * 1100], data="folder:" + "y" * 1100)
    study("many", seeds=list(range(100)), widths=list(range(1, 17)), networks=["n"] * 32)
    study("kinds", options={"epochs": [1], "lr": None, "batch": {}}, seeds=[1.5, -1], widths=["a"])


def report_logs():
    epoch = {"event": "epoch", "epoch": 1, "epochs": 3, "loss": 1.5, "lr": 0.1, "exits": [{"name": "1", "top1": 0.5}],
             "ensemble": {"top1": 0.6}}

    def log(name, *lines):
        write("report_log", name, "\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines).encode())

    log("good", {"event": "start"}, epoch, {**epoch, "epoch": 2}, {"event": "done"})
    log("resumed", epoch, {**epoch, "epoch": 2}, {**epoch, "epoch": 2, "loss": 1}, {**epoch, "epoch": 3})
    log("cut", epoch, json.dumps({**epoch, "epoch": 2})[:40])
    log("none", {"event": "start"}, "", "[]", "x")
    head = "epoch,step,lr,loss/total,accuracy/exit_1,accuracy/exit_9,accuracy/ensemble"
    log("table", head, "1,50,0.1,2.5,0.1,,0.2", "2,100,0.05,,nan,0.25,x", "2,100,0.05,1,1,1,1", "3,150,")
    log("table_other", "class,epoch", "1,2")
    log("table_wide", "epoch" + ",x" * 300, "1" + ",2" * 300)
    log("kinds", {**epoch, "loss": "x", "exits": {}, "ensemble": []}, {**epoch, "epoch": 1e30}, {**epoch, "epoch": -1})


safetensors()
specs()
models()
images()
exifs()
choices()
holdout()
lineages()
metadata()
cifars()
checkpoints()
inputs()
listeners()
heads()
chunks()
targets()
configs()
lines()
documents()
bodies()
image_texts()
unpacked()
forms()
job_requests()
job_lines()
studies()
report_logs()
