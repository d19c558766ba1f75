#!/usr/bin/env python3
"""`train --dump-step`: what a step did is what PyTorch in float64 does with the same batch and weights, and the training
is the same with and without. Prints TAP. Standard library only; the comparison needs a Python with PyTorch (Debian's
python3-torch)."""
import json, os, struct, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import digest, fails, run
from trainings import main

ORACLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "step_oracle.py")
PYTHON = "/usr/bin/python3"
HAS_TORCH = subprocess.run([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0


def needs_torch(test):
    if HAS_TORCH:
        return test

    def skipped(p):
        print(f"# {test.__name__}: {PYTHON} has no PyTorch", flush=True)
    return skipped


def look(p, args, teacher, resumes):
    """Trains a step, the second one with resumes -> what is compared, and how far apart it is."""
    dump = p.path("step.safetensors")
    if resumes:
        run("train", *args, "--limit-steps", "1", "--keep-checkpoint")
        args = args + ["--resume"]
    run("train", *args, "--limit-steps", "2" if resumes else "1", "--dump-step", dump)
    said = subprocess.run([PYTHON, ORACLE, dump] + ([teacher] if teacher else []), stdout=subprocess.PIPE, check=True)
    found = json.loads(said.stdout)
    assert found.pop("step") == (2 if resumes else 1)
    return found


def check(p, *args, teacher=None, resumes=False, **more):
    """Holds a step against PyTorch. A ReLU whose input is nearly 0 may be on in float64 and off in float32, which changes a
    gradient by more than rounding does and says nothing about either: a seed without any is taken."""
    for seed in range(20):
        o = p.options(p.path("dumped.safetensors"), algorithm="rule", **{"width": 2, "batch": 8, "holdout": 20} | more)
        o += ["--seed", str(seed), "--force", *args] + (["--teacher", teacher] if teacher else [])
        found = look(p, o, teacher, resumes)
        if found.pop("closest") > 2e-6:
            for name, far in found.items():
                assert far <= (0 if name == "still" else 1e-4), (o, name, found)
            return found
    raise AssertionError("a ReLU of every seed has an input that is nearly 0")


@needs_torch
def test_byot(p):
    check(p)


@needs_torch
def test_dsn(p):
    found = check(p, "--nesterov", "on", "--label-smoothing", "0.1", "--cutmix", "1", "--cutmix-prob", "1",
                  "--class-weights", "3=2.5", method="dsn", resumes=True)
    assert {"logits.1", "logits.4"} <= set(found)


@needs_torch
def test_kd(p):
    assert "source" in check(p, teacher=p.model("baseline"), method="kd")


@needs_torch
def test_dml(p):
    check(p, method="dml", resumes=True)


@needs_torch
def test_adamw(p):
    found = check(p, "--optimizer", "adamw", "--ema", "0.9", "--clip", "0.5", "--accumulate", "2", "--decay-on", "weights",
                  "--mixup", "0.4", resumes=True, lr=0.001)
    assert {"average", "moment.exp_avg", "moment.exp_avg_sq"} <= set(found)


def test_file(p):
    """It is written once, changes nothing, and says which step of which training it is."""
    out, dump = p.path("same.safetensors"), p.path("same.step")
    run("train", *p.options(out, epochs=1, algorithm="rule"), "--dump-step", dump)
    with_dump = digest(out)
    run("train", *p.options(out, epochs=1, algorithm="rule"), "--force")
    assert digest(out) == with_dump
    with open(dump, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
    meta = header.pop("__metadata__")
    assert (meta["autodidact.dump"], meta["step"], meta["epoch"], float(meta["lr"])) == ("1", "1", "1", 0.05)
    assert meta["option.method"] == "byot" and meta["option.batch"] == "20"
    assert header["input"]["shape"] == [20, 3, 32, 32] and header["targets"]["shape"] == [20, 100]
    assert header["logits.1"]["shape"] == [20, 100] and header["loss.labels"]["shape"] == [4] and "source" not in header
    for name in ("before.model.conv1.weight", "after.model.bn1.running_var", "gradient.conv1.weight",
                 "before.momentum.fc.bias", "after.momentum.fc.bias"):
        assert name in header, name
    fails("train", *p.options(out), "--force", "--dump-step", out, code=2, text=f"--dump-step {out}: it is --out")
    fails("train", *p.options(out), "--force", "--dump-step", p.path("no/x"), text="--dump-step")
    # It overwrites nothing, is no other file of the training, and a training that has ended has no step.
    fails("train", *p.options(p.path("new.safetensors")), "--dump-step", out, text="--force overwrites it")
    assert digest(out) == with_dump
    peer = p.path("peer.safetensors")
    fails("train", *p.options(p.path("new.safetensors"), method="dml"), "--peer-out", peer, "--dump-step", peer, code=2,
          text=f"--dump-step {peer}: it is the file of the peer")
    ended = p.options(p.path("ended.safetensors"), epochs=1, limit_steps=2) + ["--force", "--keep-checkpoint"]
    run("train", *ended)
    fails("train", *ended, "--resume", "--dump-step", peer, text="the checkpoint stands behind the last step, 2")
    assert not os.path.exists(peer)
    if os.path.exists("/dev/full"):
        fails("train", *p.options(out), "--force", "--dump-step", "/dev/full", text="--dump-step /dev/full")


if __name__ == "__main__":
    sys.exit(main(globals()))
