"""What guards a training and what steers it: one writer at a time, nothing overwritten by accident, progress that nobody
reads any more, recipes that can hardly be meant. Prints TAP. Standard library only."""
import json, os, signal, struct, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import PROGRAM, SPEC, digest, fails, lines, many_minutes_on_reference, metadata, run
from trainings import main, position


def start(*args, **more):
    return subprocess.Popen([PROGRAM, "train", *args], **more)


def wait_for_step(child, out, step):
    while position(out + ".ckpt") < step and child.poll() is None:
        time.sleep(0.001)
    assert child.poll() is None, "it ended before that step"


def test_warnings(p):
    """A recipe that can hardly be meant has a line on stderr and stands in the event start."""
    out = p.path("warned.safetensors")
    text, err = p.train(out, "--progress", "json", method="baseline", epochs=1, warmup=2, schedule="steps:1")
    wanted = ["--warmup 2: the whole training is warm-up, since --epochs is 1",
              "--schedule: the step at epoch 1 comes never, since --epochs is 1"]
    assert err.splitlines() == ["autodidact train: warning: " + w for w in wanted], err
    assert lines(text)[0]["event"] == "start" and lines(text)[0]["warnings"] == wanted
    text, err = p.train(out, "--progress", "json", method="baseline", epochs=1)
    assert err == "" and lines(text)[0]["warnings"] == []


def test_finished(p):
    """A model that is there is overwritten with --force only."""
    out, other = p.path("finished.safetensors"), p.path("finished.2.safetensors")
    args = p.options(out, method="baseline", epochs=1)
    run("train", *args)
    before = digest(out)
    fails("train", *args, text=f"--out {out}: the file is there: --force overwrites it")
    fails("train", *args, "--resume", text="the training has ended, there is no")
    dml = p.options(other, method="dml", epochs=1, peer_out=out)
    fails("train", *dml, text=f"--peer-out {out}: the file is there: --force")
    assert digest(out) == before and not os.path.exists(out + ".lock")
    run("train", *p.options(out, method="baseline", epochs=1, seed=1), "--force")
    assert digest(out) != before
    # What it begins with is never what it becomes, by whatever name.
    link = p.path("link.safetensors")
    os.symlink(out, link)
    before = digest(out)
    for path, model in ((out, out), (link, out), (out, link)):
        text = f"--out {path}: that is the input {model}"
        fails("train", *p.options(path, epochs=1, holdout=None), "--init", model, code=2, text=text)
        fails("train", *p.options(path, epochs=1, holdout=None), "--init", model, "--force", code=2, text=text)
        fails("train", *p.options(path, method="kd", epochs=1), "--teacher", model, "--force", code=2, text=text)
    fails("train", *p.options(SPEC, epochs=1), "--force", code=2, text="that is the input")
    assert digest(out) == before


@many_minutes_on_reference
def test_two_writers(p):
    """The second training of one file is told who has it; after a SIGKILL nobody has."""
    out, folder = p.path("two.safetensors"), p.path("elsewhere")
    os.mkdir(folder)
    args = p.options(out, epochs=40, checkpoint_steps=1)
    child = start(*args)
    wait_for_step(child, out, 2)
    text = f"another training, process {child.pid}, writes there"
    fails("train", *args, text=text)
    fails("train", *args, "--resume", text=text)
    fails("train", *args, "--force", text=text)
    fails("train", *p.options("../two.safetensors", epochs=1), text=text, cwd=folder)
    fails("train", *p.options(p.path("x.safetensors"), method="dml", epochs=1, peer_out=out), text=text)
    assert child.poll() is None
    child.kill()
    child.wait()
    assert os.path.exists(out + ".lock")
    again = start(*args, "--resume", stderr=subprocess.PIPE)
    wait_for_step(again, out, position(out + ".ckpt") + 2)
    again.terminate()
    assert "--resume" in again.communicate()[1].decode() and not os.path.exists(out + ".lock")


@many_minutes_on_reference
def test_nobody_reads(p):
    """Whoever reads the progress goes away: the model is the same, and the exit code says that all is well."""
    out, whole = p.path("unread.safetensors"), p.model("byot")
    for mode in ("json", "bar"):
        read, write = os.pipe()
        child = start(*p.options(out), "--progress", mode, stdout=write if mode == "json" else None,
                      stderr=subprocess.PIPE if mode == "json" else write)
        os.close(write)
        os.read(read, 10)
        os.close(read)
        err = child.communicate()[1]
        assert child.returncode == 0, (mode, child.returncode, err)
        assert digest(out) == digest(whole)
        if mode == "json":
            assert b"the progress cannot be written any more; the training goes on" in err, err
        os.unlink(out)
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            q = subprocess.run([PROGRAM, "train", *p.options(out), "--progress", "json"], stdout=full,
                               stderr=subprocess.PIPE)
        assert q.returncode == 0 and digest(out) == digest(whole), q.stderr


@many_minutes_on_reference
def test_hangup(p):
    """A terminal that is closed is a stop with a checkpoint, but for nohup."""
    out = p.path("hangup.safetensors")
    args = p.options(out, method="baseline", checkpoint_steps=1, epochs=40)
    # Whoever runs this may ignore it already.
    child = start(*args, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    wait_for_step(child, out, 2)
    child.send_signal(signal.SIGHUP)
    assert b"by signal 1: go on with --resume" in child.communicate()[1] and child.returncode == 1
    at = position(out + ".ckpt")
    child = start(*args, "--resume", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for_step(child, out, at + 2)
    child.send_signal(signal.SIGHUP)
    wait_for_step(child, out, position(out + ".ckpt") + 3)
    child.kill()
    child.wait()


def test_diverged(p):
    out = p.path("diverged.safetensors")
    err = fails("train", *p.options(out, lr=1e9, warmup=0), text="not finite")
    assert "a smaller learning rate, a longer warm-up or a bound on the gradients helps" in err and not os.path.exists(out)
    # The last checkpoint before is good: of finite parameters.
    if os.path.exists(out + ".ckpt"):
        assert out + ".ckpt" in err


def test_last_update_diverged(p):
    """Of one step nothing looks at the loss that it leaves; its numbers may be finite."""
    out = p.path("exploded.safetensors")
    for rate, holdout in ((100, 200), (100, 0), (1e5, 200), (1e5, 0)):
        options = p.options(out, lr=rate, warmup=0, epochs=1, batch=1000 if holdout else 1200, holdout=holdout)
        err = fails("train", *options, text="a smaller learning rate, a longer warm-up or a bound on the gradients helps")
        assert "classifier" in err and "no model is written; there is no checkpoint yet" in err, err
        assert not os.path.exists(out) and not os.path.exists(out + ".ckpt")


def test_numbers_that_overflow(p):
    """A model of finite numbers that computes others has no figures, and no predictions in which they stand."""
    out, csv_out = p.path("overflow.safetensors"), p.path("overflow.csv")
    with open(p.model("byot"), "rb") as f:
        data = bytearray(f.read())
    base = 8 + int.from_bytes(data[:8], "little")
    start, end = json.loads(data[8:base])["fc.weight"]["data_offsets"]
    data[base + start:base + end] = struct.pack("<f", 3e38) * ((end - start) // 4)
    with open(out, "wb") as f:
        f.write(data)
    err = fails("eval", out, "--data", p.data, "--split", "test", "--predictions", csv_out, text="which is not finite")
    assert "classifier 4 computes" in err and not os.path.exists(csv_out), err


def epochs_of(text):
    return [e for e in lines(text) if e["event"] == "epoch"]


@many_minutes_on_reference
def test_events(p):
    """The configuration, the terms of the loss, which add up to it, and what the held-out images say."""
    out = p.path("events.safetensors")
    for method, terms, more in (("byot", {"labels", "answers", "hint"}, {}), ("baseline", {"labels"}, {}),
                                ("fitnet", {"labels", "answers"}, {"teacher": p.model("byot")})):
        events = lines(p.train(out, "--progress", "json", method=method, **more)[0])
        start, epochs = events[0], [e for e in events if e["event"] == "epoch"]
        assert start["network"]["name"] == "resnet18" and start["network"]["width"] == 4
        assert start["images"] == {"data": "cifar100", "train": 1000, "holdout": 200}
        recipe = start["recipe"]
        assert (recipe["method"], recipe["lr"], recipe["batch"], recipe["threads"]) == (method, 0.05, 20, 2)
        assert recipe["augment"] == "crop,flip" and recipe["momentum"] == 0.9 and recipe["mixup"] == 0
        assert ("teacher" in start) == (method == "fitnet") and ("beta" in recipe) == False
        for e in epochs:
            train = e["train"]["exits"]
            assert [x["name"] for x in train] == (["1", "2", "3", "4"] if method == "byot" else ["4"])
            total = e["train"]["maps"] + sum(x[t] for x in train for t in ("labels", "answers", "hint"))
            assert abs(total - e["loss"]) < 1e-6 * e["loss"], (total, e["loss"])
            for x in train:
                assert 0 <= x["top1"] <= 1
                used = {t for t in ("labels", "answers", "hint") if x[t] > 0}
                assert used == (terms if x["name"] != "4" or method != "byot" else {"labels"}), (method, x)
            assert (e["train"]["maps"] > 0) == (method == "fitnet")
            for x in [e["exits"][3], e["ensemble"]]:
                assert x["nll"] > 0 and 0 <= x["ece"] <= 1
        assert any(x["top1"] > 0 for e in epochs for x in e["train"]["exits"])


@many_minutes_on_reference
def test_events_resumed(p):
    """A training that is killed says of an epoch what one says that is not."""
    out, wanted = p.path("said.safetensors"), epochs_of(p.train(p.path("whole.safetensors"), "--progress", "json")[0])
    args = p.options(out, checkpoint_steps=1)
    child = start(*args)
    wait_for_step(child, out, 70)
    child.kill()
    child.wait()
    events = epochs_of(run("train", *args, "--resume", "--progress", "json")[0])
    for said, e in zip(events, wanted[-len(events):]):
        assert {k: said[k] for k in ("loss", "lr", "train", "exits")} == {k: e[k] for k in ("loss", "lr", "train", "exits")}


@many_minutes_on_reference
def test_limits(p):
    """A limit cuts the training short and changes nothing before; lifted, it ends in the same bytes."""
    out, whole = p.path("limited.safetensors"), p.model("byot")
    args = p.options(out)
    events = lines(run("train", *args, "--limit-steps", "30", "--keep-checkpoint", "--progress", "json")[0])
    assert (events[-1]["event"], events[-1]["step"], events[-1]["steps"]) == ("done", 30, 30)
    assert position(out + ".ckpt") == 30 and "--limit-steps 30" in json.loads(metadata(out)["autodidact.training"])["command"]
    fails("train", *args, "--limit-steps", "20", "--resume", text="made with --limit-steps 30, not 20")
    run("train", *args, "--limit-steps", "40", "--resume", "--keep-checkpoint")
    run("train", *args, "--resume")
    assert digest(out) == digest(whole) and not os.path.exists(out + ".ckpt")
    # Fewer images: so many are trained on, and the same ones are held out.
    events = lines(p.train(out, "--limit-images", "300", "--progress", "json", epochs=1)[0])
    assert events[0]["images"] == {"data": "cifar100", "train": 300, "holdout": 200} and events[-1]["steps"] == 15
    fails("train", *p.options(p.path("x.safetensors"), epochs=1), "--limit-images", "1001", "--force",
          text="--limit-images 1001: there are only 1000 images to train on")
    fails("train", *p.options(p.path("x.safetensors"), epochs=1), "--limit-images", "10", text="--batch 20: there are only 10")


@many_minutes_on_reference
def test_changed(p):
    """What says only how a training is looked at, when it ends and how it is stored may change on the way: then it is what
    a training is that had it from the start."""
    out, whole = p.path("changed.safetensors"), p.path("unchanged.safetensors")
    more = ["--eval-every", "2", "--patience", "5", "--store", "i8", "--algorithm", "rule"]
    p.train(whole, *more, method="baseline", epochs=3)
    p.train(out, "--limit-steps", "60", "--patience", "1", "--keep-checkpoint", "--algorithm", "rule", method="baseline", epochs=3)
    fails("train", *p.options(out, method="baseline", epochs=3, seed=1), "--resume",
          text="ckpt: it was made with --seed 0, not 1: to go on, give what it was made with; to begin anew, remove it")
    fails("train", *p.options(out, method="baseline", epochs=3), "--keep", "best", "--resume", text="--keep last, not best")
    fails("train", *p.options(out, method="baseline", epochs=2), "--resume",
          text="--epochs 3, not 2, and may have more of them, not fewer")
    p.train(out, *more, "--resume", method="baseline", epochs=3)
    assert digest(out) == digest(whole)


@many_minutes_on_reference
def test_longer(p):
    """More epochs for a training that has ended: with steps it is what it would have been from the start."""
    out, whole = p.path("longer.safetensors"), p.path("long.safetensors")
    more = dict(method="baseline", schedule="steps:1,3")
    p.train(whole, epochs=4, **more)
    p.train(out, "--keep-checkpoint", epochs=2, **more)
    fails("train", *p.options(out, epochs=1, **more), "--resume", text="made with --epochs 2, not 1")
    fails("train", *p.options(out, epochs=4, **{**more, "schedule": "cosine"}), "--resume", text="--schedule steps:1,3, not cosine")
    p.train(out, "--resume", epochs=4, **more)
    assert digest(out) == digest(whole)
    # With a cosine the rates that come are those of the longer one.
    rates = [e["lr"] for e in epochs_of(p.train(whole, "--progress", "json", method="baseline", epochs=4)[0])]
    p.train(out, "--keep-checkpoint", method="baseline", epochs=2)
    again = epochs_of(p.train(out, "--resume", "--progress", "json", method="baseline", epochs=4)[0])
    assert [e["lr"] for e in again] == rates[2:]


@many_minutes_on_reference
def test_best(p):
    """When it ends early and which epoch becomes the model, by the accuracies that it said itself; killed, the same."""
    out, other = p.path("best.safetensors"), p.path("best.2.safetensors")
    more = dict(method="baseline", epochs=12, lr=0.2, patience=2, keep="best", eval_every=2, schedule="steps:11",
                limit_images=400)
    events = lines(p.train(out, "--progress", "json", **more)[0])
    epochs = [e for e in events if e["event"] == "epoch"]
    looked = [(e["epoch"], e["exits"][3]["top1"]) for e in epochs if "exits" in e]
    assert [n for n, _ in looked] == [n for n in range(2, epochs[-1]["epoch"] + 1, 2)], looked
    best, idle = (0, -1.0), 0
    for i, (n, top1) in enumerate(looked):
        assert idle < 2, "it should have ended before"
        best, idle = ((n, top1), 0) if top1 > best[1] else (best, idle + 1)
    assert idle == 2 or epochs[-1]["epoch"] == 12, looked
    print("#", looked, "best", best)
    judged = json.loads(run("eval", out, "--data", p.data, "--split", "holdout", "--json")[0])
    assert judged["exits"][3]["top1"] == best[1] == events[-1]["exits"][3]["top1"]
    assert not os.path.exists(out + ".best.ckpt") and not os.path.exists(out + ".ckpt")
    args = p.options(other, checkpoint_steps=1, **more)
    child = start(*args)
    wait_for_step(child, other, 20 * best[0] - 3)
    child.kill()
    child.wait()
    run("train", *args, "--resume")
    assert digest(other) == digest(out)
    fails("train", *p.options(p.path("x.safetensors"), holdout=0, patience=1), code=2,
          text="--patience: there is nothing to judge by with --holdout 0")


@many_minutes_on_reference
def test_best_longer(p):
    """The best epoch stays beside the checkpoint, and a longer training ends as if it had been so from the start."""
    out, whole = p.path("best_longer.safetensors"), p.path("best_long.safetensors")
    more = dict(method="baseline", keep="best", schedule="steps:9", lr=0.2, limit_images=200, holdout="10%")
    p.train(whole, epochs=4, **more)
    p.train(out, "--keep-checkpoint", epochs=2, **more)
    assert os.path.exists(out + ".best.ckpt")
    os.rename(out + ".best.ckpt", out + ".away")
    fails("train", *p.options(out, epochs=4, **more), "--resume", text="it is the best epoch of " + out + ".ckpt")
    os.rename(out + ".away", out + ".best.ckpt")
    p.train(out, "--resume", epochs=4, **more)
    assert digest(out) == digest(whole) and not os.path.exists(out + ".best.ckpt")
    fails("train", *p.options(p.path("x.safetensors"), **{**more, "holdout": "0.01%"}),
          text="there is nothing to choose an epoch by")


@many_minutes_on_reference
def test_patience(p):
    """Where nothing learns nothing gets better: it ends after the first look that is no better than the best one."""
    out = p.path("patient.safetensors")
    events = lines(p.train(out, "--progress", "json", method="baseline", epochs=60, lr=0, patience=1, limit_images=100)[0])
    top1 = [e["exits"][3]["top1"] for e in events if e["event"] == "epoch"]
    assert len(top1) < 60 and top1[-1] <= max(top1[:-1]), top1
    assert all(top1[i] > max(top1[:i]) for i in range(1, len(top1) - 1)), top1
    assert events[-1]["event"] == "done" and os.path.exists(out) and not os.path.exists(out + ".ckpt")


@many_minutes_on_reference
def test_look_at_the_end(p):
    """The look behind the last step of a short training is not one of the longer training that it becomes."""
    out, whole = p.path("short.safetensors"), p.path("straight.safetensors")
    for name, short, long, more in (
            ("an epoch between two looks", {"epochs": 3}, {"epochs": 8}, {"patience": 2, "eval_every": 2}),
            ("the middle of an epoch", {"epochs": 6, "limit_steps": 23}, {"epochs": 6}, {"patience": 1})):
        options = dict(method="baseline", lr=0, keep="best", schedule="steps:99", limit_images=200, algorithm="rule", **more)
        straight = epochs_of(p.train(whole, "--progress", "json", **options, **long)[0])
        first = epochs_of(p.train(out, "--keep-checkpoint", "--progress", "json", **options, **short)[0])
        again = epochs_of(p.train(out, "--resume", "--progress", "json", **options, **long)[0])
        assert "exits" in first[-1]  # it is looked at, and may be what becomes of this length
        looks = lambda events: [(e["epoch"], e["exits"][3]["top1"]) for e in events if "exits" in e]
        print("#", name, looks(straight), looks(first), looks(again))
        assert len(straight) == again[-1]["epoch"] and digest(out) == digest(whole), name


@many_minutes_on_reference
def test_best_at_the_end(p):
    """Where the look behind the last step is the best one, that step becomes the model, after a kill as well."""
    out = p.path("ends_best.safetensors")
    options = dict(method="baseline", epochs=3, eval_every=2, keep="best", lr=0.2, warmup=1, limit_images=600)
    looks = [e["exits"][3]["top1"] for e in epochs_of(p.train(out, "--keep-checkpoint", "--progress", "json", **options)[0]) if "exits" in e]
    best = json.loads(run("eval", out, "--data", p.data, "--split", "holdout", "--json")[0])["exits"][3]["top1"]
    assert len(looks) == 2 and best == max(looks), (looks, best)
    before = digest(out)
    os.unlink(out)
    p.train(out, "--resume", **options)  # as if it had been killed before the model was written
    assert digest(out) == before, looks


def test_names_beside(p):
    """A name that another training's files may have is no model's, whichever of the two begins first."""
    for end in (".ckpt", ".best", ".lock", ".part"):
        out = p.path("beside.safetensors" + end)
        for options in ({"out": out}, {"method": "dml", "peer_out": out}):
            options = p.options(options.pop("out", p.path("beside.safetensors")), epochs=1, **options)
            fails("train", *options, code=2, text=f"a name that ends in {end} is kept for what stands beside a model")
            fails("train", *options, "--force", code=2, text=out)
        assert not os.path.exists(out) and not os.path.exists(out + ".lock")


@many_minutes_on_reference
def test_choices_of_a_training(p):
    """What was measured is kept where it is said, and never in the place of something else; damaged, it is made anew."""
    out, kept, other = p.path("chosen.safetensors"), p.path("of/this/choices"), p.path("notes.txt")
    args = p.options(out, epochs=1, limit_steps=1) + ["--force"]
    run("train", *args, "--choices", kept)
    with open(kept) as f:
        head = f.readline()
    assert head.startswith("autodidact choices "), head
    for text in ("", head + "nonsense\n", "autodidact choices 99, of another version\n"):
        with open(kept, "w") as f:
            f.write(text)
        run("train", *args, "--choices", kept)
        with open(kept) as f:
            assert f.readline() == head and f.readline().split()[0] in ("forward", "backward-data", "backward-weight")
    with open(other, "w") as f:
        f.write("kept\n")
    before = digest(out)
    fails("train", *args, "--choices", other, text=f"--choices: {other}: the file is there, and has no choices")
    fails("train", *args, "--choices", p.model("byot"), text="has no choices of algorithms")
    fails("train", *args, "--choices", out, code=2, text=f"--choices {out}: it is --out")  # its lock would be waited for
    fails("train", *args, "--choices", p.folder, text="there is something that is not a file")
    if os.path.isdir("/proc/self"):
        fails("train", *args, "--choices", "/proc/self/no/choices", text="--choices: ")
    assert digest(out) == before and open(other).read() == "kept\n"


sys.exit(main(globals()))
