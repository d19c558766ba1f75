"""`autodidact tune`: what it writes is what it says, what it finds is as was asked for, and nothing else of the file changes.
Prints TAP. Standard library only."""
import csv, json, os, struct, sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import SPEC, digest, fails, metadata, rewrite_metadata, run
from tiny_cifar import write_set
from trainings import main


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.data = write_set(self.path("data"), train=1600)
        self.model = self.path("model.safetensors")
        run("train", SPEC, "--data", self.data, "--method", "byot", "--width", "4", "--epochs", "2", "--batch", "20",
            "--holdout", "600", "--warmup", "0", "--lr", "0.05", "--threads", "2", "--progress", "none", "--out", self.model)

    def path(self, name):
        return os.path.join(self.folder, name)

    def tune(self, *more, out="tuned.safetensors", model=None, force=True):
        words = ["--out", self.path(out)] if out else []
        text = run("tune", model or self.model, "--data", self.data, "--json", *words, *(["--force"] if force else []), *more)[0]
        return json.loads(text)


def calibration(path):
    return json.loads(metadata(path)["autodidact.calibration"])


def tensors(path):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        return {k: v for k, v in header.items() if k != "__metadata__"}, f.read()


def near(a, b, tolerance=1e-6):
    assert abs(a - b) <= tolerance * max(1, abs(b)), (a, b)


def test_levels(p):
    said = p.tune("--max-loss", "0,0.02,0.1,1")
    risk = calibration(p.path("tuned.safetensors"))["risk"]
    assert risk["images"] == said["images"] == 600 and risk["sure"] == said["sure"] == 0.95
    assert [x["max_loss"] for x in risk["levels"]] == [0, 0.02, 0.1, 1]
    for a, b in zip(risk["levels"], said["levels"]):
        for k in a:
            near(a[k], b[k])
    assert risk["levels"][0]["confidence"] == 2  # nobody stops early
    assert risk["levels"][3]["confidence"] == 0  # the first exit always does
    top1 = [x["top1"] for x in risk["levels"]]
    assert all(top1[0] - t <= x["max_loss"] for t, x in zip(top1, risk["levels"])), risk
    assert calibration(p.path("tuned.safetensors"))["thresholds"] == calibration(p.model)["thresholds"]
    # eval judges the same rule, on any images.
    policy = json.loads(run("eval", p.path("tuned.safetensors"), "--data", p.data, "--split", "holdout", "--policy", "--json")[0])["policy"]
    for a, b in zip(policy["levels"], risk["levels"]):
        near(a["max_loss"], b["max_loss"]), near(a["top1"], b["top1"]), near(a["macs"], b["macs"])
    looser = p.tune("--max-loss", "0.02", "--sure", "0.6")["levels"][0]
    assert looser["confidence"] <= risk["levels"][1]["confidence"]


def test_thresholds(p):
    all_deepest = run("describe", p.model, "--json")[0]
    said = p.tune()
    tuned = calibration(p.path("tuned.safetensors"))
    for a, b in zip(tuned["thresholds"], said["thresholds"]):
        near(a, b)
    assert tuned["thresholds"][-1] == 0
    policy = json.loads(run("eval", p.path("tuned.safetensors"), "--data", p.data, "--split", "holdout", "--policy", "--json")[0])["policy"]
    near(policy["thresholds"]["top1"], said["top1"])
    near(policy["thresholds"]["macs"], said["macs"])
    first = json.loads(run("eval", p.model, "--data", p.data, "--split", "holdout", "--policy", "--json")[0])["policy"]["thresholds"]
    assert said["macs"] <= first["macs"] + 1e-6  # no dearer than what a training writes, for the same loss
    d = json.loads(all_deepest)
    deepest = sum(s["macs"] for s in d["sections"]) + d["exits"][-1]["macs"]
    for rule in ("search", "budget"):
        before = 0
        for share in (0.5, 0.7, 0.9):
            got = p.tune("--target-cost", str(share), "--rule", rule)
            assert got["macs"] <= share * deepest and got["levels"] == [], got
            assert rule == "budget" or got["top1"] >= before
            before = got["top1"]


def test_rest_is_the_same(p):
    p.tune("--curve", p.path("c.csv"), "--picture", p.path("c.svg"))
    assert tensors(p.path("tuned.safetensors")) == tensors(p.model)
    a, b = metadata(p.model), metadata(p.path("tuned.safetensors"))
    assert {k for k in b if a.get(k) != b[k]} == {"autodidact.calibration"} and set(a) == set(b)
    first = digest(p.path("tuned.safetensors"))
    p.tune("--threads", "1")
    assert digest(p.path("tuned.safetensors")) == first
    with open(p.path("c.csv")) as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 1010 and float(rows[0]["loss"]) == 0 and float(rows[-1]["confidence"]) == 0
    for row in rows:
        assert float(row["loss"]) <= float(row["loss_bound"])
    bounds = {float(r["confidence"]): float(r["loss_bound"]) for r in rows}
    for level in calibration(p.path("tuned.safetensors"))["risk"]["levels"]:
        assert level["confidence"] == 2 or bounds[level["confidence"]] <= level["max_loss"] + 2e-6
    svg = ElementTree.parse(p.path("c.svg")).getroot()
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"


def test_in_place(p):
    p.tune(out="own.safetensors")
    before = digest(p.path("own.safetensors"))
    args = ["tune", p.path("own.safetensors"), "--data", p.data]
    fails(*args, code=2, text="--out is missing")
    fails(*args, "--out", p.path("own.safetensors"), text="--force overwrites it")
    fails(*args, "--out", p.path("new.safetensors"), "--curve", p.path("own.safetensors"), code=2, text="--curve")
    assert digest(p.path("own.safetensors")) == before and not os.path.exists(p.path("new.safetensors"))
    p.tune("--max-loss", "0.3", out=None, model=p.path("own.safetensors"))
    assert [x["max_loss"] for x in calibration(p.path("own.safetensors"))["risk"]["levels"]] == [0.3]


def test_uncalibrated(p):
    """A confidence means nothing without temperatures: they are fitted first."""
    rewrite_metadata(p.model, p.path("bare.safetensors"), lambda m: m.pop("autodidact.calibration"))
    p.tune(model=p.path("bare.safetensors"))
    got, wanted = calibration(p.path("tuned.safetensors")), calibration(p.model)
    for a, b in zip(got["exits"], wanted["exits"]):
        near(a["temperature"], b["temperature"], 1e-4)


def test_usage(p):
    args = ["tune", p.model, "--data", p.data, "--out", p.path("x.safetensors")]
    for given in ("2", "0.02,0.01", "a", "0.1,", "", "-1", "nan", ",".join(str(i / 100) for i in range(17))):
        fails(*args, "--max-loss", given, code=2, text="--max-loss")
    for given in ("1", "0.4", "nan"):
        fails(*args, "--sure", given, code=2, text="--sure")
    fails(*args, "--target-cost", "0", code=2, text="--target-cost")
    fails(*args, "--target-cost", "0.01", text="the cheapest thresholds cost 0.")
    fails(*args, "--rule", "budget", code=2, text="--target-cost")
    fails(*args, "--rule", "x", code=2, text="it takes search or budget")
    fails("tune", p.model, code=2, text="--data is missing")
    assert not os.path.exists(p.path("x.safetensors"))
    text = run(*args)[0]
    assert "max-loss" in text and "exit 4" in text, text


sys.exit(main(globals(), Place))
