"""Held-out images through a chain of models: what an ancestor or a teacher was trained on judges nobody, whatever data came
between. Prints TAP. Standard library only."""
import functools, glob, hashlib, json, os, shutil, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import SPEC, fails, lines, many_minutes_on_reference, metadata, rewrite_metadata, run
from tiny_cifar import write_set
from tiny_folder import write_folder
from trainings import main


def key(seed, content):
    return hashlib.sha256(seed.to_bytes(8, "little") + content).hexdigest()[:16]


@functools.lru_cache
def cifar_keys(data, seed=0):
    with open(os.path.join(data.split(":")[1], "train.bin"), "rb") as f:
        records = f.read()
    keys, pixels = set(), bytearray(3072)
    for at in range(0, len(records), 3074):
        for c in range(3):
            pixels[c::3] = records[at + 2 + 1024 * c:at + 2 + 1024 * (c + 1)]
        keys.add(key(seed, bytes(pixels)))
    return keys


def folder_keys(data, seed=0):
    keys = set()
    for path in glob.glob(os.path.join(data.split(":")[1], "train", "*", "*.png")):
        with open(path, "rb") as f:
            keys.add(key(seed, f.read()))
    return keys


def held_out(model, keys):
    """Those of the keys that the model's border holds out; hexadecimal digits compare as their numbers do."""
    words = metadata(model)["autodidact.holdout"].split()
    apart = words[5:words.index("seen") if "seen" in words else None]
    return {k for k in keys if (k < words[3]) != (k in apart)}


def train(p, name, data, *flags, **more):
    out = p.path(name + ".safetensors")
    more = {"data": data, "epochs": 1, "method": "baseline", "holdout": None, **more}
    text, err = p.train(out, *flags, **more)
    return out, err


def folders(p):
    """Two folders that have nothing in common."""
    if not os.path.exists(p.path("colours")):
        write_folder(p.path("colours"), ["blue", "green", "red"], 20)
        write_folder(p.path("tones"), ["dark", "grey", "light"], 20, seed=1)
    return "folder:" + p.path("colours"), "folder:" + p.path("tones")


@many_minutes_on_reference
def test_return(p):
    """Back to the data of a grandparent, with another kind of data in between."""
    colours, _ = folders(p)
    keys = cifar_keys(p.data)
    a, _ = train(p, "a", p.data, holdout=200)
    b, _ = train(p, "b", colours, init=a)
    c, err = train(p, "c", p.data, init=b)
    assert len(held_out(a, keys)) == 200 and held_out(c, keys) == held_out(a, keys)
    assert "autodidact.lineage" in metadata(b) and err == "", err
    fails("train", *p.options(p.path("x.safetensors"), holdout=201), "--init", b, text="its parent or its teacher has seen")
    # What went on with the same data has only the others to remember, and the child of a child all.
    assert [l.split()[0] for l in metadata(b)["autodidact.lineage"].splitlines()] == ["cifar100"]
    assert [l.split()[0] for l in metadata(c)["autodidact.lineage"].splitlines()] == ["folder"]
    d, _ = train(p, "d", colours, init=c, holdout=2)
    assert held_out(d, folder_keys(colours)) < held_out(b, folder_keys(colours))
    e, _ = train(p, "e", p.data, init=d, holdout=100)
    assert held_out(e, keys) < held_out(a, keys)


@many_minutes_on_reference
def test_renamed(p):
    """A folder whose classes and files all have other names, with another folder in between."""
    colours, tones = folders(p)
    keys = folder_keys(colours)
    a, _ = train(p, "first", colours, holdout="30%", holdout_seed=0)
    b, err = train(p, "other", tones, init=a, holdout="50%")  # other data: all new
    assert len(held_out(b, folder_keys(tones))) == 30 and err == "", err
    os.makedirs(p.path("farben/train"))
    for label, name in (("blue", "z_blau"), ("green", "y_gruen"), ("red", "x_rot")):
        shutil.copytree(p.path("colours/train/" + label), p.path("farben/train/" + name))
    farben = "folder:" + p.path("farben")
    for parent in (a, b):
        c, _ = train(p, "renamed", farben, init=parent)
        assert held_out(c, keys) and held_out(c, keys) <= held_out(a, keys)
    fails("train", *p.options(p.path("x.safetensors"), data=farben, holdout="50%"), "--init", b, text="its parent or its teacher has seen")


@many_minutes_on_reference
def test_teacher(p):
    """A teacher that comes from the data which its pupil learns from, and what a pupil and its peer remember of it."""
    data, names = p.path("ordered"), [f"fine_{i:02d}" for i in range(100)]
    write_set(data)
    with open(os.path.join(data, "fine_label_names.txt"), "w") as f:
        f.writelines(n + "\n" for n in names)
    data, pictures = "cifar100:" + data, write_folder(p.path("pictures"), names, 2)
    keys = cifar_keys(data)
    a, _ = train(p, "teacher_a", data, holdout=150)
    t, _ = train(p, "teacher", pictures, init=a, holdout=20)
    pupil, _ = train(p, "pupil", data, method="kd", teacher=t)
    assert held_out(pupil, keys) == held_out(a, keys) and len(held_out(a, keys)) == 150
    assert [l.split()[0] for l in metadata(pupil)["autodidact.lineage"].splitlines()] == ["folder"]
    peers, _ = train(p, "peers", pictures, method="dml", init=pupil, peer_out=p.path("peer.safetensors"), force=None)
    for model in (peers, p.path("peer.safetensors")):
        c, _ = train(p, "of_peer", data, init=model)
        assert held_out(c, keys) <= held_out(a, keys) and held_out(c, keys)


@many_minutes_on_reference
def test_contradictions(p):
    """Seeds that cannot both be kept are refused by name; the ancestor's is taken where none is said."""
    colours, _ = folders(p)
    a, _ = train(p, "seed_a", p.data, holdout=200, holdout_seed=3)
    b, _ = train(p, "seed_b", colours, init=a, holdout_seed=5)
    c, _ = train(p, "seed_c", p.data, init=b)
    assert held_out(c, cifar_keys(p.data, 3)) == held_out(a, cifar_keys(p.data, 3))
    text = "--init: one that its model comes from was made with --holdout-seed 3, and images that it saw cannot judge"
    fails("train", *p.options(p.path("x.safetensors"), holdout_seed=5), "--init", b, text=text)
    # A folder of other names, of which keys of another seed do not say whether it is the same.
    _, err = train(p, "seed_d", folders(p)[1], "--progress", "json", init=b, holdout_seed=0)
    assert "warning: --init: not all is known" in err, err


@many_minutes_on_reference
def test_older(p):
    """Of models that programs wrote before there were borders or lineages: what they say counts, what they do not is said."""
    colours, _ = folders(p)
    a, b, told = p.path("old_a.safetensors"), p.path("old_b.safetensors"), "warning: --init: not all is known"
    def forget(*names):
        return lambda m: [m.pop(n) for n in names if n in m]
    rewrite_metadata(train(p, "new_a", p.data, holdout=200)[0], a, forget("autodidact.holdout"))
    counted, err = train(p, "counted", colours, init=a)
    assert " seed 0 count 200\n" in metadata(counted)["autodidact.lineage"] and err == "", err
    c, _ = train(p, "of_counted", p.data, init=counted)
    wanted = set(sorted(cifar_keys(p.data))[:200])
    assert held_out(c, cifar_keys(p.data)) == wanted
    rewrite_metadata(counted, b, forget("autodidact.lineage"))
    child, err = train(p, "of_old", p.data, init=b)
    assert told in err
    assert metadata(child)["autodidact.lineage"].startswith("unknown\nfolder classes ")
    _, err = train(p, "of_of_old", p.data, init=child)  # said once
    assert told not in err, err


@many_minutes_on_reference
def test_imported(p):
    """Nothing is known of what an imported checkpoint has seen, which is said once; of an own file all is."""
    colours, _ = folders(p)
    told, bare, own = "warning: --init: not all is known", p.path("bare.safetensors"), p.path("own.safetensors")
    a, _ = train(p, "to_import", p.data, holdout=200)
    rewrite_metadata(a, bare, lambda m: m.clear())
    run("import", bare, "--spec", SPEC, "--width", "4", "--classes", "100", "--out", p.path("imported.safetensors"))
    for freeze in ("none", "trunk"):
        child, err = train(p, "of_import", p.data, method="dsn", init=p.path("imported.safetensors"), freeze=freeze)
        assert err.count(told) == 1, err
        text, err = p.train(p.path("x.safetensors"), "--progress", "json", init=child, epochs=1, holdout=None)
        assert told not in err and lines(text)[0]["warnings"] == []
    text, err = p.train(p.path("x.safetensors"), "--progress", "json", data=colours, init=child, epochs=1, holdout=None)
    assert err.count(told) == 1 and told[9:] in lines(text)[0]["warnings"][0]
    run("import", a, "--spec", SPEC, "--width", "4", "--classes", "100", "--out", own)
    child, err = train(p, "of_own", p.data, init=own)
    assert held_out(child, cifar_keys(p.data)) == held_out(a, cifar_keys(p.data)) and told not in err, err


sys.exit(main(globals()))
