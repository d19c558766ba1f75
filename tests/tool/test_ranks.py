"""Trainings of two ranks on this machine: the gradients of one, what a kill leaves, what is refused. Prints TAP. Standard
library only."""
import json, math, os, signal, struct, sys
from array import array

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import mpi
from program import digest, many_minutes_on_reference, metadata, run
from trainings import main


def tensors(path, prefix):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), f.read()
    return {k: array("f", data[slice(*v["data_offsets"])]) for k, v in header.items()
            if k.startswith(prefix) and k != "__metadata__"}


def distance(a, b):
    """Of two sets of tensors, relative to the first one's length."""
    assert a and a.keys() == b.keys()
    square = sum((x - y) ** 2 for k in a for x, y in zip(a[k], b[k]))
    return math.sqrt(square / sum(x * x for k in a for x in a[k]))


def first_gradients(p, ranks, name, *flags, **more):
    """After one step from nothing SGD's momentum is the gradient."""
    out = p.path(name + ".safetensors")
    args = p.options(out, **{"weight_decay": 0, "threads": 1, "epochs": 1, "limit_steps": 1, "algorithm": "rule", **more})
    flags = ["--keep-checkpoint", "--force", *flags]
    if os.path.exists(out + ".ckpt"):
        os.unlink(out + ".ckpt")
    if ranks == 1:
        run("train", *args, *flags)
    else:
        mpi.train(ranks, *args, *flags)
    return tensors(out + ".ckpt", "momentum."), tensors(out + ".ckpt", "model.")


def test_first_step(p):
    """With --sync-bn the gradients of two ranks are those of one on the same batch; without, they are not."""
    one, after_one = first_gradients(p, 1, "one")
    two, after_two = first_gradients(p, 2, "two", sync_bn="on")
    assert distance(one, two) < 1e-3, distance(one, two)
    assert distance(after_one, after_two) < 1e-5, distance(after_one, after_two)
    own, _ = first_gradients(p, 2, "own")
    assert distance(one, own) > 0.01, distance(one, own)


def apart(p, method, **more):
    """How far the gradients of two ranks are from those of one on the same batch. Now and then a number lies so near to the
    edge of its ReLU that the order of sums decides on which side; so some orders of one rank are tried, those of its lanes."""
    two, _ = first_gradients(p, 2, "two", method=method, sync_bn="on", **more)
    least = math.inf
    for lanes in (1, 2, 3, 7):
        one, _ = first_gradients(p, 1, "one", method=method, **{"threads": lanes, **more})
        least = min(least, distance(one, two))
        if least < 1e-4:
            break
    return least


@many_minutes_on_reference
def test_whole_recipe(p):
    """The same of what looks at a whole batch: pairs that are mixed, a hint that is a sum, clipping, weights of classes,
    a teacher with a regressor, a peer, a gradient that is divided by the exits it comes from; and of what has a pass of its
    own: a teacher's maps, a trunk that is frozen, parts of a batch, images of a folder."""
    hint = {"hint": "sum", "lambda": "5e-5", "clip": 1, "class_weights": "inverse", "exit_rescale": "on"}
    baseline = p.model("baseline")
    cases = [("byot", {"mixup": 0.3, **hint}), ("byot", {"cutmix": 1, "cutmix_prob": 1, "accumulate": 2}), ("dml", {}),
             ("fitnet", {"teacher": baseline, "warmup": None}), ("at", {"teacher": baseline}),
             ("dsn", {"init": baseline, "freeze": "trunk"}), ("baseline", {"data": "folder:" + p.photographs(), "holdout": 0, "batch": 8})]
    for method, more in cases:
        assert apart(p, method, **more) < 1e-4, (method, more)


@many_minutes_on_reference
def test_answers(p):
    """Every rank has the answers of all images, those of others told by them (--ps-kd); the rate is so small that nothing
    else differs."""
    more = {"method": "baseline", "ps_kd": 0.8, "epochs": 2, "limit_steps": 52, "lr": 1e-9}
    for ranks, name in ((1, "one"), (2, "two")):
        first_gradients(p, ranks, name, **more, **({"sync_bn": "on"} if ranks == 2 else {}))
    one, two = (tensors(p.path(name + ".safetensors.ckpt"), "state.answers") for name in ("one", "two"))
    assert len(one["state.answers"]) >= 1000 * 100 and distance(one, two) < 1e-3, distance(one, two)


def test_ends(p):
    """All ranks end together where only the first one knows why: the best epoch, an early end; in bfloat16 as well."""
    out = p.path("best.safetensors")
    mpi.train(2, *p.options(out, method="baseline", epochs=3, keep="best", patience=1, precision="bf16", threads=1, lr=1e-9))
    training = json.loads(metadata(out)["autodidact.training"])
    assert (training["keep"], training["ranks"], training["precision"]) == ("best", 2, "bf16"), training
    assert not os.path.exists(out + ".ckpt")


def start(p, out, *flags, **more):
    return mpi.start(2, *p.options(out, threads=1, algorithm="rule", **more), *flags)


@many_minutes_on_reference
def test_killed(p):
    """A rank that is killed ends the job with an error, and one that is gone on with ends in the same bytes; whatever
    state there is (averages, answers of the epoch before, statistics of norms)."""
    more = {"epochs": 3, "ema": 0.9, "ema_images": 40, "ps_kd": 0.5, "checkpoint_steps": 7, "method": "baseline"}
    whole, out = p.path("whole.safetensors"), p.path("killed.safetensors")
    child = start(p, whole, **more)
    err = child.communicate()[1]
    assert child.returncode == 0, err
    assert json.loads(metadata(whole)["autodidact.training"])["ranks"] == 2
    for rank, step in ((1, 14), (0, 70)):
        child = start(p, out, "--resume", **more)
        mpi.wait_for_step(child, out, step)
        os.kill(mpi.ranks_of(out)[rank], signal.SIGKILL)
        err = child.communicate(timeout=60)[1]
        assert child.returncode != 0 and "signal 9" in err, err
        if rank == 1:
            assert f"go on from the last checkpoint, {out}.ckpt, by the same command with --resume" in err, err
        assert not mpi.ranks_of(out) and not os.path.exists(out)
    err = mpi.train(2, *p.options(out, threads=1, algorithm="rule", **more), "--resume")
    assert digest(out) == digest(whole)


def test_stopped(p):
    """SIGTERM to one rank stops all after the step, with a checkpoint; one rank cannot go on with it."""
    out = p.path("stopped.safetensors")
    child = start(p, out, epochs=50, checkpoint_steps=1)
    mpi.wait_for_step(child, out, 2)
    os.kill(mpi.ranks_of(out)[1], signal.SIGTERM)
    err = child.communicate(timeout=60)[1]
    assert child.returncode == 1 and "stopped at step" in err and "go on with --resume" in err, err
    args = p.options(out, threads=1, epochs=50, algorithm="rule")
    _, err = run("train", *args, "--resume", code=1)
    assert "it was made with --ranks 2, not 1" in err, err


def test_refused(p):
    """One line, of the first rank, that says what is wrong."""
    out = p.path("refused.safetensors")
    folder = p.path("other")
    cases = [(1, ["--ranks", "3"], {}, "--ranks 3: there are others: mpirun -np 3 starts as many"),
             (1, [], {"batch": 21}, "--batch 21: 2 ranks with --accumulate 1 cannot share it in equal parts"),
             (1, [], {"batch": 20, "accumulate": 10}, "2 ranks with --accumulate 10 cannot share it"),
             (1, ["--hint", "norm"], {}, "--hint norm: it is the root of a sum over a whole batch"),
             (2, ["--epochs", "none"], {}, "--epochs none"),
             (1, [], {"data": "cifar100:" + folder}, folder)]
    for code, flags, more, text in cases:
        err = mpi.train(2, *p.options(out, **more), *flags, code=code)
        said = [l for l in err.splitlines() if l.startswith("autodidact train: ")]
        assert len(said) == 1 and text in said[0], err
    _, err = run("train", *p.options(out), "--ranks", "2", code=1)
    assert "--ranks 2: there is one: mpirun -np 2 starts as many" in err, err


if __name__ == "__main__":
    if mpi.missing():
        print(f"1..0 # SKIP {mpi.missing()}")
        sys.exit(0)
    sys.exit(main(globals()))
