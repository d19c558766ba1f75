"""Small trainings of the program, for its tests. Standard library only."""
import os, sys, tempfile, time, traceback

from program import SPEC, metadata, run
from tiny_cifar import write_set
from tiny_folder import write_folder


class Place:
    """A folder with the data set, and the models that several tests use."""

    def __init__(self, folder):
        self.folder = folder
        self.data = write_set(os.path.join(folder, "data"))
        self.models = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def photographs(self, classes=3, images=16):
        """A folder of so many images of each class, made once."""
        top = self.path("photographs")
        if not os.path.isdir(top):
            write_folder(top, [str(label) for label in range(classes)], images, size=(40, 33))
        return top

    def options(self, out, method="byot", **more):
        o = {"data": self.data, "method": method, "width": 4, "epochs": 2, "batch": 20, "holdout": 200,
             "warmup": 0, "lr": 0.05, "threads": 2, "progress": "none", "out": out}
        o.update({k.replace("_", "-"): v for k, v in more.items()})
        return [SPEC] + [w for k, v in o.items() if v is not None for w in ("--" + k, str(v))]

    def train(self, out, *flags, **more):
        return run("train", *self.options(out, **more), "--force", *flags)

    def model(self, method):
        if method not in self.models:
            out = self.path(method + ".safetensors")
            self.train(out, method=method)
            self.models[method] = out
        return self.models[method]


def position(path):
    try:
        return int(metadata(path)["autodidact.position"].split()[0])
    except OSError:
        return -1


def main(names, place_of=Place):
    """Runs the tests of a module, or those that the command line names, all with one place_of(a new folder); -> the exit
    code. Prints TAP."""
    tests = [(n, f) for n, f in names.items() if n.startswith("test_")]
    chosen = sys.argv[1:] or [n for n, _ in tests]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        place = place_of(folder)
        for i, (name, f) in enumerate([t for t in tests if t[0] in chosen], 1):
            if getattr(f, "skipped", False):
                print(f"ok {i} - {name} # SKIP several trainings take many minutes with the reference kernels", flush=True)
                continue
            start = time.monotonic()
            try:
                f(place)
                print(f"ok {i} - {name} # {time.monotonic() - start:.1f} s", flush=True)
            except Exception:
                failed += 1
                for line in traceback.format_exc().splitlines():
                    print("#", line)
                print(f"not ok {i} - {name}", flush=True)
    return 1 if failed else 0

