"""`autodidact eval`: everything that it prints is computed again from the logits that it writes. Prints TAP. Standard
library only."""
import array, ast, csv, json, math, os, pty, struct, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import PROGRAM, SPEC, TOP, digest, fails, metadata, run
from tiny_cifar import write_set
from trainings import main

NAMES = ["1", "2", "3", "4", "ensemble"]


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.data = write_set(self.path("data"))
        self.model = self.path("model.safetensors")
        run("train", SPEC, "--data", self.data, "--method", "byot", "--width", "4", "--epochs", "2", "--batch", "20",
            "--holdout", "200", "--warmup", "0", "--lr", "0.05", "--threads", "2", "--progress", "none", "--out",
            self.model)

    def path(self, name):
        return os.path.join(self.folder, name)

    def eval(self, *more, split="test", model=None):
        return run("eval", model or self.model, "--data", self.data, "--split", split, *more)[0]


def read_npy(path):
    """-> shape, numbers"""
    with open(path, "rb") as f:
        start = f.read(10)
        assert start[:8] == b"\x93NUMPY\x01\x00", start
        size, = struct.unpack("<H", start[8:])
        header, data = f.read(size), f.read()
    assert (10 + size) % 64 == 0 and header.endswith(b"\n")
    header = ast.literal_eval(header.decode())
    assert header["fortran_order"] is False and set(header) == {"descr", "fortran_order", "shape"}
    numbers = array.array({"<f4": "f", "<i4": "i"}[header["descr"]])
    numbers.frombytes(data)
    assert len(numbers) == math.prod(header["shape"])
    return header["shape"], numbers


def logits(p, *more, **how):
    """-> logits[classifier][image], labels, of what eval writes"""
    path = p.path("logits.npy")
    p.eval("--logits", path, *more, **how)
    (n, c, k), z = read_npy(path)
    (m,), labels = read_npy(p.path("logits.labels.npy"))
    assert n == m
    return [[z[(i * c + j) * k:(i * c + j + 1) * k] for i in range(n)] for j in range(c)], labels


def softmax(z, t):
    top = max(z)
    e = [math.exp((x - top) / t) for x in z]
    return [x / sum(e) for x in e]


def best(z):
    return max(range(len(z)), key=lambda k: z[k])


def near(a, b, tolerance=1e-6):
    assert abs(a - b) <= tolerance * max(1, abs(b)), (a, b)


def test_logits(p):
    z, labels = logits(p)
    f = json.loads(p.eval("--json"))
    temperatures = [x["temperature"] for x in (lambda c: c["exits"] + [c["ensemble"]])(
        json.loads(metadata(p.model)["autodidact.calibration"]))]
    assert len(z) == 5 and len(labels) == f["n"] == 200
    for j, (row, t) in enumerate(zip(f["exits"] + [f["ensemble"]], temperatures)):
        near(row["top1"], sum(best(x) == y for x, y in zip(z[j], labels)) / 200)
        near(row["top5"], sum(y in sorted(range(100), key=lambda k: -x[k])[:5] for x, y in zip(z[j], labels)) / 200)
        near(row["nll"], sum(-math.log(softmax(x, t)[y]) for x, y in zip(z[j], labels)) / 200, 1e-5)
        sure, right = [max(softmax(x, t)) for x in z[j]], [best(x) == y for x, y in zip(z[j], labels)]
        pairs = [(a > b) + (a == b) / 2 for a, r in zip(sure, right) if r for b, s in zip(sure, right) if not s]
        near(row["auroc"], sum(pairs) / len(pairs), 1e-4)
    for i in range(200):  # the ensemble is the mean
        for k in range(0, 100, 7):
            near(z[4][i][k], sum(z[j][i][k] for j in range(4)) / 4, 1e-5)
    # The order is that of the predictions, in the held-out images too.
    z, labels = logits(p, "--predictions", p.path("p.csv"), split="holdout")
    with open(p.path("p.csv")) as file:
        rows = list(csv.DictReader(file))
    assert [int(r["label"]) for r in rows] == list(labels)
    for j, name in enumerate(NAMES):
        assert [int(r[name]) for r in rows] == [best(x) for x in z[j]]
    before = digest(p.path("logits.npy"))
    logits(p, "--threads", "1", split="holdout")
    assert digest(p.path("logits.npy")) == before


def test_per_class(p):
    z, labels = logits(p)
    f = json.loads(p.eval("--json", "--per-class"))
    assert [c["label"] for c in f["classes"]] == [f"fine_{i}" for i in range(100)]
    for k, c in enumerate(f["classes"]):
        own = [i for i in range(200) if labels[i] == k]
        assert c["images"] == len(own)
        if not own:
            assert c["top1"] == [None] * 5
            continue
        for j in range(5):
            near(c["top1"][j], sum(best(z[j][i]) == k for i in own) / len(own))
    for j, row in enumerate(f["exits"] + [f["ensemble"]]):
        there = [c["top1"][j] for c in f["classes"] if c["images"]]
        near(row["balanced"], sum(there) / len(there))
    assert "classes" not in json.loads(p.eval("--json"))
    text = p.eval("--per-class")
    assert "fine_7" in text and "images" in text


def test_confusion(p):
    z, labels = logits(p)
    path = p.path("c.csv")
    for name, j in (("deepest", 3), ("1", 0), ("ensemble", 4)):
        p.eval("--confusion", path, *(["--confusion-of", name] if name != "deepest" else []))
        with open(path) as f:
            rows = list(csv.reader(f))
        names = [f"fine_{i}" for i in range(100)]
        assert rows[0] == ["label"] + names and [r[0] for r in rows[1:]] == names
        wanted = [[0] * 100 for _ in range(100)]
        for x, y in zip(z[j], labels):
            wanted[y][best(x)] += 1
        assert [[int(v) for v in r[1:]] for r in rows[1:]] == wanted, name


def judge(z, labels, temperatures, thresholds, otherwise):
    """-> accuracy, share by exit, share of the rest: the way of every image, written down."""
    right, share, rest = 0, [0] * 4, 0
    for i, y in enumerate(labels):
        for j in range(4):
            if max(softmax(z[j][i], temperatures[j])) >= thresholds[j]:
                share[j] += 1
                right += best(z[j][i]) == y
                break
        else:
            rest += 1
            right += best(z[otherwise][i]) == y
    n = len(labels)
    return right / n, [s / n for s in share], rest / n


def test_policy(p):
    z, labels = logits(p)
    f = json.loads(p.eval("--json", "--policy"))["policy"]
    calibration = json.loads(metadata(p.model)["autodidact.calibration"])
    d = json.loads(run("describe", p.model, "--json")[0])
    sections, heads = [s["macs"] for s in d["sections"]], [x["macs"] for x in d["exits"]]
    temperatures = [x["temperature"] for x in calibration["exits"]]
    accuracy = {n: x["top1"] for n, x in zip(NAMES, calibration["exits"] + [calibration["ensemble"]])}

    # Which of two equals is best, and running ensembles, are other tests' affair: it is one of the best.
    assert f["best"].startswith("ensemble:") or accuracy[f["best"]] == max(accuracy.values())
    for c in f["classifiers"]:
        i = NAMES.index(c["name"])
        near(c["top1"], sum(best(x) == y for x, y in zip(z[i], labels)) / 200)
        near(c["macs"], sum(sections) + sum(heads) if i == 4 else sum(sections[:i + 1]) + heads[i])
        assert c["ms"] > 0
    if calibration.get("running") or f["best"].startswith("ensemble:"):
        return  # answers at borders are blends then, which the logits' file does not have
    points = [(f["thresholds"], calibration["thresholds"], 3)] + [
        (c, [c["confidence"]] * 4, NAMES.index(f["best"])) for c in f["curve"]]
    assert len(f["curve"]) > 100 and f["curve"][0]["confidence"] == 0 and f["curve"][-1]["confidence"] == 1
    for point, thresholds, otherwise in points:
        top1, share, rest = judge(z, labels, temperatures, thresholds, otherwise)
        near(point["top1"], top1)
        for a, b in zip(point["share"] + [point["exhausted"]], share + [rest]):
            near(a, b)
        tried = [h if t <= 1 else 0 for h, t in zip(heads, thresholds)]
        cost = [sum(sections[:i + 1]) + sum(tried[:i + 1]) for i in range(4)]
        near(point["macs"], sum(s * c for s, c in zip(share + [rest], cost + [cost[3]])))
    assert "thresholds" in p.eval("--policy") and "confidence" in p.eval("--policy")


def test_usage(p):
    args = [p.model, "--data", p.data, "--split", "test"]
    fails("eval", *args, "--logits", p.path("x.csv"), code=2, text="it takes a name that ends in .npy")
    fails("eval", *args, "--logits", ".npy", code=2, text="it takes a name that ends in .npy")
    fails("eval", *args, "--logits", p.path("no/x.npy"), text="--logits")
    fails("eval", *args, "--confusion", p.path("no/x.csv"), text="--confusion")
    fails("eval", *args, "--confusion", p.path("x.csv"), "--confusion-of", "5", code=2,
          text="--confusion-of 5: it takes 1 to 4, deepest or ensemble")
    fails("eval", *args, "--predictions", p.path("no/x.csv"), text="--predictions")
    fails("eval", p.model, "--data", p.data, code=2, text="--split is missing")


def test_bar(p):
    """A bar on a terminal, that is gone at the end; nothing where stderr goes elsewhere."""
    for words in (["eval", p.model, "--data", p.data, "--split", "test", "--json"], ["compare", p.model, p.model, "--data", p.data, "--json"]):
        master, slave = pty.openpty()
        q = subprocess.run([PROGRAM, *words], stdout=subprocess.PIPE, stderr=slave, text=True)
        os.close(slave)
        said = os.read(master, 1 << 16).decode()
        os.close(master)
        assert p.model[:80] + " [" in said and "/200 images" in said and said.endswith("\r\x1b[K"), said
        plain, err = run(*words)
        assert err == "" and plain == q.stdout, (plain, q.stdout)


sys.exit(main(globals(), Place))
