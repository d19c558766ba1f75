"""`autodidact compare`: counts and differences computed again from both models' predictions. Prints TAP. Standard
library only."""
import csv, json, math, os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import SPEC, TOP, fails, run
from tiny_cifar import write_set
from trainings import main


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.data = write_set(self.path("data"))
        self.byot = self.train("byot.safetensors", "byot", 2)
        self.dsn = self.train("dsn.safetensors", "dsn", 1, "--seed", "5")

    def train(self, name, method, epochs, *more, spec=SPEC, holdout=200):
        out = self.path(name)
        run("train", spec, "--data", self.data, "--method", method, "--width", "4", "--epochs", str(epochs), "--batch",
            "20", "--holdout", str(holdout), "--warmup", "0", "--lr", "0.05", "--threads", "2", "--progress", "none",
            "--out", out, *more)
        return out

    def path(self, name):
        return os.path.join(self.folder, name)

    def predictions(self, model, split):
        path = self.path("p.csv")
        run("eval", model, "--data", self.data, "--split", split, "--predictions", path)
        with open(path) as f:
            return {int(r["index"]): r for r in csv.DictReader(f)}

    def compare(self, a, b, *more):
        return json.loads(run("compare", a, b, "--data", self.data, "--json", *more)[0])


def check(p, a, b, split):
    c = p.compare(a, b, "--split", split)
    pa, pb = p.predictions(a, split), p.predictions(b, split)
    images = sorted(set(pa) & set(pb))
    assert c["n"] == len(images)
    for row in c["classifiers"]:
        names = row["name"].split("|")
        right = [(pa[i][names[0]] == pa[i]["label"], pb[i][names[-1]] == pb[i]["label"]) for i in images]
        for key, wanted in (("both", (True, True)), ("only_a", (True, False)), ("only_b", (False, True)),
                            ("neither", (False, False))):
            assert row[key] == right.count(wanted), (row, key)
        x, n = min(row["only_a"], row["only_b"]), row["only_a"] + row["only_b"]
        p_value = 2 * (sum(math.comb(n, k) for k in range(x)) + math.comb(n, x) / 2) / 2 ** n
        assert abs(row["p"] - p_value) < 1e-9
        assert abs(row["difference"] - (row["only_b"] - row["only_a"]) / len(images)) < 1e-9
        assert row["low"] <= row["difference"] <= row["high"]
        assert abs(row["top1"][1] - row["top1"][0] - row["difference"]) < 1e-9
    return c


def test_test_images(p):
    c = check(p, p.byot, p.dsn, "test")
    assert c["n"] == 200 and [r["name"] for r in c["classifiers"]] == ["1", "2", "3", "4", "ensemble"]
    text = run("compare", p.byot, p.dsn, "--data", p.data)[0]
    assert "200 images of test" in text and "95 % interval" in text


def test_same(p):
    for row in p.compare(p.byot, p.byot)["classifiers"]:
        assert row["only_a"] == row["only_b"] == 0 and row["difference"] == 0 and row["p"] == 1
        assert row["low"] < 0 < row["high"]


def test_held_out(p):
    """Models with other held-out images are compared on those that both have."""
    small = p.train("small.safetensors", "dsn", 1, holdout=120)
    other = p.train("other.safetensors", "dsn", 1, "--holdout-seed", "9")
    assert check(p, p.byot, p.dsn, "holdout")["n"] == 200
    assert check(p, p.byot, small, "holdout")["n"] == 120
    n = check(p, p.byot, other, "holdout")["n"]
    assert 5 < n < 100, n
    assert check(p, p.byot, other, "train")["n"] == 1200 - 400 + n
    assert p.compare(p.byot, other, "--split", "holdout", "--holdout-of", other)["n"] > 0


def test_other_networks(p):
    """Of another number of exits: the deepest ones and the ensembles. Those that have not learned are left out."""
    baseline = p.train("baseline.safetensors", "baseline", 1)
    assert [r["name"] for r in p.compare(p.byot, baseline)["classifiers"]] == ["4", "ensemble"]
    with open(SPEC) as f:
        spec = json.load(f)
    spec["cuts"] = [2, 4, 8]
    path = p.path("three.json")
    with open(path, "w") as f:
        json.dump(spec, f)
    three = p.train("three.safetensors", "byot", 1, spec=path)
    c = p.compare(p.byot, three)
    assert [r["name"] for r in c["classifiers"]] == ["4|3", "ensemble"], c


def test_usage(p):
    fails("compare", p.byot, "--data", p.data, code=2, text="an argument is missing")
    fails("compare", p.byot, p.dsn, code=2, text="--data is missing")
    fails("compare", p.byot, p.path("none"), "--data", p.data, text="none")
    fails("compare", p.byot, p.dsn, "--data", p.data, "--split", "all", code=2, text="--split all")
    shipped = os.path.join(TOP, "models", "resnet18-cifar100.safetensors")
    fails("compare", p.byot, shipped, "--data", p.data, text=shipped + ": class 0 is")


sys.exit(main(globals(), Place))
