"""Folders of small PNGs, made from names and numbers alone. For the tests of the programs. Standard library only."""
import os, random, struct, zlib


def encode(width, height, rows, grey=False, orientation=None):
    """A PNG of rows of bytes, three for each pixel or one, turned by Exif if that is said."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0 if grey else 2, 0, 0, 0))
    exif = b"" if orientation is None else chunk(
        b"eXIf", b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + head + exif + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png(width, height, colour, seed):
    """Noise around a colour, a triple."""
    r = random.Random(seed)
    return encode(width, height, [bytes(min(255, c + r.randrange(60)) for _ in range(width) for c in colour) for _ in range(height)])


def write_folder(folder, classes, each, seed=0, size=(8, 8)):
    """each images of every class to train on, others for every seed; returns the data set's name."""
    for k, label in enumerate(classes):
        os.makedirs(os.path.join(folder, "train", label))
        for i in range(each):
            with open(os.path.join(folder, "train", label, f"{i}.png"), "wb") as f:
                f.write(png(*size, [(k >> bit & 1) * 150 for bit in range(3)], f"{seed} {k} {i}"))
    return "folder:" + folder
