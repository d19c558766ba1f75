#!/usr/bin/env python3
"""A folder of images as trainings of the program read it: how often, by how many threads, and what becomes of a training
whose files vanish or change. Prints TAP. Standard library only."""
import collections, ctypes, os, random, struct, sys, zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import SPEC, digest, fails, many_minutes_on_reference, run
from trainings import main

CLASSES, IMAGES = 3, 16  # of each


def png(width, height, label, r):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(r.randrange(120) + (90 if i % 3 == label else 0) for i in range(3 * width))
                    for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def folder(p):
    """Made once."""
    r, top = random.Random(3), p.path("photographs")
    for label in range(0 if os.path.isdir(top) else CLASSES):
        os.makedirs(os.path.join(top, "train", str(label)))
        for i in range(IMAGES):
            with open(os.path.join(top, "train", str(label), f"{i}.png"), "wb") as f:
                f.write(png(40, 33, label, r))
    return top


def words(p, out, *flags, **more):
    options = {"data": "folder:" + folder(p), "width": 4, "epochs": 3, "batch": 8, "holdout": 6, "augment": "crop,flip",
               "algorithm": "rule"}
    return ["train", *p.options(p.path(out), **{**options, **more}), *flags]


class Opens:
    """How often files in directories are opened while it is there."""

    def __init__(self, *directories):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.names = {self.libc.inotify_add_watch(self.fd, os.fsencode(d), 0x20): d for d in directories}  # IN_OPEN
        assert self.fd >= 0 and min(self.names) > 0

    def take(self):
        """-> {path: times}"""
        times = collections.Counter()
        try:
            while events := os.read(self.fd, 1 << 16):
                at = 0
                while at < len(events):
                    watch, _, _, size = struct.unpack_from("iIII", events, at)
                    name = events[at + 16:at + 16 + size].rstrip(b"\0").decode()
                    at += 16 + size
                    if name:
                        times[os.path.join(self.names[watch], name)] += 1
        except BlockingIOError:
            return times
        finally:
            os.close(self.fd)


@many_minutes_on_reference
def test_reads(p):
    """Each file is read once at the start, and once when it is first wanted if decoded images are kept."""
    top = os.path.join(folder(p), "train")
    opens = Opens(*(os.path.join(top, d) for d in os.listdir(top)))
    run(*words(p, "reads.safetensors", loaders=1))
    times = opens.take()
    assert len(times) == CLASSES * IMAGES and set(times.values()) <= {1, 2}, times
    assert sum(times.values()) > CLASSES * IMAGES, times  # not all are in an epoch, since the last batch would be short


@many_minutes_on_reference
def test_streams(p):
    """Where none is kept, an image is read once in each epoch that trains on it, whatever is saved in between."""
    top = os.path.join(folder(p), "train")
    opens = Opens(*(os.path.join(top, d) for d in os.listdir(top)))
    run(*words(p, "streams.safetensors", loaders=1, cache_mb=0, checkpoint_steps=1))
    times = opens.take()
    trained, held_out = 3 * 5 * 8, 6 * (3 + 1)  # 3 epochs of 5 batches of 8; a look behind each, and one at the end
    assert sum(times.values()) == CLASSES * IMAGES + trained + held_out, times


sys.exit(main(globals()))
