#!/usr/bin/env python3
"""A folder of images as trainings of the program read it: how often, by how many threads, and what becomes of a training
whose files vanish or change. Prints TAP. Standard library only."""
import collections, csv, ctypes, os, shutil, struct, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import PROGRAM, digest, many_minutes_on_reference, run
from trainings import main, position

CLASSES, IMAGES = 3, 16  # of each


def words(p, out, *flags, **more):
    options = {"data": "folder:" + p.photographs(CLASSES, IMAGES), "width": 4, "epochs": 3, "batch": 8, "holdout": 6, "augment": "crop,flip",
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
    top = os.path.join(p.photographs(CLASSES, IMAGES), "train")
    opens = Opens(*(os.path.join(top, d) for d in os.listdir(top)))
    run(*words(p, "reads.safetensors", loaders=1))
    times = opens.take()
    assert len(times) == CLASSES * IMAGES and set(times.values()) <= {1, 2}, times
    assert sum(times.values()) > CLASSES * IMAGES, times  # not all are in an epoch, since the last batch would be short


@many_minutes_on_reference
def test_streams(p):
    """Where none is kept, an image is read once in each epoch that trains on it, whatever is saved in between."""
    top = os.path.join(p.photographs(CLASSES, IMAGES), "train")
    opens = Opens(*(os.path.join(top, d) for d in os.listdir(top)))
    run(*words(p, "streams.safetensors", loaders=1, cache_mb=0, checkpoint_steps=1))
    times = opens.take()
    trained, held_out = 3 * 5 * 8, 6 * (3 + 1)  # 3 epochs of 5 batches of 8; a look behind each, and one at the end
    assert sum(times.values()) == CLASSES * IMAGES + trained + held_out, times


@many_minutes_on_reference
def test_same_bytes(p):
    """Whoever reads ahead, and whether images are kept: what is learnt is the same."""
    found = set()
    for loaders in (0, 1, 8):
        for cache_mb in (0, 1, None):
            run(*words(p, "same.safetensors", "--force", loaders=loaders, cache_mb=cache_mb, epochs=1))
            found.add(digest(p.path("same.safetensors")))
    assert len(found) == 1, found


@many_minutes_on_reference
def test_judged(p):
    """Whoever looks at images by another model's choice reads each file once to know them, whatever seed they were chosen by,
    and once more where it is looked at."""
    data, own, other = "folder:" + p.photographs(CLASSES, IMAGES), p.path("own.safetensors"), p.path("other.safetensors")
    run(*words(p, "own.safetensors", epochs=1))
    run(*words(p, "other.safetensors", epochs=1, holdout_seed=5))
    top = os.path.join(p.photographs(CLASSES, IMAGES), "train")
    for command in (["eval", own], ["compare", own, own], ["report", own, "--out", p.path("page.html")]):
        opens = Opens(*(os.path.join(top, d) for d in os.listdir(top)))
        run(*command, "--data", data, "--split", "holdout", "--holdout-of", other)
        times = opens.take()
        looks = 2 if command[0] == "compare" else 1
        assert sorted(set(times.values())) == [1, 1 + looks], (command, times)
        assert sum(n > 1 for n in times.values()) == 6, (command, times)


def trained_images(p, model):
    """The files that a model was trained on."""
    top, table = p.photographs(CLASSES, IMAGES), p.path("trained.csv")
    run("eval", model, "--data", "folder:" + top, "--split", "train", "--predictions", table)
    files = [os.path.join(top, "train", d, n) for d in sorted(os.listdir(top + "/train")) for n in sorted(os.listdir(f"{top}/train/{d}"))]
    with open(table) as f:
        return [files[int(row["index"])] for row in csv.DictReader(f)]


def gone(path):
    os.rename(path, path + ".gone")


def emptied(path):
    os.rename(path, path + ".gone")
    with open(path, "wb"):
        pass


def swapped(path):
    """For another image, of the same size in bytes, or of one byte less."""
    with open(path, "rb") as f:
        data = f.read()
    os.rename(path, path + ".gone")
    with open(path, "wb") as f:
        f.write(data[:60] + bytes([data[60] ^ 1]) + data[61:])


def now_a_folder(path):
    os.rename(path, path + ".gone")
    os.mkdir(path)


@many_minutes_on_reference
def test_files_that_change(p):
    """Files that vanish or change in the middle of a training end it with their names; it goes on when they are back, and ends
    in the bytes of one that nobody disturbed. One that is only touched disturbs nobody."""
    whole, disturbed, epochs = p.path("calm.safetensors"), p.path("disturbed.safetensors"), 30
    more = {"epochs": epochs, "cache_mb": 0, "checkpoint_steps": 1, "eval_every": 30}
    run(*words(p, "calm.safetensors", **more))
    path, touched = trained_images(p, whole)[:2]
    at = 0
    for change, text in ((gone, "No such file"), (emptied, "has changed since"), (swapped, "has changed since"),
                         (now_a_folder, "Is a directory")):
        child = subprocess.Popen([PROGRAM, *words(p, "disturbed.safetensors", "--resume", **more)], stderr=subprocess.PIPE,
                                 text=True)
        while position(disturbed + ".ckpt") < at + 5 and child.poll() is None:
            time.sleep(0.001)
        os.utime(touched)
        change(path)
        error = child.communicate()[1]
        assert child.returncode == 1 and error.count("\n") == 1 and path in error and text in error, (child.returncode, error)
        assert f"goes on from the last checkpoint, {disturbed}.ckpt, by --resume" in error, error
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.replace(path + ".gone", path)
        at = position(disturbed + ".ckpt")
        assert 5 <= at < 5 * epochs, at
    run(*words(p, "disturbed.safetensors", "--resume", **more))
    assert digest(whole) == digest(disturbed)


sys.exit(main(globals()))
