"""What guards a training and what steers it: one writer at a time, nothing overwritten by accident, progress that nobody
reads any more, recipes that can hardly be meant. Prints TAP. Standard library only."""
import json, os, resource, signal, struct, subprocess, sys, tempfile, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import PROGRAM, SPEC, digest, fails, lines, many_minutes_on_reference, metadata, run
from trainings import Place, position


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
    child = start(*args, stderr=subprocess.PIPE)
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


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    chosen = sys.argv[1:] or [n for n, _ in tests]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        for i, (name, f) in enumerate([t for t in tests if t[0] in chosen], 1):
            if getattr(f, "skipped", False):
                print(f"ok {i} - {name} # SKIP several trainings take many minutes with the reference kernels", flush=True)
                continue
            begun = time.monotonic()
            try:
                f(place)
                print(f"ok {i} - {name} # {time.monotonic() - begun:.1f} s", flush=True)
            except Exception:
                failed += 1
                for line in traceback.format_exc().splitlines():
                    print("#", line)
                print(f"not ok {i} - {name}", flush=True)
    return 1 if failed else 0


sys.exit(main())
