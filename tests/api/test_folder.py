"""Other data than CIFAR-100: folders of images from training to HTTP, CIFAR-10, EXIF. Prints TAP.

The made-up folder has PNGs of several sizes and kinds, so that it needs nothing but the standard library. Real
JPEGs come from tiny-imagenet-10, where it is (AUTODIDACT_DATA): the shipped model is trained on for one epoch, and every
classifier's answer over HTTP to files as they are must be eval's."""
import csv, json, os, random, struct, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "http"), os.path.join(HERE, "..", "tool")]
import daemon, wire
from tiny_cifar import write_set
from tiny_folder import encode

TOOL = os.path.join(wire.BUILD, "autodidact")
SPEC = os.path.join(wire.SOURCE, "models", "resnet18.json")
SHIPPED = os.path.join(wire.SOURCE, "models", "resnet18-cifar100.safetensors")
REAL = os.path.join(os.environ.get("AUTODIDACT_DATA", os.path.join(wire.SOURCE, "..", "shared", "data")), "tiny-imagenet-10")
PATIENCE = 10  # seconds are bounds only, and sanitizers cost a factor
MARGIN = 1e-4  # of two logits, below which another order of sums may choose the other class

place = tempfile.TemporaryDirectory(prefix="folder-")
ROOT = os.path.join(place.name, "data")


def path(*names):
    return os.path.join(place.name, *names)


def tool(*words, code=0):
    p = subprocess.run([TOOL, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       timeout=60 * PATIENCE)
    assert p.returncode == code, f"autodidact {' '.join(map(str, words))}: exit code {p.returncode}\n{p.stderr}"
    return [json.loads(line) for line in p.stdout.splitlines()] if code == 0 else p.stderr


def png(width, height, colour, seed, orientation=None):
    """A brightness gradient in one of three channels, or grey; colour 0..3."""
    r = random.Random(seed)
    rows = []
    for _ in range(height):
        values = [110 + r.randrange(100) + 40 * x // width for x in range(width)]
        rows.append(bytes(v if colour in (3, c) else r.randrange(80) for v in values for c in range(1 if colour == 3 else 3)))
    return encode(width, height, rows, grey=colour == 3, orientation=orientation)


def make_folder(name, classes=("red", "green", "blue", "grey"), train=40, val=6):
    sizes = [(32, 32), (40, 24), (17, 50), (64, 64)]
    for part, n in (("train", train), ("val", val)):
        for colour, label in enumerate(classes):
            os.makedirs(os.path.join(ROOT, name, part, label))
            for i in range(n):
                width, height = sizes[i % len(sizes)]
                orientation = None if i % 3 else 1 + i % 8
                with open(os.path.join(ROOT, name, part, label, f"{i:04}.png"), "wb") as f:
                    f.write(png(width, height, colour, f"{part}{label}{i}", orientation))
    return "folder:" + os.path.join(ROOT, name)


def options(data, out, **more):
    o = {"data": data, "method": "byot", "epochs": 3, "batch": 16, "lr": 0.05, "warmup": 0, "threads": 2,
         "progress": "json", "out": out, **more}
    return [w for k, v in o.items() for w in ("--" + k.replace("_", "-"), v)]


def files(folder):
    """The images of val in the order of the data set."""
    return [os.path.join(folder, c, n) for c in sorted(os.listdir(folder)) for n in sorted(os.listdir(os.path.join(folder, c)))]


def predictions(model, data, *more):
    """-> (figures, rows of the CSV) of eval on val"""
    out = path("predictions.csv")
    figures, = tool("eval", model, "--data", data, "--split", "test", "--predictions", out, "--json", *more)
    with open(out) as f:
        return figures, list(csv.DictReader(f))


def compare(model, data, chosen):
    """Every classifier's answer over HTTP to the files as they are is eval's; -> how many were compared."""
    folder = os.path.join(data.split(":", 1)[1], "val")
    figures, rows = predictions(model, data)
    names = files(folder)
    assert len(names) == len(rows) == figures["n"]
    compared = 0
    with daemon.Daemon(model=model) as d:
        for i in chosen(names):
            with open(names[i], "rb") as f:
                body = f.read()
            kind = "image/png" if body.startswith(b"\x89PNG") else "image/jpeg"
            for classifier in ("1", "2", "3", "4", "ensemble"):
                answer = d.classify(body, [("SLA-Classifier", classifier)], type=kind)
                assert answer.status == 200, (names[i], answer.status, answer.body)
                got = json.loads(answer.body)
                if float(rows[i][classifier + "_margin"]) < MARGIN:
                    continue
                assert got["index"] == int(rows[i][classifier]), (names[i], classifier, got, rows[i])
                assert got["label"] == sorted(os.listdir(folder))[got["index"]]
                compared += 1
    return compared


def preprocess(model):
    with open(model, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        return json.loads(json.loads(f.read(n))["__metadata__"]["autodidact.preprocess"])


def folder_from_training_to_http():
    """a folder of images of several sizes: train, resume the same bits, eval, serve as eval has it"""
    data, out, again = make_folder("colours"), path("colours.safetensors"), path("again.safetensors")
    events = tool("train", SPEC, *options(data, out, width=4, augment="resizedcrop:0.5,flip", epochs=6))
    start = events[-1]
    assert start["event"] == "done", events
    spec, = tool("describe", out, "--json")
    assert spec["input"] == [3, 32, 32] and spec["classes"] == 4, spec
    figures, _ = predictions(out, data)
    assert figures["n"] == 24 and figures["exits"][3]["top1"] >= 0.5, figures
    holdout, = tool("eval", out, "--data", data, "--split", "holdout", "--json")
    train, = tool("eval", out, "--data", data, "--split", "train", "--json")
    assert holdout["n"] == 16 and train["n"] == 144, "without --holdout a tenth is held out"

    # Stopped in the middle and gone on with, it is the same file.
    words = list(map(str, [TOOL, "train", SPEC, *options(data, again, width=4, augment="resizedcrop:0.5,flip", epochs=6,
                                                         checkpoint_steps=1)]))
    child = subprocess.Popen(words, stdout=subprocess.PIPE)
    end = time.monotonic() + 60 * PATIENCE
    while not os.path.exists(again + ".ckpt") and child.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    child.kill()
    child.communicate()
    assert not os.path.exists(again), "it ended before it could be killed"
    tool(*words[1:], "--resume")
    with open(out, "rb") as a, open(again, "rb") as b:
        assert a.read() == b.read()
    compared = compare(out, data, lambda names: range(len(names)))
    assert compared > 100, compared


def folder_retrained_as_job():
    """a folder below train.data_root as a training job; one elsewhere is refused"""
    if not os.path.exists(path("colours.safetensors")):
        raise AssertionError("the training before failed")
    with open(path("token"), "w") as f:
        f.write("a-token-for-this-test-only\n")
    os.chmod(path("token"), 0o600)
    headers = [("Content-Type", "application/json"), ("Authorization", "Bearer a-token-for-this-test-only")]
    settings = ["train.data_root=" + ROOT, "train.margin=1", "admin.listen=127.0.0.1:0",
                "admin.token_file=" + path("token")]
    with daemon.Daemon(settings, model=path("colours.safetensors")) as d:
        job = {"kind": "train", "init": "resnet18", "data": "folder:colours", "method": "byot", "epochs": 1, "batch": 16,
               "lr": 0.01, "warmup": 0, "augment": "resizedcrop:0.5,flip"}
        for data in ("folder:../../colours", "folder:nowhere", "folders:colours"):
            answer = wire.once(d.admin, "POST", "/admin/v1/jobs", json.dumps({**job, "data": data}).encode(), headers)
            assert answer.status == 400 and b'data' in answer.body, (answer.status, answer.body)
        answer = wire.once(d.admin, "POST", "/admin/v1/jobs", json.dumps(job).encode(), headers)
        assert answer.status == 202, (answer.status, answer.body)
        where = answer.header("Location")

        def ended():
            state = json.loads(wire.once(d.admin, "GET", where, None, headers[1:]).body)
            return state if state["state"] not in ("queued", "running", "evaluating") else None
        state = wire.until(ended, "the job has ended", 60 * PATIENCE)
        assert state["state"] == "succeeded", state
        got = json.loads(d.classify(png(50, 20, 0, "new")).body)
        assert got["version"] == 2 and got["label"] in ("red", "green", "blue", "grey"), got


def other_classes_and_sizes():
    """--init with other classes and sizes: CIFAR-100 to a folder, 32x32 to 48x48"""
    cifar = write_set(path("cifar"), 400, 60)
    parent, child, large = path("parent.safetensors"), path("child.safetensors"), path("large.safetensors")
    tool("train", SPEC, *options(cifar, parent, width=4, epochs=1))
    data = "folder:" + os.path.join(ROOT, "colours")
    tool("train", *options(data, child, init=parent, epochs=1))
    spec, = tool("describe", child, "--json")
    assert spec["input"] == [3, 32, 32] and spec["classes"] == 4, spec

    # Another size by a spec: the parent's convolutions, new last layers, the parent's mean and deviation.
    with open(SPEC) as f:
        wide = json.load(f)
    wide["input"]["height"] = wide["input"]["width"] = 48
    with open(path("wide.json"), "w") as f:
        json.dump(wide, f)
    tool("train", path("wide.json"), *options(data, large, init=parent, epochs=1, width=4))
    spec, = tool("describe", large, "--json")
    assert spec["input"] == [3, 48, 48] and spec["classes"] == 4, spec
    before, after = preprocess(parent), preprocess(large)
    assert (after.pop("width"), after.pop("height")) == (48, 48)
    assert (before.pop("width"), before.pop("height")) == (32, 32)
    assert before == after
    assert compare(large, data, lambda names: range(0, len(names), 4)) > 20


def images_of(model, data, split):
    """The files of a split, as (class, name)."""
    out = path("split.csv")
    tool("eval", model, "--data", data, "--split", split, "--predictions", out, "--json")
    train = os.path.join(data.split(":", 1)[1], "train")
    all_ = [(c, n) for c in sorted(os.listdir(train)) for n in sorted(os.listdir(os.path.join(train, c)))]
    with open(out) as f:
        return {all_[int(row["index"])] for row in csv.DictReader(f)}


def a_folder_that_changes():
    """images come, go and change their class: what trained the parent never judges the child"""
    data, parent, child = make_folder("changing"), path("changing.safetensors"), path("changed.safetensors")
    train = os.path.join(ROOT, "changing", "train")
    tool("train", SPEC, *options(data, parent, width=4, epochs=1, holdout=32))
    trained, held = images_of(parent, data, "train"), images_of(parent, data, "holdout")
    assert len(held) == 32 and all(sum(c == label for c, _ in held) == 8 for label in ("red", "green", "blue", "grey"))
    for label in ("red", "green", "blue", "grey"):
        for i in range(0, 40, 3):
            os.remove(os.path.join(train, label, f"{i:04}.png"))
    for i in range(40):
        with open(os.path.join(train, "red", f"new{i:04}.png"), "wb") as f:
            f.write(png(32, 32, 0, f"new{i}"))
    os.makedirs(os.path.join(train, "violet"))
    for i in range(20, 40):
        if i % 3:
            os.rename(os.path.join(train, "blue", f"{i:04}.png"), os.path.join(train, "violet", f"{i:04}b.png"))
    tool("train", *options(data, child, init=parent, epochs=1))
    same = lambda c, n: (c, n) if c != "violet" else ("blue", n[:-5] + ".png")
    judging, learnt = ({same(*x) for x in images_of(child, data, s)} for s in ("holdout", "train"))
    assert judging and not judging & trained, f"{len(judging & trained)} of {len(judging)} have trained the parent"
    assert any(n.startswith("new") for _, n in judging), "new images are held out, too"
    assert not learnt & held and all(any(c == x for c, _ in learnt) for x in ("red", "green", "grey"))
    with open(os.path.join(train, "red", "new0000.png"), "wb") as f:
        f.write(b"no image")
    with open(os.path.join(train, "grey", "bad.jpg"), "wb") as f:
        f.write(b"")
    error = tool("train", *options(data, child, init=parent, epochs=1), "--force", "--skip-broken", 1, code=1)
    assert "grey/bad.jpg: the file is empty" in error and "red/new0000.png" in error and "--skip-broken 2" in error, error
    tool("train", *options(data, child, init=parent, epochs=1, cache_mb=0), "--force", "--skip-broken", 2)
    with open(child, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        assert json.loads(json.loads(f.read(n))["__metadata__"]["autodidact.training"])["skipped"] == 2
    figures, = tool("eval", child, "--data", data, "--split", "holdout", "--json")
    assert figures["n"] > 10, figures


def bad_images():
    """a bad image is named, and nothing is trained"""
    data, out = make_folder("bad", train=8, val=1), path("bad.safetensors")
    where = os.path.join(ROOT, "bad", "train", "green", "0003.png")
    with open(where, "rb") as f:
        good = f.read()
    at = good.index(b"IDAT") + 8
    for content, words in ((good[:-20], "cut short"), (b"", "empty"), (b"GIF89a..", "this is a GIF image (image/gif)"),
                           (good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], "checksum")):
        with open(where, "wb") as f:
            f.write(content)
        error = tool("train", SPEC, *options(data, out, width=4, batch=2), code=1)
        assert where in error and words in error and error.count("\n") == 1, error
        assert not os.path.exists(out)
    with open(where, "wb") as f:
        f.write(good)
    os.rename(os.path.join(ROOT, "bad", "val", "grey"), os.path.join(ROOT, "bad", "val", "gray"))
    error = tool("eval", path("colours.safetensors"), "--data", data, "--split", "test", code=1)
    assert "gray is no class of the training images" in error, error


def cifar10():
    """CIFAR-10's files: train, eval"""
    source = path("cifar10")
    write_set(source, 500, 40)
    with open(os.path.join(source, "train.bin"), "rb") as f:
        train = f.read()
    with open(os.path.join(source, "test.bin"), "rb") as f:
        test = f.read()
    records = lambda data: b"".join(data[at + 1:at + 3074] for at in range(0, len(data), 3074))  # without the coarse label
    for i in range(5):
        with open(os.path.join(source, f"data_batch_{i + 1}.bin"), "wb") as f:
            f.write(records(train[i * 3074 * 100:(i + 1) * 3074 * 100]))
    with open(os.path.join(source, "test_batch.bin"), "wb") as f:
        f.write(records(test))
    with open(os.path.join(source, "batches.meta.txt"), "w") as f:
        f.writelines(f"class{i}\n" for i in range(10))
    out = path("cifar10.safetensors")
    tool("train", SPEC, *options("cifar10:" + source, out, width=4, epochs=10, algorithm="rule"))
    figures, = tool("eval", out, "--data", "cifar10:" + source, "--split", "test", "--json")
    assert figures["n"] == 40 and figures["exits"][3]["top1"] > 0.2, figures
    figures, = tool("eval", out, "--data", "cifar10:" + source, "--split", "holdout", "--json")
    assert figures["n"] == 50, figures


def tiny_imagenet():
    """the shipped model trained on tiny-imagenet-10 for an epoch; JPEGs as they are over HTTP as eval has them"""
    if not os.path.isdir(REAL):
        raise wire.Skip(f"there is no {REAL}")
    if wire.has_reference_kernels():
        raise wire.Skip("the shipped model's training takes many minutes with the reference kernels")
    data, out = "folder:" + REAL, path("tiny10.safetensors")
    tool("train", *options(data, out, init=SHIPPED, epochs=1, batch=64, lr=0.02, augment="resizedcrop:0.25,flip", threads=0))
    model, = tool("describe", out, "--json")
    assert model["input"] == [3, 32, 32] and model["classes"] == 10, model

    def chosen(names):
        """Three of each class, and greyscale ones (a frame of one component) besides."""
        grey = []
        for i, name in enumerate(names):
            with open(name, "rb") as f:
                content = f.read()
            if content[content.index(b"\xff\xc0") + 9] == 1:
                grey.append(i)
        assert len(grey) >= 2, "there are greyscale images"
        return sorted(set(range(0, len(names), 17)) | set(grey[:5]))
    assert compare(out, data, chosen) > 140
    figures, _ = predictions(out, data)
    # One short epoch is far from what it can learn (doc/data.md), and farther from chance, 0.1.
    assert figures["n"] == 500 and figures["exits"][3]["top1"] > 0.5, figures


if __name__ == "__main__":
    wire.run([folder_from_training_to_http, folder_retrained_as_job, other_classes_and_sizes, a_folder_that_changes, bad_images, cifar10,
              tiny_imagenet])
