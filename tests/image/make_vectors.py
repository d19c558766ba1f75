"""Makes tests/image/vectors: images with known pixels, and what resizing gives (run by hand, with Debian's
python3-pil and libjpeg-turbo-progs; the files are committed).

NAME.png and NAME.jpg go with NAME.rgb, the pixels as they must be decoded: for PNG by definition (written by
the little encoder below, which knows every colour type, depth and Adam7; Pillow agrees wherever it can read
the file), for JPEG as libjpeg decodes them. resize.bin holds cases of Pillow's BILINEAR:
int32 in_w, in_h, out_w, out_h, cover, then pixels in and out. turned_N_ORDER is a picture with Exif
orientation N in that byte order; its .rgb begins with int32 width, height and is what Pillow's
ImageOps.exif_transpose makes of it.
"""
import io, os, random, struct, subprocess, sys, tempfile, zlib
from PIL import Image, ImageOps

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
rnd = random.Random(1)

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_row(samples, depth):
    if depth == 16:
        return b"".join(struct.pack(">H", s) for s in samples)
    if depth == 8:
        return bytes(samples)
    out, bits, n = bytearray(), 0, 0
    for s in samples:
        bits, n = bits << depth | s, n + depth
        if n == 8:
            out.append(bits)
            bits = n = 0
    if n:
        out.append(bits << 8 - n)
    return bytes(out)


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(rows, bpp):
    """Every row with another filter, so that all five occur."""
    out, prior = bytearray(), None
    for y, row in enumerate(rows):
        kind = y % 5
        prior = prior or bytes(len(row))
        out.append(kind)
        for i, x in enumerate(row):
            a = row[i - bpp] if i >= bpp else 0
            b = prior[i]
            c = prior[i - bpp] if i >= bpp else 0
            out.append((x - (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]) & 255)
        prior = row
    return bytes(out)


def encode(width, height, depth, colour, pixels, interlace=0, palette=None, trns=None, parts=1):
    """pixels[y][x]: a tuple of samples."""
    bpp = max(1, CHANNELS[colour] * depth // 8)
    passes = ADAM7 if interlace else [(0, 0, 1, 1)]
    raw = b""
    for x0, y0, dx, dy in passes:
        rows = [pack_row([s for px in row[x0::dx] for s in px], depth) for row in pixels[y0::dy]]
        if rows and rows[0]:
            raw += filtered(rows, bpp)
    data = zlib.compress(raw, 9)
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    out += chunk(b"tEXt", b"Comment\0made for a test")
    if palette:
        out += chunk(b"PLTE", bytes(v for c in palette for v in c))
    if trns:
        out += chunk(b"tRNS", trns)
    step = -(-len(data) // parts)
    for i in range(0, len(data), step):
        out += chunk(b"IDAT", data[i:i + step])
    return out + chunk(b"IEND", b"")


def to_rgb(px, depth, colour, palette):
    if colour == PALETTE:
        return palette[px[0]] if px[0] < len(palette) else (0, 0, 0)
    v = [s >> 8 if depth == 16 else s * 255 // ((1 << depth) - 1) for s in px]
    return (v[0],) * 3 if colour in (GREY, GREY_ALPHA) else tuple(v[:3])


def write(name, ext, data, rgb):
    for path, content in ((name + ext, data), (name + ".rgb", rgb)):
        with open(os.path.join(here, path), "wb") as f:
            f.write(content)


def png(name, width, height, depth, colour, interlace=0, colours=None, trns=None, parts=1, pillow=True):
    top = (1 << depth) - 1
    palette = colours and [tuple(rnd.randrange(256) for _ in range(3)) for _ in range(colours)]
    if colours:
        top = min(top, colours - 1)
    pixels = [[tuple(rnd.randrange(top + 1) for _ in range(CHANNELS[colour])) for _ in range(width)]
              for _ in range(height)]
    if name == "palette_past":  # an index that the palette does not have
        pixels[1][2] = (200,)
    data = encode(width, height, depth, colour, pixels, interlace, palette, trns, parts)
    rgb = bytes(v for row in pixels for px in row for v in to_rgb(px, depth, colour, palette))
    if pillow:
        image = Image.open(io.BytesIO(data))
        assert image.size == (width, height)
        assert image.convert("RGBA").convert("RGB").tobytes() == rgb, name
    write(name, ".png", data, rgb)


def pngs():
    png("grey1", 11, 5, 1, GREY)
    png("grey2", 7, 5, 2, GREY)
    png("grey4", 7, 5, 4, GREY)
    png("grey8", 7, 6, 8, GREY)
    png("grey16", 6, 7, 16, GREY, pillow=False)
    png("rgb8", 9, 7, 8, RGB, parts=3)
    png("rgb16", 5, 6, 16, RGB)
    png("rgb8_key", 5, 6, 8, RGB, trns=struct.pack(">HHH", 1, 2, 3))
    png("palette1", 9, 5, 1, PALETTE, colours=2)
    png("palette2", 9, 5, 2, PALETTE, colours=4)
    png("palette4", 9, 5, 4, PALETTE, colours=11)
    png("palette8", 9, 8, 8, PALETTE, colours=256)
    png("palette_alpha", 9, 5, 8, PALETTE, colours=9, trns=b"\x00\x80\xff")
    png("palette_past", 9, 5, 8, PALETTE, colours=9, pillow=False)
    png("grey_alpha8", 6, 5, 8, GREY_ALPHA)
    png("grey_alpha16", 6, 5, 16, GREY_ALPHA, pillow=False)
    png("rgba8", 6, 5, 8, RGB_ALPHA)
    png("rgba16", 6, 5, 16, RGB_ALPHA)
    png("one", 1, 1, 8, RGB)
    png("one_interlaced", 1, 1, 8, RGB, interlace=1)
    for name, depth, colour, colours in (("grey1", 1, GREY, None), ("grey8", 8, GREY, None), ("rgb8", 8, RGB, None),
                                         ("rgba16", 16, RGB_ALPHA, None), ("palette4", 4, PALETTE, 16)):
        png(name + "_interlaced", 13, 10, depth, colour, interlace=1, colours=colours)


def broken_pngs():
    """Good checksums around bad content."""
    good = zlib.compress(filtered([bytes(12)] * 4, 3), 9)
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, RGB, 0, 0, 0))
    end = chunk(b"IEND", b"")
    for name, data in (
            ("bad_short", zlib.compress(filtered([bytes(12)] * 3, 3), 9)),  # a row is missing
            ("bad_stream", good[:len(good) // 2]),                         # the compressed stream is cut
            ("bad_filter", zlib.compress(bytes([9]) + bytes(51), 9)),
            ("bad_zlib", b"\x78\x00" * 10),
            ("bomb", zlib.compress(bytes(8 << 20), 9))):                   # 4x4 pixels do not inflate to 8 MiB
        with open(os.path.join(here, name + ".png"), "wb") as f:
            f.write(head + chunk(b"IDAT", data) + end)


def picture(width, height, mode="RGB"):
    """Smooth, with an edge, which keeps away from the last columns: there stb_image spreads colour that is
    halved across (4:2:2) with the weights of the wrong side."""
    im = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            v = (255 * x // max(1, width - 1), 255 * y // max(1, height - 1), 160 if x + y < width * 3 // 4 else 40)
            im.putpixel((x, y), v)
    return im.convert(mode)


def jpeg(name, image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    data = out.getvalue()
    rgb = Image.open(io.BytesIO(data)).convert("RGB").tobytes()
    write(name, ".jpg", data, rgb)
    return data


def jpegs():
    jpeg("grey", picture(19, 13, "L"), quality=92)
    jpeg("rgb444", picture(19, 13), quality=92, subsampling=0)
    jpeg("rgb420", picture(34, 21), quality=92, subsampling=2)
    jpeg("rgb422", picture(34, 21), quality=92, subsampling=1)
    jpeg("progressive", picture(34, 21), quality=90, progressive=True)
    jpeg("progressive_grey", picture(17, 9, "L"), quality=90, progressive=True)
    jpeg("optimised", picture(16, 16), quality=75, optimize=True)
    jpeg("one_jpeg", Image.new("RGB", (1, 1), (200, 30, 90)), quality=95)
    jpeg("cmyk", picture(16, 16).convert("CMYK"))


def segments(data):
    """(marker, position, end) of what stands before the pixels of a JPEG."""
    at = 2
    while data[at + 1] != 0xda:
        end = at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
        yield data[at + 1], at, end
        at = end


def without(data, unwanted):
    out, at = b"", 0
    for marker, begin, end in segments(data):
        if marker in unwanted:
            out, at = out + data[at:begin], end
    return out + data[at:]


def odd_jpegs():
    """Valid, and not what every encoder writes. cjpeg, djpeg and jpegtran are libjpeg-turbo's."""
    def run(*command, **options):
        return subprocess.run(command, check=True, capture_output=True, **options).stdout

    def djpeg(data):
        ppm = run("djpeg", "-pnm", input=data)
        return ppm if ppm[:2] == b"P6" else None

    def odd(name, data):
        ppm = djpeg(data)
        _, _, _, rgb = ppm.split(b"\n", 3)
        write(name, ".jpg", data, rgb)

    big = io.BytesIO()
    picture(34, 21).save(big, "JPEG", quality=92, subsampling=2)
    big = big.getvalue()
    with open(os.path.join(here, "cut.jpg"), "wb") as f:
        f.write(big[:-60] + b"\xff\xd9")  # not an image
    odd("arithmetic", run("jpegtran", "-arithmetic", input=big))
    odd("arithmetic_progressive", run("jpegtran", "-arithmetic", "-progressive", input=big))
    odd("restarts", run("jpegtran", "-restart", "2B", input=big))
    odd("restart_at_end", big[:-2] + b"\xff\xd0\xff\xd9")  # as some cameras do
    twice = run("jpegtran", "-progressive", input=big)
    odd("restart_at_end_progressive", twice[:-2] + b"\xff\xd3\xff\xd9")
    odd("no_tables", without(big, {0xc4}))                   # motion JPEG: the usual Huffman tables are meant
    with tempfile.NamedTemporaryFile("w") as script:
        script.write("0; 1; 2;")
        script.flush()
        odd("one_by_one", run("jpegtran", "-scans", script.name, input=big))
    with tempfile.NamedTemporaryFile("w") as script, open(os.path.join(here, "bands.jpg"), "wb") as f:
        script.write("0: 0-0, 0, 0; 0: 1-5, 0, 0; 0: 6-63, 0, 0;")  # progressive by bands alone; is cut in tests
        script.flush()
        f.write(run("jpegtran", "-scans", script.name, os.path.join(here, "grey.jpg")))
    app = lambda n, content: bytes([0xff, 0xe0 + n]) + struct.pack(">H", 2 + len(content)) + content
    odd("odd_parts", big[:2] + app(2, b"ICC_PROFILE\0\7\3not a profile") + app(1, b"Exif\0\0II*\0\xff\xff\xff\xff") +
        app(13, b"") + app(14, b"Adob") + b"\xff\xfe\0\2" + b"\xff\xff\xff" + big[3:])
    im = picture(16, 16).convert("CMYK")
    data = io.BytesIO()
    im.save(data, "JPEG", quality=95)
    data = data.getvalue()
    for marker, begin, end in segments(data):
        if marker == 0xee:  # Adobe's: the transform is its last byte; 2 is YCCK
            data = data[:end - 1] + b"\2" + data[end:]
    write("ycck", ".jpg", data, Image.open(io.BytesIO(data)).convert("RGB").tobytes())


def tiff(order, value):
    """A directory of three entries, the orientation being the second."""
    entries = [(0x0100, 3, 1, 19), (0x0112, 3, 1, value), (0x0128, 3, 1, 2)]
    out = (b"MM" if order == ">" else b"II") + struct.pack(order + "HIH", 42, 8, len(entries))
    for tag, kind, count, v in entries:
        out += struct.pack(order + "HHIHH", tag, kind, count, v, 0)
    return out + bytes(4)


def turned():
    for value in range(1, 9):
        for order, name in ((">", "mm"), ("<", "ii")):
            exif = tiff(order, value)
            out = io.BytesIO()
            picture(19, 13).save(out, "JPEG", quality=92, subsampling=0, exif=b"Exif\0\0" + exif)
            grey = [[((37 * x + 11 * y * y) & 255,) for x in range(7)] for y in range(5)]
            data = encode(7, 5, 8, GREY, grey)
            after = data.index(b"IDAT") - 4 if order == ">" else len(data) - 12  # before the pixels, or behind
            data = data[:after] + chunk(b"eXIf", exif) + data[after:]
            for ext, content in ((".jpg", out.getvalue()), (".png", data)):
                im = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
                base = f"turned_{value}_{name}{ext[1:]}"
                write(base, ext, content, struct.pack("<2i", *im.size) + im.tobytes())


def resizes():
    out = b""
    for in_w, in_h, out_w, out_h, cover in ((64, 64, 32, 32, 0), (7, 5, 32, 32, 0), (40, 30, 32, 32, 0), (100, 31, 8, 9, 0),
                                            (1, 1, 4, 4, 0), (3, 97, 5, 4, 0), (48, 32, 32, 32, 1), (20, 50, 16, 8, 1),
                                            (33, 33, 1, 1, 0), (9, 200, 9, 10, 1)):
        im = Image.frombytes("RGB", (in_w, in_h), bytes(rnd.randrange(256) for _ in range(3 * in_w * in_h)))
        box = (0, 0, in_w, in_h)
        if cover:
            scale = min(in_w / out_w, in_h / out_h)
            w, h = scale * out_w, scale * out_h
            box = ((in_w - w) / 2, (in_h - h) / 2, (in_w + w) / 2, (in_h + h) / 2)
        small = im.resize((out_w, out_h), Image.BILINEAR, box=box)
        out += struct.pack("<5i", in_w, in_h, out_w, out_h, cover) + im.tobytes() + small.tobytes()
    with open(os.path.join(here, "resize.bin"), "wb") as f:
        f.write(out)


os.makedirs(here, exist_ok=True)
pngs()
broken_pngs()
jpegs()
resizes()
turned()
odd_jpegs()
print(f"{len(os.listdir(here))} files in {here}", file=sys.stderr)
