"""Small trainings of the program, for its tests. Standard library only."""
import os

from program import SPEC, metadata, run
from tiny_cifar import write_set


class Place:
    """A folder with the data set, and the models that several tests use."""

    def __init__(self, folder):
        self.folder = folder
        self.data = write_set(os.path.join(folder, "data"))
        self.models = {}

    def path(self, name):
        return os.path.join(self.folder, name)

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
