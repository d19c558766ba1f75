"""Exported models, as others see them: ONNX's own checker takes them (python3-onnx), and ONNX Runtime's logits are
ours (onnxruntime-node, which ./check installs into the build directory). Prints TAP."""
import json, os, shutil, subprocess, sys, tempfile, traceback

TOP = os.path.abspath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
PROGRAM = os.path.join(BUILD, "autodidact")
OWN = os.path.join(BUILD, "tests", "onnx", "own_logits")
RUNTIME = os.environ.get("AUTODIDACT_ONNXRUNTIME", os.path.join(BUILD, "node", "node_modules", "onnxruntime-node"))
SHIPPED = os.path.join(TOP, "models", "resnet18-cifar100.safetensors")
CIFAR = os.path.join(os.environ.get("AUTODIDACT_DATA", os.path.join(TOP, "..", "shared", "data")), "cifar-100-binary")
TOLERANCE = 1e-4  # of the largest logit
IMAGES = 8

try:
    import onnx
    import onnx.checker
except ImportError:
    onnx = None


def height(spec, side, width=None):
    spec["input"].update(height=side, width=width or side)


def heads(kind):
    def change(spec):
        spec["heads"] = {"kind": kind} if kind.startswith("sepconv") else {"kind": kind, "mid_channels": 128}
    return change


def one_section(spec):
    spec["cuts"] = [8]


# Name, spec in models/, width, what is changed in the spec. Borders of all kinds come with the odd sizes.
CASES = [
    ("resnet18", "resnet18", 8, None),
    ("resnet50", "resnet50", 4, None),
    ("resnet101", "resnet101", 4, None),
    ("resnet152", "resnet152", 4, None),
    ("vgg19", "vgg19", 8, None),
    ("resnext29-8", "resnext29-8", 4, None),
    ("wrn20-8", "wrn20-8", 8, None),
    ("wrn44-8", "wrn44-8", 8, None),
    ("wrn28-12", "wrn28-12", 8, None),
    ("pyramidnet101-240", "pyramidnet101-240", 12, None),
    ("scala+attention", "resnet18", 4, heads("scala+attention")),
    ("sepconv+attention", "resnet18", 4, heads("sepconv+attention")),
    ("sepconv+attention, pre-activated", "wrn20-8", 6, heads("sepconv+attention")),
    ("pyramid, cells cut by the border", "pyramidnet101-240", 12, lambda s: height(s, 30, 21)),
    ("a stem with a pool, an odd map", "resnet50-64", 4, lambda s: height(s, 61, 75)),
    ("hidden layers behind a map", "vgg19-224", 4, None),
    ("one section", "resnet18", 4, one_section),
]


def run(*args):
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    assert p.returncode == 0, f"{' '.join(args)}: exit code {p.returncode}\n{p.stderr}"
    return p.stdout


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.shapes = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def model(self, i):
        """-> the i-th case's model, with inputs and logits beside it, made once."""
        _, spec, width, change = CASES[i]
        stem = self.path(f"case{i}")
        if i not in self.shapes:
            with open(os.path.join(TOP, "models", spec + ".json")) as f:
                document = json.load(f)
            if change:
                change(document)
            with open(stem + ".json", "w") as f:
                json.dump(document, f)
            model = stem + ".safetensors"
            run(OWN, "make", stem + ".json", str(width), "7", model)
            run(OWN, "noise", model, str(IMAGES), stem + ".inputs")
            run(OWN, "run", model, stem + ".inputs", stem + ".logits")
            size = document["input"]
            self.shapes[i] = [size["channels"], size["height"], size["width"]]
        return stem


def export(model, out, *options):
    run(PROGRAM, "export", model, "--onnx", out, *options)
    return out


def have_runtime():
    return shutil.which("node") and os.path.isdir(RUNTIME)


def compare(jobs):
    """Each job with each of its batches: no output differs by more than the tolerance."""
    text = "".join(json.dumps(j) + "\n" for j in jobs)
    p = subprocess.run(["node", os.path.join(TOP, "tests", "onnx", "runtime.js"), RUNTIME], input=text,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=500)
    answers = [json.loads(l) for l in p.stdout.splitlines()]
    wanted = [(j, b) for j in jobs for b in j["batches"]]
    assert p.returncode == 0 and len(answers) == len(wanted), p.stderr
    worst = 0.0
    for (job, batch), answer in zip(wanted, answers):
        where = f"{os.path.basename(job['model'])}, batch {batch}"
        assert "error" not in answer, f"{where}: {answer['error']}"
        names = [o[0] for o in answer["outputs"]]
        assert names == [f"logits_{k + 1}" for k in range(len(names) - 1)] + ["ensemble"], names
        for name, difference, largest in answer["outputs"]:
            assert difference is not None and largest > 1e-3, f"{where}: {name}: {difference}, {largest}"
            assert difference <= TOLERANCE * largest, f"{where}: {name}: {difference} of {largest}"
            worst = max(worst, difference / largest)
    print(f"# largest difference {worst:.2g} of the largest logit")


def test_case(p, i):
    """Any batch, at a batch of 1 and of 8; and a fixed one."""
    stem = p.model(i)
    job = {"inputs": stem + ".inputs", "logits": stem + ".logits", "shape": p.shapes[i]}
    compare([dict(job, model=export(stem + ".safetensors", stem + ".onnx"), batches=[1, IMAGES]),
             dict(job, model=export(stem + ".safetensors", stem + ".8.onnx", "--batch", "8"), batches=[8])])


def test_opsets(p):
    """The oldest and the newest set of operators; a fixed batch of 1. Every kind of operation is in these."""
    jobs = []
    for i in (9, 11, 13, 14, 10):
        stem = p.model(i)
        for opset in ("13", "21"):
            model = export(stem + ".safetensors", f"{stem}.{opset}.onnx", "--opset", opset, "--batch", "1")
            jobs.append({"model": model, "inputs": stem + ".inputs", "logits": stem + ".logits",
                         "shape": p.shapes[i], "batches": [1]})
    compare(jobs)


def test_shipped(p):
    """The shipped model on 1,000 test images."""
    stem = p.path("shipped")
    run(OWN, "cifar", SHIPPED, os.path.join(CIFAR, "test.bin"), "1000", stem + ".inputs")
    run(OWN, "run", SHIPPED, stem + ".inputs", stem + ".logits")
    assert os.path.getsize(stem + ".inputs") == 1000 * 3072 * 4
    compare([{"model": export(SHIPPED, stem + ".onnx"), "inputs": stem + ".inputs", "logits": stem + ".logits",
              "shape": [3, 32, 32], "batches": [100]}])


def test_checker(p):
    """ONNX's checker with its inference of shapes, which must agree with the shapes that the file says."""
    for i in range(len(CASES)):
        stem = p.model(i)
        # Debian's knows opsets up to 17.
        for opset, batch in (("13", "dynamic"), ("17", "3")):
            path = export(stem + ".safetensors", stem + ".check.onnx", "--opset", opset, "--batch", batch)
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            assert model.opset_import[0].version == int(opset)
            value, = model.graph.input
            dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            assert value.name == "image" and dims == ["batch" if batch == "dynamic" else 3] + p.shapes[i], dims
            for output in model.graph.output:
                dims = [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
                assert dims == ["batch" if batch == "dynamic" else 3, 7], (output.name, dims)


def test_metadata(p):
    """Labels, preprocessing and calibration travel with it; parameters keep their names and values."""
    model = onnx.load(export(SHIPPED, p.path("metadata.onnx")))
    meta = {e.key: e.value for e in model.metadata_props}
    with open(SHIPPED, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(n))
    own = header.pop("__metadata__")
    wanted = {key: json.loads(own["autodidact." + key]) for key in ("labels", "preprocess", "calibration", "training", "spec")}
    wanted["training"]["learned"] = [1, 2, 3, 4]  # which the file, older than the member, says by its method
    for key, value in wanted.items():
        assert json.loads(meta["autodidact." + key]) == value, key
    assert len(meta["autodidact.sha256"]) == 64
    tensors = {t.name: list(t.dims) for t in model.graph.initializer}
    assert tensors == {name: t["shape"] for name, t in header.items()}
    assert model.producer_name == "autodidact"


def main():
    tests = [(f"{CASES[i][0]} in ONNX Runtime", have_runtime, lambda p, i=i: test_case(p, i)) for i in range(len(CASES))]
    tests += [("opsets in ONNX Runtime", have_runtime, test_opsets),
              ("the shipped model in ONNX Runtime", lambda: have_runtime() and os.path.isdir(CIFAR), test_shipped),
              ("ONNX's checker", lambda: onnx, test_checker), ("metadata", lambda: onnx, test_metadata)]
    failed = False
    print(f"1..{len(tests)}")
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        for number, (name, possible, test) in enumerate(tests, 1):
            if not possible():
                print(f"ok {number} - {name} # SKIP needs node with {RUNTIME}, python3-onnx, or CIFAR-100", flush=True)
                continue
            try:
                test(place)
                print(f"ok {number} - {name}", flush=True)
            except Exception:
                failed = True
                print("".join("# " + l + "\n" for l in traceback.format_exc().splitlines()), end="")
                print(f"not ok {number} - {name}", flush=True)
    return 1 if failed else 0


sys.exit(main())
