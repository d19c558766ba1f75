"""Held-out images of the program: who may be judged by which, and how many there are. Prints TAP. Standard library only."""
import json, os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import SPEC, fails, many_minutes_on_reference, metadata, rewrite_metadata, run
from tiny_cifar import write_set
from trainings import main


@many_minutes_on_reference
def test_same_images(p):
    """--holdout-of of eval: two models judged on the same images, whatever they remember."""
    all_, own = p.path("none.safetensors"), p.model("byot")
    p.train(all_, holdout=0, epochs=1, method="baseline")
    judge = ["--data", p.data, "--split", "holdout", "--json"]
    a, b, c = (json.loads(run("eval", m, *judge, *more)[0])
               for m, more in ((all_, ["--holdout-of", own]), (own, ["--holdout-of", own]), (own, [])))
    assert a["n"] == b["n"] == 200 and b == c
    assert json.loads(run("eval", all_, *judge[:3], "train", "--json", "--holdout-of", own)[0])["n"] == 1000
    fails("eval", own, *judge, "--holdout-of", all_, text="nothing was held out")
    fails("eval", own, *judge, "--holdout-of", SPEC, text="--holdout-of")
    fails("eval", own, *judge[:3], "test", "--holdout-of", own, code=2, text="--holdout-of goes with")


@many_minutes_on_reference
def test_older_border(p):
    """A model that says how many images were held out, but not which, as older programs wrote them."""
    def forget(m):
        del m["autodidact.holdout"]
    old, child = p.path("old.safetensors"), p.path("young.safetensors")
    rewrite_metadata(p.model("byot"), old, forget)
    judge = ["--data", p.data, "--split", "holdout", "--json"]
    assert json.loads(run("eval", old, *judge)[0])["n"] == 200
    run("train", *p.options(child, holdout=None, epochs=1), "--init", old)
    a, b = (json.loads(run("eval", m, *judge, *more)[0]) for m, more in ((child, []), (child, ["--holdout-of", old])))
    assert a["n"] == 200 and a == b
    small = write_set(p.path("small"), 150, 20)
    fails("train", *p.options(p.path("x.safetensors"), holdout=None, data=small), "--init", old,
          text="its model says how many images were held out, but not which")


@many_minutes_on_reference
def test_holdout_part(p):
    """--holdout 10%: of each class; and what was passed on works with a part of the data, as it is."""
    out = p.path("tenth.safetensors")
    _, err = p.train(out, "--progress", "bar", holdout="10%", epochs=1, method="baseline")
    assert "; 120 images held out, 0 to " in err, err
    assert json.loads(metadata(out)["autodidact.training"])["holdout"] == 120
    for text in ("0%", "100%", "-5%", "x%", "%", "1e9"):
        fails("train", *p.options(p.path("x.safetensors"), holdout=text), code=2, text=f"--holdout {text}: it takes a whole")
    part, child = p.path("part"), p.path("of_part.safetensors")
    write_set(part)
    with open(os.path.join(part, "train.bin"), "r+b") as f:
        f.truncate(100 * 3074)  # fewer than are held out of all
    run("train", *p.options(child, data="cifar100:" + part, holdout=None, epochs=1, method="baseline"), "--init", out)
    own, = (json.loads(metadata(m)["autodidact.training"])["holdout"] for m in (child,))
    assert 0 < own < 30, own
    n = json.loads(run("eval", out, "--data", "cifar100:" + part, "--split", "holdout", "--json")[0])["n"]
    assert n == own, (n, own)
    _, err = p.train(p.path("two.safetensors"), "--progress", "bar", holdout=2, epochs=1, method="baseline")
    assert "warning: no image is held out of 8 of 100 classes (fine_" in err, err


sys.exit(main(globals()))
