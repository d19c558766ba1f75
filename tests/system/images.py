"""Photographs, and small files that are much work: made, not kept. Standard library, and tests/image/make_photograph of a
build directory."""
import os, struct, subprocess, zlib


def photograph(build, kind, width, height, quality=90, seed=0, *words):
    """A JPEG as tests/image/make_photograph makes it."""
    return subprocess.run([os.path.join(build, "tests", "image", "make_photograph"), kind, str(width), str(height), str(quality),
                           str(seed), *words], check=True, stdout=subprocess.PIPE).stdout


def segment(marker, data):
    """One of a JPEG."""
    return struct.pack(">BBH", 0xff, marker, 2 + len(data)) + data


def huffman_of_one(kind, symbol):
    """A table whose only code is a zero bit."""
    return segment(0xc4, bytes([kind << 4, 1, *[0] * 15, symbol]))


def zeros(bits):
    """Entropy-coded zero bits, filled up with ones."""
    return bytes(bits // 8) + (bytes([0xff >> bits % 8]) if bits % 8 else b"")


def progressive_bomb(width, height, scans):
    """A grey area in very few bytes: one scan more and more refines coefficients that are all zero, and looks at each."""
    blocks = -(-width // 8) * -(-height // 8)
    out = [b"\xff\xd8", segment(0xdb, bytes([0, *[1] * 64])),
           segment(0xc2, struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])),
           huffman_of_one(0, 0), huffman_of_one(1, 0xe0),  # no difference; 2^14 blocks and 14 bits more are empty
           segment(0xda, bytes([3, 1, 0, 2, 0, 3, 0, 0, 0, 0])), zeros(3 * blocks)]
    for component in (1, 2, 3):
        walks = min((scans - 1 + 3 - component) // 3, 63 * 14)  # of 63 bands by 14 bits there are no more
        n = -(-walks // 14)
        for turn in range(walks):
            band, bit = turn % n, (walks - 1 - turn) // n
            before = 0 if turn < n else bit + 1
            out += [segment(0xda, bytes([1, component, 0, 1 + 63 * band // n, 63 * (band + 1) // n, before << 4 | bit])),
                    zeros(15 * -(-blocks >> 14))]
    return b"".join(out) + b"\xff\xd9"


def chunk(kind, data):
    """One of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height, depth=8, colour=2, interlaced=False):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def black_png(width, height, depth=8, colour=2, interlaced=False):
    """A thousandth of what it holds."""
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth
    size = 0
    for x, y, dx, dy in PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            size += (1 + -(-columns * bits // 8)) * rows
    packer, data, block = zlib.compressobj(9), [], bytes(1 << 20)
    for _ in range(size >> 20):
        data.append(packer.compress(block))
    data.append(packer.compress(bytes(size % (1 << 20))) + packer.flush())
    return png_header(width, height, depth, colour, interlaced) + chunk(b"IDAT", b"".join(data)) + chunk(b"IEND", b"")


def empty_blocks_png(eights):
    """A 32x32 PNG whose few pixels stand behind eight times so many deflate blocks without data, each of which brings its
    tables of codes in 90 bits: for the alphabet 256 symbols without a code, then its end and one distance."""
    def number(value, n):
        return [value >> i & 1 for i in range(n)]
    ordered = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)  # RFC 1951, 3.2.7
    lengths = [bit for symbol in ordered for bit in number(symbol in (1, 18), 3)]
    block = [0, 0, 1, *number(0, 10), *number(len(ordered) - 4, 4), *lengths, 1, *number(138 - 11, 7), 1, *number(118 - 11, 7),
             0, 0, 0]
    bits = 8 * block
    once = bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8])) for at in range(0, len(bits), 8))
    rows, packer = bytes(32 * (1 + 3 * 32)), zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = b"\x78\x01" + once * eights + packer.compress(rows) + packer.flush() + struct.pack(">I", zlib.adler32(rows))
    return png_header(32, 32) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
