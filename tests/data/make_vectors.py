"""Makes tests/data/vectors/augment.bin: every operation of AutoAugment with every magnitude, computed by PIL; and
policies.bin: all that TrivialAugment can do, and RandAugment with one operation.

Run with Debian's python3-pil from anywhere: /usr/bin/python3 tests/data/make_vectors.py
Magnitudes are written down here a second time, from the facts and not from our C.

The file: how many images (1 byte); of each its width, its height, and its pixels; then until the end, of each
operation the number of its image, its own number (in OPS' order), magnitude, 1 if negative, and the result: the
pixels, or of images of more than 300 pixels their FNV-1a hash (8 bytes, little-endian).

policies.bin: the same images, then hashes of 8 bytes: of each image, for TrivialAugment of each operation (in SPACE's
order) and strength of 0 to 30 both directions; then for RandAugment of each operation and magnitude of MAGNITUDES both.
"""
import os
import random
import struct

from PIL import Image, ImageEnhance, ImageOps

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
SPACE = ("identity autocontrast equalize rotate solarize color posterize contrast brightness sharpness shear_x shear_y "
         "translate_x translate_y").split()
MAGNITUDES = (0, 9, 14, 30)
OPS = ("shear_x shear_y translate_x translate_y rotate color contrast brightness sharpness posterize solarize "
       "autocontrast equalize invert").split()
SIGNED, WITHOUT_MAGNITUDE = OPS[:4] + OPS[5:9], OPS[11:]
GREY = (128, 128, 128)
ENHANCE = {"color": ImageEnhance.Color, "contrast": ImageEnhance.Contrast, "brightness": ImageEnhance.Brightness,
           "sharpness": ImageEnhance.Sharpness}
BITS = [8, 8, 7, 7, 6, 6, 5, 5, 4, 4]  # 8 to 4 in ten steps, rounded


def apply(op, magnitude, sign, image):
    w, h = image.size
    part = magnitude / 9

    def affine(matrix, filter):
        return image.transform(image.size, Image.AFFINE, matrix, filter, fillcolor=GREY)

    if op == "shear_x":
        return affine((1, sign * 0.3 * part, 0, 0, 1, 0), Image.BICUBIC)
    if op == "shear_y":
        return affine((1, 0, 0, sign * 0.3 * part, 1, 0), Image.BICUBIC)
    if op == "translate_x":
        return affine((1, 0, sign * 150 / 331 * part * w, 0, 1, 0), Image.NEAREST)
    if op == "translate_y":
        return affine((1, 0, 0, 0, 1, sign * 150 / 331 * part * h), Image.NEAREST)
    if op == "rotate":
        # Through RGBA, so that what comes from outside can be told from black.
        turned = image.convert("RGBA").rotate(30 * part)
        return Image.composite(turned, Image.new("RGBA", image.size, (128,) * 4), turned).convert("RGB")
    if op in ENHANCE:
        return ENHANCE[op](image).enhance(1 + sign * 0.9 * part)
    if op == "posterize":
        return ImageOps.posterize(image, BITS[magnitude])
    if op == "solarize":
        return ImageOps.solarize(image, 256 - 256 * part)
    return {"autocontrast": ImageOps.autocontrast, "equalize": ImageOps.equalize, "invert": ImageOps.invert}[op](image)


def transform(image, op, value, outside):
    """Geometry by the nearest pixel, with PIL's own value."""
    if op == "rotate":
        turned = image.convert("RGBA").rotate(value)
        return Image.composite(turned, Image.new("RGBA", image.size, outside + (255,)), turned).convert("RGB")
    matrix = {"shear_x": (1, value, 0, 0, 1, 0), "shear_y": (1, 0, 0, value, 1, 0),
              "translate_x": (1, 0, value, 0, 1, 0), "translate_y": (1, 0, 0, 0, 1, value)}[op]
    return image.transform(image.size, Image.AFFINE, matrix, Image.NEAREST, fillcolor=outside)


def wide(op, strength, sign, image):
    """TrivialAugment's wide space (the paper's table of ranges, its authors' roundings)."""
    if op == "identity":
        return image
    if op in ENHANCE:
        return ENHANCE[op](image).enhance(0.01 + strength / 30 * 1.99)
    if op == "posterize":
        return ImageOps.posterize(image, 8 - 6 * strength // 30)
    if op == "solarize":
        return ImageOps.solarize(image, 256 - 256 * strength // 30)
    if op in ("autocontrast", "equalize"):
        return getattr(ImageOps, op)(image)
    value = {"r": 135 * strength // 30, "s": 0.99 * strength / 30, "t": 32 * strength // 30}[op[0]]
    return transform(image, op, sign * value, (0, 0, 0))


def rand(op, magnitude, sign, image):
    """RandAugment: AutoAugment's ranges in thirtieths."""
    part = magnitude / 30
    if op == "identity":
        return image
    if op in ENHANCE:
        return ENHANCE[op](image).enhance(1 + sign * 0.9 * part)
    if op == "posterize":
        return ImageOps.posterize(image, round(8 - 4 * part))
    if op == "solarize":
        return ImageOps.solarize(image, 256 - 256 * part)
    if op in ("autocontrast", "equalize"):
        return getattr(ImageOps, op)(image)
    side = image.size[op == "translate_y"]
    value = {"r": 30 * part, "s": 0.3 * part, "t": 150 / 331 * part * side}[op[0]]
    return transform(image, op, sign * value, GREY)


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return h


def images():
    r = random.Random(4)

    def image(w, h, pixel):
        im = Image.new("RGB", (w, h))
        im.putdata([pixel(x, y) for y in range(h) for x in range(w)])
        return im

    # A slope under noise, in a part of the range; the whole range, half of it in few values (equalize); a channel
    # that is constant and one of two values.
    yield image(11, 8, lambda x, y: tuple(30 + 9 * x + 8 * y * (c == 1) + r.randrange(40) for c in range(3)))
    yield image(32, 32, lambda x, y: (r.randrange(256), r.choice((7, 8, 200, r.randrange(256))), 4 * x + 4 * y))
    yield image(5, 4, lambda x, y: (90, 255 * (x > 2), r.randrange(256)))


def main():
    all_images = list(images())
    head = bytes([len(all_images)]) + b"".join(bytes(im.size) + im.tobytes() for im in all_images)
    with open(os.path.join(VECTORS, "policies.bin"), "wb") as out:
        out.write(head)
        for im in all_images:
            for function, levels in ((wide, range(31)), (rand, MAGNITUDES)):
                for op in SPACE:
                    for level in levels:
                        for sign in (1, -1):
                            out.write(struct.pack("<Q", fnv(function(op, level, sign, im).tobytes())))
    with open(os.path.join(VECTORS, "augment.bin"), "wb") as out:
        out.write(head)
        for i, im in enumerate(all_images):
            for number, op in enumerate(OPS):
                for magnitude in [3] if op in WITHOUT_MAGNITUDE else range(10):
                    for negative in [0, 1] if op in SIGNED else [0]:
                        data = apply(op, magnitude, -1 if negative else 1, im).tobytes()
                        out.write(bytes([i, number, magnitude, negative]))
                        out.write(data if len(data) <= 900 else struct.pack("<Q", fnv(data)))


if __name__ == "__main__":
    main()
