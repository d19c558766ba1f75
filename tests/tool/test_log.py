#!/usr/bin/env python3
"""`train --log`: table and curves say what the events say and never change the model; killed and resumed, every epoch is
there once; a second run, a changed file, a directory that cannot be written and a full disk. Prints TAP. Standard library
only."""
import csv, glob, io, math, os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import event_file
from program import PROGRAM, digest, fails, lines, many_minutes_on_reference, run
from trainings import main, position

CLOCK = {"seconds", "img_per_s"}  # what is never the same twice


def table(folder, name):
    with open(os.path.join(folder, name + ".csv"), newline="") as f:
        text = f.read()
    assert text.endswith("\n")
    return list(csv.DictReader(io.StringIO(text)))


def events(folder, name):
    path, = glob.glob(os.path.join(folder, name, "events.out.tfevents.*"))
    return event_file.read(path)


def timeless(row):
    return {k: v for k, v in row.items() if k not in CLOCK}


def curves(folder, name):
    return {k: v for k, v in events(folder, name)["scalars"].items() if k[0] not in CLOCK}


def arguments(p, out, folder, **more):
    return p.options(out, epochs=3, checkpoint_steps=7, algorithm="rule", log=folder, **more)


def whole(p):
    """The log of a training that nobody disturbs, and what it printed."""
    if "log" not in p.models:
        out, folder = p.path("m.safetensors"), p.path("logs")
        p.models["log"] = lines(run("train", *arguments(p, out, folder), "--progress", "json")[0]), folder, digest(out)
    return p.models["log"]


def near(text, value):
    return math.isclose(float(text), value, rel_tol=1e-9, abs_tol=1e-12)


def test_says_what_the_events_say(p):
    printed, folder, model = whole(p)
    epochs, rows = [e for e in printed if e["event"] == "epoch"], table(folder, "m")
    assert sorted(os.listdir(folder)) == ["m", "m.csv"] and len(rows) == len(epochs) == 3
    for row, e in zip(rows, epochs):
        assert (int(row["epoch"]), int(row["step"])) == (e["epoch"], e["step"]) and float(row["seconds"]) > 0
        wanted = {"lr": e["lr"], "loss/total": e["loss"], "img_per_s": e["img_per_s"], "loss/maps": e["train"]["maps"]}
        for x in e["train"]["exits"]:
            name = "exit_" + x["name"]
            wanted |= {f"loss/{name}/{term}": x[term] for term in ("labels", "answers", "hint")}
            wanted["training_accuracy/" + name] = x["top1"]
        for x in e["exits"] + [{"name": "ensemble"} | e["ensemble"]]:
            name = x["name"] if x["name"] == "ensemble" else "exit_" + x["name"]
            wanted |= {f"accuracy/{name}": x["top1"], f"balanced_accuracy/{name}": x["balanced"], f"nll/{name}": x["nll"],
                       f"ece/{name}": x["ece"]}
        assert set(row) == set(wanted) | {"epoch", "step", "seconds"}
        for name, value in wanted.items():
            assert near(row[name], value), (name, row[name], value)
        total = sum(float(v) for k, v in row.items() if k.startswith("loss/") and k != "loss/total")
        assert math.isclose(total, e["loss"], rel_tol=1e-6), (total, e["loss"])
    assert 0 < float(rows[-1]["balanced_accuracy/exit_4"]) <= 1
    # Without the log the model is the same.
    out = p.path("plain.safetensors")
    run("train", *p.options(out, epochs=3, algorithm="rule"))
    assert digest(out) == model


def test_curves(p):
    _, folder, _ = whole(p)
    seen, rows = events(folder, "m"), table(folder, "m")
    left = dict(seen["scalars"])
    for row in rows:
        step = int(row["step"])
        for name, text in row.items():
            if name == "step" or (name.startswith("loss/") and float(text) == 0):
                continue
            value = left.pop((name, step))
            assert math.isclose(value, float(text), rel_tol=1e-6), (name, step, value, text)
    # Within epochs, every 50 steps; the first one's loss is that of guessing, and nothing else is left.
    assert set(left) == {(name, step) for name in ("step/loss", "step/lr") for step in (50, 100, 150)}
    assert left["step/lr", 50] > left["step/lr", 150] > 0
    assert seen["times"] == sorted(seen["times"])
    text = seen["texts"]["configuration"]
    assert "| lr | 0.05 |" in text and "| method | byot |" in text and "| held-out images | 200 |" in text
    h = seen["hparams"]
    assert (h["lr"], h["batch"], h["method"], h["network"], h["width"]) == (0.05, 20, "byot", "resnet18", 4), h


def test_few_classifiers(p):
    """Exits that do not learn are in no column; without held-out images there are no figures of them."""
    out, folder = p.path("base.safetensors"), p.path("few")
    run("train", *p.options(out, method="baseline", epochs=1, holdout=0, log=folder))
    row, = table(folder, "base")
    assert list(row) == ["epoch", "step", "seconds", "img_per_s", "lr", "loss/total", "loss/exit_4/labels",
                         "loss/exit_4/answers", "loss/exit_4/hint", "loss/maps", "training_accuracy/exit_4"]
    # Looked at after every second epoch: no number in between, and no point.
    run("train", *p.options(out, method="baseline", epochs=3, eval_every=2, log=folder), "--force")
    rows = table(folder, "base-2")
    assert [r["accuracy/exit_4"] != "" for r in rows] == [False, True, True]
    assert [s for t, s in events(folder, "base-2")["scalars"] if t == "accuracy/ensemble"] == [100, 150]
    run("train", *p.options(p.path("base.x.safetensors"), method="baseline", epochs=1, log=folder))
    assert sorted(os.listdir(folder)) == ["base", "base-2", "base-2.csv", "base.csv", "base.x", "base.x.csv"]
    assert len(table(folder, "base")) == 1


def start(args, **more):
    return subprocess.Popen([PROGRAM, "train", *args, "--progress", "json"], stdout=subprocess.PIPE, text=True, **more)


def kill_behind(child, out, step):
    """SIGKILL, once the checkpoint and the log are behind that step."""
    while position(out + ".ckpt") < step:
        assert child.poll() is None, "it has ended already"
    child.kill()
    child.communicate()


@many_minutes_on_reference
def test_killed_and_resumed(p):
    _, whole_folder, model = whole(p)
    out, folder = p.path("m.safetensors"), p.path("killed")
    os.unlink(out)
    for step in (10, 40, 75):
        args = arguments(p, out, folder)
        kill_behind(start(args if step == 10 else args + ["--resume"]), out, step)
        # What it wrote and no checkpoint knows of is cut off.
        with open(os.path.join(folder, "m.csv"), "a") as f:
            f.write("99,half a row")
        path, = glob.glob(os.path.join(folder, "m", "*"))
        with open(path, "ab") as f:
            f.write(b"half a record")
    moved = p.path("moved")
    os.rename(folder, moved)
    run("train", *arguments(p, out, moved), "--resume")
    assert digest(out) == model and sorted(os.listdir(moved)) == ["m", "m.csv"]
    assert [timeless(r) for r in table(moved, "m")] == [timeless(r) for r in table(whole_folder, "m")]
    assert curves(moved, "m") == curves(whole_folder, "m")


@many_minutes_on_reference
def test_changed(p):
    """What somebody has changed or taken away is left alone; a new run begins, and the training goes on."""
    out, folder = p.path("changed.safetensors"), p.path("changed")
    args, limit = arguments(p, out, folder) + ["--keep-checkpoint"], "--limit-steps"
    run("train", *args, limit, "60")
    with open(os.path.join(folder, "changed.csv"), "r+") as f:
        f.write("E")
    with open(os.path.join(folder, "changed.csv"), "rb") as f:
        before = f.read()
    warning = run("train", *args, limit, "110", "--resume")[1]
    assert "the log begins anew: " in warning and "changed.csv has been changed" in warning, warning
    with open(os.path.join(folder, "changed.csv"), "rb") as f:
        assert f.read() == before
    assert [r["step"] for r in table(folder, "changed-2")] == ["100", "110"]
    shutil.rmtree(folder)
    warning = run("train", *args, limit, "120", "--resume")[1]
    assert "the log begins anew: " in warning and "changed-2.csv: No such file or directory" in warning, warning
    # Without --log there is a gap, and then it goes on where it was.
    at = args.index("--log")
    run("train", *args[:at], *args[at + 2:], limit, "130", "--resume")
    assert run("train", *args, limit, "140", "--resume")[1].count("warning") == 0
    assert [r["step"] for r in table(folder, "changed")] == ["120", "140"]


def test_beside_the_model(p):
    """A model without an ending, or one of a peer, is never where the run's directory is."""
    folder = p.path("beside")
    os.mkdir(folder)
    out, peer, dump = (os.path.join(folder, name) for name in ("run", "run-2", "run-3.csv"))
    run("train", *p.options(out, method="dml", epochs=1, log=folder, limit_steps=3), "--peer-out", peer, "--dump-step", dump)
    assert all(os.path.isfile(path) for path in (out, peer, dump))
    assert sorted(os.listdir(folder)) == ["run", "run-2", "run-3.csv", "run-4", "run-4.csv"], os.listdir(folder)
    assert len(table(folder, "run-4")) == 1


def test_refused(p):
    out, taken = p.path("refused.safetensors"), p.path("taken")
    with open(taken, "w"):
        pass
    fails("train", *p.options(out, log=taken), text=f"--log {taken}: Not a directory")
    fails("train", *p.options(out, log=p.path("no/where")), text="No such file or directory")
    if os.geteuid() != 0:
        os.mkdir(p.path("closed"), 0o500)
        fails("train", *p.options(out, log=p.path("closed")), text="cannot write there: Permission denied")
    elif os.path.isdir("/proc/self"):
        fails("train", *p.options(out, log="/proc/self"), text="--log /proc/self: cannot write there: ")
    assert not os.path.exists(out) and not os.path.exists(out + ".ckpt")


@many_minutes_on_reference
def test_full_disk(p):
    """One warning that names the file; the training goes on, and what is missing is written once there is room."""
    folder, whole_folder, out = tempfile.mkdtemp(dir=p.folder), p.path("roomy"), p.path("m.safetensors")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
                                           stderr=subprocess.DEVNULL).returncode != 0:
        print("# only root can mount a file system", flush=True)
        return
    filler = os.path.join(folder, "filler")
    many = {"limit_images": 200, "epochs": 6, "algorithm": "rule"}  # of short epochs
    try:
        p.train(out, log=whole_folder, **many)
        model = digest(out)
        for clears in (True, False):
            child = start(p.options(out, log=folder, **many) + ["--force"], stderr=subprocess.PIPE)
            for line in child.stdout:
                if '"start"' in line:
                    with open(filler, "wb", buffering=0) as f:
                        try:
                            while True:
                                f.write(b"x" * 4096)
                        except OSError:
                            pass
                if clears and '"epoch": 5,' in line and '"event": "epoch"' in line:
                    os.unlink(filler)
            err = child.communicate()[1]
            assert child.returncode == 0 and digest(out) == model, err
            name = "m" if clears else "m-2"
            assert err.count("warning: the log: ") == 1 and "No space left on device; the training goes on" in err, err
            assert f"{folder}/{name}" in err, err
            rows, wanted = table(folder, name), table(whole_folder, "m")
            assert [timeless(r) for r in rows] == [timeless(r) for r in (wanted if clears else wanted[:len(rows)])]
            if clears:
                assert curves(folder, name) == curves(whole_folder, "m")
            else:
                seen, all_of = curves(folder, name), curves(whole_folder, "m")  # whole records
                assert len(seen) < len(all_of) and all(all_of[k] == v for k, v in seen.items())
    finally:
        subprocess.run(["umount", "-l", folder])


if __name__ == "__main__":
    sys.exit(main(globals()))
