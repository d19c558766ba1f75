"""`autodidact import` as its users see it: checkpoints with PyTorch's names give PyTorch's logits, models of ours come
back the same, and what does not fit is named. Prints TAP. Standard library only."""
import array, json, os, shutil, struct, subprocess, sys, tempfile, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from import_numbers import images, packed, read_safetensors, values, write_safetensors

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("top_srcdir", os.path.join(HERE, "..", ".."))
BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
PROGRAM = os.path.join(BUILD, "autodidact")
OWN = os.path.join(BUILD, "tests", "onnx", "own_logits")
SHIPPED = os.path.join(TOP, "models", "resnet18-cifar100.safetensors")
RTOL = 1e-5  # of the largest logit
with open(os.path.join(HERE, "import_vectors.json")) as f:
    CASES = json.load(f)


def spec(name):
    return os.path.join(TOP, "models", name + ".json")


def run(*args, code=0):
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    assert p.returncode == code, f"{' '.join(args)}: exit code {p.returncode}, wanted {code}\n{p.stderr}"
    return p.stdout, p.stderr


def fails(*args, code=1, text=""):
    out, err = run(PROGRAM, "import", *args, code=code)
    assert out == "" and err.count("\n") == 1, (out, err)
    for t in [text] if isinstance(text, str) else text:
        assert t in err, f"{t!r} is not in {err!r}"
    return err


def floats(path):
    a = array.array("f")
    with open(path, "rb") as f:
        a.frombytes(f.read())
    return a


class Place:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def logits(self, model, inputs):
        run(OWN, "run", model, inputs, self.path("logits"))
        return floats(self.path("logits"))

    def inputs(self, numbers):
        path = self.path("inputs")
        with open(path, "wb") as f:
            f.write(packed(numbers, "F32"))
        return path


def case_tensors(case):
    return [(name, kind, shape, packed(values(name, shape), kind)) for name, kind, shape in case["tensors"]]


def case_arguments(case, checkpoint, out):
    return ["import", checkpoint, "--spec", spec(case["spec"]), "--width", str(case["width"]), "--classes",
            str(case["classes"]), "--out", out]


def test_case(p, case):
    """The deepest classifier gives PyTorch's logits; the others are said to be random."""
    checkpoint, out = p.path("checkpoint"), p.path("case.safetensors")
    write_safetensors(checkpoint, case_tensors(case))
    answer = json.loads(run(PROGRAM, *case_arguments(case, checkpoint, out), "--json")[0])
    counters = sum(t[1] == "I64" for t in case["tensors"])
    assert counters > 0 and answer["ignored"] == counters, answer
    assert answer["tensors"] == len(case["tensors"]) - counters and answer["untrained"] == ["1", "2", "3"], answer
    assert [round(x, 3) for x in answer["mean"]] == [0.485, 0.456, 0.406], answer
    count = case["images"] * case["classes"]
    inputs = p.inputs(images(case["name"], case["images"] * 3 * case["side"] ** 2))
    own = p.logits(out, inputs)[3 * count:4 * count]
    largest = max(abs(x) for x in case["logits"])
    difference = max(abs(a - b) for a, b in zip(own, case["logits"]))
    print(f"# {difference / largest:.2g} of the largest logit")
    assert len(own) == count and difference <= RTOL * largest, (own, case["logits"])
    text = run(PROGRAM, "describe", out)[0]
    assert "imported from a checkpoint" in text and "not calibrated" in text
    assert "not trained, and out of use: classifiers 1, 2, 3" in text, text


def test_own(p):
    """The shipped model under other wrappings: the same bits, labels and normalisation."""
    tensors, meta = read_safetensors(SHIPPED)
    inputs = p.inputs(images("own", 4 * 3072))
    wanted = p.logits(SHIPPED, inputs)
    checkpoint, out = p.path("checkpoint"), p.path("own.safetensors")
    base = [PROGRAM, "import", checkpoint, "--spec", spec("resnet18"), "--width", "16", "--out", out]
    write_safetensors(checkpoint, [("module." + n, k, s, d) for n, k, s, d in tensors], meta)
    answer = json.loads(run(*base, "--json")[0])
    assert answer["untrained"] == [] and answer["ignored"] == 0
    assert p.logits(out, inputs) == wanted
    own = read_safetensors(out)[1]
    for key in ("autodidact.labels", "autodidact.preprocess", "autodidact.spec"):
        assert json.loads(own[key]) == json.loads(meta[key]), key
    assert "autodidact.calibration" not in own  # that was measured on another file
    twice = json.loads(meta["autodidact.labels"])
    twice[99] = twice[7]
    write_safetensors(checkpoint, tensors, {**meta, "autodidact.labels": json.dumps(twice)})
    _, err = run(*base)  # ImageNet's own list has two of a name
    assert f'warning: classes 7 and 99 are both called "{twice[7]}"' in err, err
    assert json.loads(read_safetensors(out)[1]["autodidact.labels"]) == twice
    # A model as it is, too; then without what it says of itself, and without a head.
    run(PROGRAM, "import", SHIPPED, *base[3:])
    assert p.logits(out, inputs) == wanted
    labels = json.loads(meta["autodidact.labels"])
    names = p.path("labels")
    with open(names, "w") as f:
        f.write("\ufeff" + " \r\n".join(labels) + "\r\n\r\n")  # as Windows' editors save it
    write_safetensors(checkpoint, [t for t in tensors if not t[0].startswith("exits.2.")])
    answer = json.loads(run(*base, "--json", "--labels", names, "--mean", "0.1,0.2,0.3", "--std", "1,2,3")[0])
    assert answer["untrained"] == ["2"], answer
    own = read_safetensors(out)[1]
    assert json.loads(own["autodidact.labels"]) == labels
    pre = json.loads(own["autodidact.preprocess"])
    assert (pre["mean"], pre["std"]) == ([0.1, 0.2, 0.3], [1, 2, 3])
    got, count = p.logits(out, inputs), 4 * 100
    for k in (0, 2, 3):
        assert got[k * count:(k + 1) * count] == wanted[k * count:(k + 1) * count]
    assert got[count:2 * count] != wanted[count:2 * count]
    # The head's random values are those of the seed.
    first = got[count:2 * count]
    run(*base, "--seed", "1")
    assert p.logits(out, inputs)[count:2 * count] != first
    run(*base, "--seed", "0")
    assert p.logits(out, inputs)[count:2 * count] == first
    assert json.loads(read_safetensors(out)[1]["autodidact.labels"]) == [str(i) for i in range(100)]


def test_stored(p):
    """In 16 bits the file is half as large, in 8 bits a fourth; from those an import gives the same file again."""
    tensors, _ = read_safetensors(SHIPPED)
    out = p.path("stored.safetensors")
    base = [PROGRAM, "import", SHIPPED, "--spec", spec("resnet18"), "--width", "16", "--out", out]
    run(*base)
    full = os.path.getsize(out)
    for kind in ("f16", "bf16"):
        run(*base, "--store", kind)
        assert os.path.getsize(out) < 0.55 * full
        assert {t[1] for t in read_safetensors(out)[0]} == {kind.upper()}
    run(*base, "--store", "i8")
    assert os.path.getsize(out) < 0.3 * full
    first, kinds = open(out, "rb").read(), {t[0]: t[1] for t in read_safetensors(out)[0]}
    assert {n for n, k in kinds.items() if k == "I8"} == {n for n in kinds if n + "_scale" in kinds}
    assert {k for n, k in kinds.items() if n.endswith("_scale")} == {"F32"} == {kinds["bn1.weight"], kinds["fc.bias"]}
    eighth = p.path("eighth.safetensors")
    os.rename(out, eighth)
    run(*[eighth if a == SHIPPED else a for a in base], "--store", "i8")
    assert open(out, "rb").read() == first


def test_mismatch(p):
    """What does not fit is named, the first of each kind; nothing is written."""
    case = CASES[0]
    good = case_tensors(case)
    checkpoint, out = p.path("checkpoint"), p.path("no.safetensors")
    args = case_arguments(case, checkpoint, out)[1:]

    def refused(tensors, *text, more=()):
        write_safetensors(checkpoint, tensors)
        err = fails(*args, *more, text=text)
        assert not os.path.exists(out)
        return err

    def changed(name, kind=None, shape=None, data=None):
        return [t if t[0] != name else (name, kind or t[1], shape or t[2], t[3] if data is None else data) for t in good]

    refused([t for t in good if t[0] != "layer2.0.conv1.weight"], "missing layer2.0.conv1.weight [8,4,3,3]")
    err = refused([t for t in good if "running_mean" not in t[0]], "missing bn1.running_mean [4], ", " and 17 more")
    assert "unexpected" not in err
    # The deepest classifier is not one of those that may be missing.
    refused([t for t in good if not t[0].startswith("fc.")], "missing fc.bias [5], fc.weight [5,32]")
    refused(good + [("aux.weight", "F32", [1], bytes(4))], "unexpected aux.weight")
    refused(good + [("a\nb", "F32", [1], bytes(4))], "unexpected a?b")
    refused(good + [("module.fc.bias", "F32", [5], bytes(20))], "twice there: module.fc.bias")
    refused(changed("conv1.weight", shape=[4, 3, 49]), "shapes: conv1.weight is [4,3,49], not [4,3,7,7]")
    refused(good, "shapes: fc.weight is [5,32], not [9,32], fc.bias is [5], not [9]", more=("--classes", "9"))
    # What would make the shapes right is said; where they cannot be made right, nothing.
    refused(good, "it is not the network resnet18-64 (--classes 5 may be right): shapes: ", more=("--classes", "9"))
    refused(good, "(--width 4 may be right): shapes: ", more=("--width", "8"))
    refused(good, "(--classes 5 --width 4 may be right): shapes: ", more=("--width", "6", "--classes", "4"))
    refused(good + [("aux.weight", "F32", [1], bytes(4))], "it is not the network resnet18-64: unexpected aux")
    refused(changed("bn1.bias", kind="I32"), "bn1.bias is of integers")
    refused(changed("bn1.bias", data=struct.pack("<4f", 0, 1, float("nan"), 0)), "bn1.bias: element 2 is nan")
    refused(changed("bn1.running_var", data=struct.pack("<4f", 1, -1, 1, 1)), "bn1.running_var: element 1 is -1")
    refused(changed("bn1.bias", kind="F64", data=struct.pack("<4d", 0, 1e300, 0, 0)), "bn1.bias: element 1 is inf")
    refused(good + [("exits.1.fc.bias", "F32", [5], bytes(20))], "missing exits.1.bn1.bias [", " and 16 more")
    # Another network: a little of everything, in one line.
    err = refused(good, "it is not the network vgg19: missing ", "; unexpected ", " more", more=("--spec", spec("vgg19")))
    assert len(err) < 600
    write_safetensors(checkpoint, good)
    with open(checkpoint, "r+b") as f:
        f.truncate(os.path.getsize(checkpoint) - 1)
    fails(*args, text=(checkpoint, "cut short"))
    fails(p.path("none"), *args[1:], text="none")


def test_usage(p):
    checkpoint, out = p.path("good"), p.path("no.safetensors")
    write_safetensors(checkpoint, case_tensors(CASES[0]))
    args = case_arguments(CASES[0], checkpoint, out)[1:]
    two = p.path("two")
    with open(two, "w") as f:
        f.write("one\ntwo\n")
    bad = p.path("bad")
    with open(bad, "w") as f:
        f.write("one\n\ntwo\n")
    zero = p.path("zero")
    with open(zero, "w") as f:
        f.write("one\ntwo\0three\n")
    table = [
        (["--mean", "1,2"], 2, "--mean"), (["--mean", "1,2,3"], 2, "--mean and --std go together"),
        (["--mean", "1,2,3", "--std", "1,0,1"], 2, "--std 1,0,1: it takes three numbers above 0"),
        (["--mean", "0,0,0", "--std", "0,0,0"], 2, "--std 0,0,0: it takes three numbers above 0"),
        (["--mean", "0, 0,0", "--std", "1,1,1"], 2, "--mean 0, 0,0: it takes three numbers, "),
        (["--mean", "1,2,nan", "--std", "1,1,1"], 2, "--mean 1,2,nan"),
        (["--mean", "1,2,3,4", "--std", "1,1,1"], 2, "--mean 1,2,3,4"),
        (["--store", "f64"], 2, "--store f64: it takes f32, f16, bf16 or i8"),
        (["--labels", p.path("none")], 1, "none"), (["--labels", two], 1, "2 lines, but there are 5 classes"),
        (["--labels", bad], 1, "line 2: the label"), (["--labels", zero], 1, "line 2: it holds a byte of zero"),
        (["--spec", SHIPPED, "--width", "16", "--classes", "100"], 2, "a spec is a .json"),
        (["--width", "-1"], 2, "--width -1"), (["--out", p.path("no/such")], 1, "no/such"),
    ]
    # Not over what is read, whatever it is called.
    os.symlink(checkpoint, p.path("link"))
    os.link(two, p.path("hard"))
    table += [(["--out", checkpoint], 2, "that is the input " + checkpoint),
              (["--out", p.path("link")], 2, "that is the input " + checkpoint),
              (["--labels", two, "--out", p.path("hard")], 2, "that is the input " + two)]
    for more, code, text in table:
        fails(*args, *more, code=code, text=text)
    fails(checkpoint, code=2, text="--spec is missing")
    fails(checkpoint, "--spec", spec("resnet18"), code=2, text="--out is missing")
    assert not os.path.exists(out)
    text = run(PROGRAM, *case_arguments(CASES[0], checkpoint, out))[0]
    assert "not trained, and out of use: classifiers 1, 2, 3" in text, text


def test_export_usage(p):
    def refused(*args, code, text):
        out, err = run(PROGRAM, "export", *args, code=code)
        assert out == "" and err.count("\n") == 1 and text in err, err

    out = p.path("out.onnx")
    refused(SHIPPED, code=2, text="--onnx is missing")
    for more, text in ((["--batch", "0"], "--batch 0: it takes dynamic, or a number"), (["--batch", "8x"], "--batch 8x"),
                       (["--batch", " 5"], "--batch  5: it takes dynamic"), (["--batch", "+5"], "--batch +5"),
                       (["--batch", "65537"], "--batch 65537"), (["--opset", "12"], "--opset 12: it takes"),
                       (["--opset", "22"], "--opset 22"), (["--exits", "5"], "--exits 5: it takes all, deepest, or 1 to 4"),
                       (["--exits", "0"], "--exits 0"), (["--exits", ""], "--exits : it takes")):
        refused(SHIPPED, "--onnx", out, *more, code=2, text=text)
    refused(spec("resnet18"), "--onnx", out, code=1, text="resnet18.json")
    refused(SHIPPED, "--onnx", p.path("no/such.onnx"), code=1, text="no/such.onnx")
    copy = p.path("copy.safetensors")
    shutil.copyfile(SHIPPED, copy)
    refused(copy, "--onnx", os.path.join(p.folder, ".", "copy.safetensors"), code=2, text="that is the input " + copy)
    assert not os.path.exists(out)
    assert run(PROGRAM, "export", SHIPPED, "--onnx", out, "--batch", "dynamic") == ("", "")
    whole = os.path.getsize(out)
    assert whole > 1 << 20
    sizes = []
    for which in ("1", "3", "4", "deepest"):
        assert run(PROGRAM, "export", SHIPPED, "--onnx", out, "--exits", which) == ("", "")
        sizes.append(os.path.getsize(out))
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3] < whole, sizes


def main():
    tests = [(c["name"], lambda p, c=c: test_case(p, c)) for c in CASES]
    tests += [(f.__name__, f) for f in (test_own, test_stored, test_mismatch, test_usage, test_export_usage)]
    failed = False
    print(f"1..{len(tests)}")
    for number, (name, test) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(Place(folder))
                print(f"ok {number} - {name}", flush=True)
            except Exception:
                failed = True
                print("".join("# " + l + "\n" for l in traceback.format_exc().splitlines()), end="")
                print(f"not ok {number} - {name}", flush=True)
    return 1 if failed else 0


sys.exit(main())
