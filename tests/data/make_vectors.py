"""Makes tests/data/vectors/augment.bin: every operation of AutoAugment with every magnitude, computed by PIL.

Run with Debian's python3-pil from anywhere: /usr/bin/python3 tests/data/make_vectors.py
Magnitudes are written down here a second time, from the facts and not from our C.

The file: how many images (1 byte); of each its width, its height, and its pixels; then until the end, of each
operation the number of its image, its own number (in OPS' order), magnitude, 1 if negative, and the result: the
pixels, or of images of more than 300 pixels their FNV-1a hash (8 bytes, little-endian).
"""
import os
import random
import struct

from PIL import Image, ImageEnhance, ImageOps

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors", "augment.bin")
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
    with open(OUT, "wb") as out:
        out.write(bytes([len(all_images)]))
        for im in all_images:
            out.write(bytes(im.size) + im.tobytes())
        for i, im in enumerate(all_images):
            for number, op in enumerate(OPS):
                for magnitude in [3] if op in WITHOUT_MAGNITUDE else range(10):
                    for negative in [0, 1] if op in SIGNED else [0]:
                        data = apply(op, magnitude, -1 if negative else 1, im).tobytes()
                        out.write(bytes([i, number, magnitude, negative]))
                        out.write(data if len(data) <= 900 else struct.pack("<Q", fnv(data)))


if __name__ == "__main__":
    main()
