"""Odd but valid images, made and decoded by Pillow, decoded by decode_file: the same pixels, and after a resize nearly the
same as Pillow's. Prints TAP; skipped without Debian's python3-pil.

PNGs agree to the bit. So do JPEGs where Pillow uses the same libjpeg-turbo; TOLERANCE is what another version's
transforms and spreading of halved colours may differ by. INPUT_* are for the whole way to a network's input: ours decodes
a JPEG at 1/2, 1/4 or 1/8 and then resizes, Pillow resizes what it decoded at full size. The shipped model's labels of both
are the same but where its two best logits are nearer than TIE."""
import array, io, json, os, random, struct, subprocess, sys, tempfile, zlib

try:
    from PIL import Image, ImageFile, ImageOps, features
except ImportError:
    print("1..0 # SKIP there is no python3-pil")
    sys.exit(0)

ImageFile.LOAD_TRUNCATED_IMAGES = True  # it insists on an end marker
BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
TOP = os.path.abspath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
MODEL = os.path.join(TOP, "models", "resnet18-cifar100.safetensors")
LOGITS = os.path.join(BUILD, "tests", "onnx", "own_logits")
PROGRAM = os.path.join(BUILD, "tests", "image", "decode_file")
TOLERANCE = 2  # of 255
INPUT_MEAN, INPUT_WORST = 0.6, 10  # of 255, over a picture and of one byte
TIE = 0.25  # of logits whose deviation is 3.6
SIDE = 32
IMAGES = 200
rnd = random.Random(14)


def picture(width, height):
    """Smooth, with texture: noise of some pixels' size over a gradient."""
    small = Image.frombytes("RGB", (max(2, width // 24), max(2, height // 24)),
                            bytes(rnd.randrange(256) for _ in range(3 * max(2, width // 24) * max(2, height // 24))))
    fine = Image.frombytes("RGB", (max(2, width // 3), max(2, height // 3)),
                           bytes(rnd.randrange(256) for _ in range(3 * max(2, width // 3) * max(2, height // 3))))
    return Image.blend(small.resize((width, height), Image.BICUBIC), fine.resize((width, height), Image.BICUBIC), 0.15)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation):
    order = rnd.choice("<>")
    return b"Exif\0\0" + (b"II" if order == "<" else b"MM") + struct.pack(
        order + "HIHHHIHH", 42, 8, 1, 0x0112, 3, 1, orientation, 0) + bytes(4)


def jpegtran(data, *options):
    try:
        return subprocess.run(["jpegtran", *options], input=data, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return data


def odd_jpeg(i):
    size = rnd.randrange(40, 700), rnd.randrange(40, 500)
    image = picture(*size)
    options = {"quality": rnd.choice((50, 75, 90, 98)), "subsampling": i % 3}
    kind = i % 10
    if kind == 0:
        image = image.convert("L")
        options.pop("subsampling")
    elif kind == 1:
        image = image.convert("CMYK")
        options.pop("subsampling")
    elif kind == 2:
        options["progressive"] = True
    elif kind == 3:
        options["exif"] = exif(1 + i // 10 % 8)
    elif kind == 4:
        options["icc_profile"] = bytes(rnd.randrange(256) for _ in range(rnd.choice((3, 3000, 100000))))
    elif kind == 5:
        options.update(optimize=True, dpi=(72, 300), comment=b"odd")
    data = saved(image, "JPEG", **options)
    if kind == 6:
        data = jpegtran(data, "-restart", rnd.choice(("1", "3B", "7B")))
    elif kind == 7:
        data = jpegtran(data, "-rotate", "90")  # 4:2:2 becomes 4:4:0
    elif kind == 8:
        data = data[:-2] + b"\xff\xd0\xff\xd9"
    elif kind == 9:
        data = jpegtran(data, "-grayscale", "-progressive") if i % 20 == 9 else data[:-2]
    return data


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(image, depth, colour, interlace):
    """Pillow writes no interlaced and no 16-bit colour PNGs; rows without filters are enough here."""
    width, height = image.size
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    raw, pixels = b"", image.tobytes()
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    for x0, y0, dx, dy in passes if interlace else ((0, 0, 1, 1),):
        for y in range(y0, height, dy):
            row = b"".join(pixels[(y * width + x) * channels:(y * width + x + 1) * channels]
                           for x in range(x0, width, dx))
            if row:
                raw += b"\0" + (b"".join(bytes((v, rnd.randrange(256))) for v in row) if depth == 16 else row)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
            + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def odd_png(i):
    image = picture(rnd.randrange(33, 200), rnd.randrange(33, 150))
    kind = i % 8
    if kind == 0:
        return saved(image.quantize(rnd.choice((2, 5, 16, 200))), "PNG", transparency=0)
    if kind == 1:
        return saved(image.quantize(16), "PNG", bits=4)
    if kind == 2:
        return saved(image.convert("1"), "PNG")
    if kind == 3:
        return saved(image.convert("RGBA"), "PNG", optimize=True)
    if kind == 4:
        return saved(image, "PNG", exif=exif(1 + i // 8 % 8)[6:], icc_profile=b"nothing of use")
    if kind == 5:
        return png_of(image, 16, 2, 0)
    if kind == 6:
        return png_of(image.convert("RGBA"), 8, 6, 1)
    return png_of(image.convert("L"), 8, 0, 1)[:-12]  # without its end


def by_pillow(data):
    """Upright RGB. Transparency is dropped, not blended."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if "transparency" in image.info:
        del image.info["transparency"]
    return image.convert("RGB")


def by_us(path, *size):
    out = subprocess.run([PROGRAM, path, *map(str, size)], capture_output=True)
    assert out.returncode == 0, out.stderr.decode()
    head, pixels = out.stdout.split(b"\n", 1)
    return Image.frombytes("RGB", tuple(map(int, head.split())), pixels)


def differences(a, b):
    assert a.size == b.size, (a.size, b.size)
    apart = [abs(x - y) for x, y in zip(a.tobytes(), b.tobytes())]
    return max(apart), sum(apart) / len(apart)


def logits(images, folder):
    """[classifier][image] -> a list of the classes' logits."""
    with open(MODEL, "rb") as f:
        metadata = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["__metadata__"]
    p, classes = json.loads(metadata["autodidact.preprocess"]), len(json.loads(metadata["autodidact.labels"]))
    scale = [[(v / 255 - p["mean"][c]) / p["std"][c] for v in range(256)] for c in range(3)]
    values = array.array("f")
    for image in images:
        for c, plane in enumerate(image.split()):
            values.extend(scale[c][v] for v in plane.tobytes())
    paths = [os.path.join(folder, name) for name in ("in", "out")]
    with open(paths[0], "wb") as f:
        values.tofile(f)
    subprocess.run([LOGITS, "run", MODEL, *paths], check=True)
    out = array.array("f")
    with open(paths[1], "rb") as f:
        out.frombytes(f.read())
    rows = [out[i:i + classes].tolist() for i in range(0, len(out), classes)]
    return [rows[i:i + len(images)] for i in range(0, len(rows), len(images))]


def compare_labels(ours, theirs, folder):
    """The number of labels, of ties that went another way, and whether that is all."""
    n = ties = 0
    good = True
    for a, b in zip(logits(ours, folder), logits(theirs, folder)):
        for i, (x, y) in enumerate(zip(a, b)):
            n += 1
            if x.index(max(x)) == y.index(max(y)):
                continue
            first, second = sorted(y)[:-3:-1]
            ties += 1
            if first - second > TIE:
                print(f"# image {i}: another label, though the best was {first - second:.3f} ahead")
                good = False
    return n, ties, good


def main():
    print(f"# Pillow {Image.__version__}, libjpeg {features.version('jpg')}")
    print("1..3")
    ours, theirs = [], []
    same, near, worst, worst_input, mean_input = True, True, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "image")
        for i in range(IMAGES):
            jpeg = i % 2 == 0
            data = odd_jpeg(i // 2) if jpeg else odd_png(i // 2)
            with open(path, "wb") as f:
                f.write(data)
            try:
                expected = by_pillow(data)
                apart, _ = differences(by_us(path), expected)
                ours.append(by_us(path, SIDE, SIDE))
                theirs.append(expected.resize((SIDE, SIDE), Image.BILINEAR))
                apart_input, mean = differences(ours[-1], theirs[-1])
            except (AssertionError, OSError, SyntaxError) as e:
                print(f"# image {i}: {e}")
                same = False
                continue
            worst, worst_input, mean_input = (max(worst, apart), max(worst_input, apart_input), max(mean_input, mean))
            if apart > (TOLERANCE if jpeg else 0):
                print(f"# image {i} ({'JPEG' if jpeg else 'PNG'}): a byte is off by {apart}")
                same = False
            if apart_input > INPUT_WORST or mean > INPUT_MEAN:
                print(f"# image {i}: the input is off by {apart_input}, {mean:.2f} in the mean")
                near = False
        labels, ties, equal = compare_labels(ours, theirs, folder)
    print(f"{'ok' if same else 'not ok'} 1 - {IMAGES} images: the same pixels (worst byte off by {worst})")
    print(f"{'ok' if near else 'not ok'} 2 - the same at {SIDE}x{SIDE} (worst byte off by {worst_input}, worst mean "
          f"{mean_input:.2f})")
    print(f"{'ok' if equal else 'not ok'} 3 - {labels} labels of the shipped model's classifiers: equal but for {ties} "
          f"ties")
    return 0 if same and near and equal else 1


sys.exit(main())
