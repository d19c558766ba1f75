"""`autodidact study`: the table is computed again from the models' figures; killed and resumed it ends in the same
bytes; a study that was changed trains what is new. Prints TAP. Standard library only."""
import csv, json, math, os, signal, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import PROGRAM, TOP, digest, fails, run
from tiny_cifar import write_set
from trainings import main

STUDY = {"data": "cifar100:data", "networks": ["resnet18.json"], "widths": [4], "seeds": [0, 1],
         "methods": ["baseline", {"name": "byot-half", "method": "byot", "temperature": 2}],
         "options": {"epochs": 1, "batch": 20, "holdout": 200, "warmup": 0, "lr": 0.05}}


class Place:
    def __init__(self, folder):
        self.folder = folder
        write_set(self.path("data"), train=600)
        with open(os.path.join(TOP, "models", "resnet18.json")) as f:
            spec = f.read()
        with open(self.path("resnet18.json"), "w") as f:
            f.write(spec)

    def path(self, name):
        return os.path.join(self.folder, name)

    def study(self, name, **change):
        with open(self.path(name), "w") as f:
            json.dump({k: v for k, v in {**STUDY, **change}.items() if v is not None}, f)
        return self.path(name)

    def models(self, folder):
        return {f: digest(self.path(f"{folder}/{f}")) for f in sorted(os.listdir(self.path(folder)))
                if f.endswith(".safetensors")}


def test_table(p):
    out, err = run("study", p.study("s.json"), "--threads", "1")
    assert "[4/4] resnet18-w4-byot-half-s1-" in err
    assert "over the baseline" in out and "byot-half" in out and "78.64" in out and "77.09" in out
    names = p.models("s")
    assert len(names) == 4
    top1 = {}
    for name in names:
        f = json.loads(run("eval", p.path("s/" + name), "--data", "cifar100:" + p.path("data"), "--split", "test",
                           "--json")[0])
        top1.setdefault("baseline" if "baseline" in name else "byot-half", []).append(
            [x.get("top1") for x in f["exits"]] + [f["ensemble"]["top1"]])
        assert os.path.exists(p.path("s/" + name.replace("safetensors", "jsonl")))
    with open(p.path("s/study.json")) as f:
        rows = json.load(f)["rows"]
    assert [r["method"] for r in rows] == ["baseline", "byot-half"]
    for row in rows:
        assert (row["network"], row["width"], row["seeds"]) == ("resnet18", 4, 2)
        for c, cell in enumerate(row["classifiers"]):
            values = [v[c] for v in top1[row["method"]]]
            if row["method"] == "baseline" and c != 3:
                assert cell["seeds"] == 0 and cell["mean"] is None
                continue
            mean = sum(values) / 2
            assert cell["seeds"] == 2 and abs(cell["mean"] - mean) < 1e-9
            assert abs(cell["deviation"] - math.sqrt(sum((v - mean) ** 2 for v in values))) < 1e-9
    assert rows[1]["classifiers"][3]["paper"] == 0.7864 and rows[0]["classifiers"][3]["paper"] == 0.7709
    gain = sum(v[3] for v in top1["byot-half"]) / 2 - sum(v[3] for v in top1["baseline"]) / 2
    assert abs(rows[1]["deepest_over_baseline"] - gain) < 1e-9
    with open(p.path("s/study.csv")) as f:
        table = {(r["method"], r["classifier"]): r for r in csv.DictReader(f)}
    assert abs(float(table["byot-half", "deepest"]["mean"]) - rows[1]["classifiers"][3]["mean"]) < 1e-7
    assert "| resnet18 | 4 | byot-half | 2 |" in open(p.path("s/study.md")).read()
    # Again: nothing is trained, the same table.
    again, err = run("study", p.path("s.json"), "--threads", "1")
    assert (again, err) == (out, "") and p.models("s") == names
    assert json.loads(run("study", p.path("s.json"), "--json")[0])["rows"] == rows


def test_killed(p):
    """SIGTERM and SIGKILL at any time: what stands in the end is what an uninterrupted study made."""
    wanted = p.models("s")
    assert len(wanted) == 4
    path = p.study("k.json")
    for signal_number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        child = subprocess.Popen([PROGRAM, "study", path, "--threads", "1"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        child.stderr.readline()
        time.sleep(0.3)
        if child.poll() is None:
            child.send_signal(signal_number)
        error = child.stderr.read()
        assert child.wait() != 0 or len(p.models("k")) == 4, error
        if signal_number != signal.SIGKILL and child.returncode == 1:
            assert "the same command goes on from here" in error, error
        time.sleep(1)  # a child that lost its parent writes its checkpoint
    run("study", path, "--threads", "1")
    assert p.models("k") == wanted


def test_changed(p):
    """What a changed study has in common with the old one is not trained again."""
    before = p.models("s")
    path = p.study("s.json", seeds=[0, 1, 7], options={**STUDY["options"], "lr": 0.05})
    listed = run("study", path, "--dry-run")[0].splitlines()
    assert [l.split()[0] for l in listed].count("done") == 4 and len(listed) == 6, listed
    p.study("s.json", options={**STUDY["options"], "lr": 0.04})
    listed = run("study", path, "--dry-run")[0].splitlines()
    assert [l.split()[0] for l in listed] == ["to"] * 4, listed
    assert p.models("s") == before


def test_failed(p):
    """A training that fails does not keep the others from being done."""
    path = p.study("f.json", seeds=[0], methods=["dsn", {"name": "wild", "method": "dsn", "lr": 1e9}])
    out, err = run("study", path, "--threads", "1", code=1)
    assert "1 of 2 trainings failed" in err and "wild" in err and "dsn" in out


def test_bad_files(p):
    table = [
        ({"data": None}, "data"), ({"data": "data"}, "data: takes cifar100:DIR"), ({"methods": None}, "methods"),
        ({"methods": ["magic"]}, "methods[0]: there is no method"), ({"methods": []}, "methods"),
        ({"methods": ["dsn", "dsn"]}, "methods[1]: two methods are called dsn"),
        ({"methods": [{"method": "dsn", "name": "a b"}]}, "methods[0].name"),
        ({"methods": ["kd"]}, "methods[0]: --method kd"),
        ({"options": {"epochz": 1}}, "options.epochz: no option of training has this name"),
        ({"options": {"peer_out": "x"}}, "options.peer_out: belongs to a single training"),
        ({"options": {"seed": 1}}, "options.seed: is said by the study"),
        ({"options": {"epochs": 0}}, "--epochs 0: it takes"), ({"options": {"epochs": []}}, "options.epochs: must be"),
        ({"widths": [0]}, "widths[0]"), ({"seeds": [-1]}, "seeds[0]"), ({"split": "train"}, "split"),
        ({"more": 1}, "more"), ({"networks": ["none.json"]}, "none.json"),
    ]
    for change, text in table:
        path = p.study("bad.json", **change)
        err = fails("study", path, "--dry-run", text=text)
        assert path in err or "none.json" in err, err
    fails("study", p.path("no.json"), text="no.json")
    fails("study", code=2, text="an argument is missing")


sys.exit(main(globals(), Place))
