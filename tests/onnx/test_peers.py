"""bench/peers at tiny width: both sides run, their logits are compared, the figures fit together. Prints TAP. Nothing is
said about speed."""
import json, math, os, shutil, subprocess, sys, tempfile, traceback

TOP = os.path.abspath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
PROGRAM = os.path.join(BUILD, "autodidact")
RUNTIME = os.environ.get("AUTODIDACT_ONNXRUNTIME", os.path.join(BUILD, "node", "node_modules", "onnxruntime-node"))
QUICK = ("--width", "4", "--rounds", "1", "--seconds", "0", "--threads", "1", "--batch", "1,3")


def peers(*args, code=0):
    p = subprocess.run([sys.executable, os.path.join(TOP, "bench", "peers"), PROGRAM, *args], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=300)
    assert p.returncode == code, f"{' '.join(args)}: exit code {p.returncode}\n{p.stdout}{p.stderr}"
    return p.stdout, p.stderr


def have_runtime():
    return shutil.which("node") and os.path.isdir(RUNTIME)


def check_rows(rows, names, exits, threads=(1,)):
    wanted = [(name, exits, t, batch) for name in names for t in threads for batch in (1, 3)]
    assert [(r["network"], r["exits"], r["threads"], r["batch"]) for r in rows] == wanted, rows
    for row in rows:
        theirs = row["onnxruntime"]
        assert math.isclose(theirs["img_per_s"] * theirs["ms"], 1e3 * row["batch"], rel_tol=1e-3), row
        assert set(row["difference"]) <= set(row) and row["difference"], row
        for precision, difference in row["difference"].items():
            ours = row[precision]
            assert math.isclose(ours["ratio"], ours["img_per_s"] / theirs["img_per_s"], rel_tol=1e-3), row
            assert math.isclose(ours["img_per_s"] * ours["ms"], 1e3 * row["batch"], rel_tol=1e-3), row
            # Not 0 either: those would be the same numbers twice.
            assert 0 < difference < (1e-5 if precision == "fp32" else 0.1), row


def test_deepest():
    """Whatever precisions the processor has."""
    out, err = peers(*QUICK[:-4], "--threads", "1,2", "--batch", "1,3", "resnet18", "--json")
    check_rows([json.loads(line) for line in out.splitlines()], ["resnet18"], "deepest", (1, 2))
    assert err.startswith("[1/4] resnet18, 1 thread, batch 1... fp32 ") and "\n[4/4] resnet18, 2 threads, batch 3..." in err


def test_exits():
    for exits in ("all", "2"):
        out, _ = peers(*QUICK, "wrn20-8", "vgg19", "--exits", exits, "--precision", "fp32", "--json")
        check_rows([json.loads(line) for line in out.splitlines()], ["wrn20-8", "vgg19"], exits)


def test_table():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.md")
        assert peers(*QUICK, "--precision", "fp32", "--out", path)[0] == ""
        with open(path) as f:
            lines = f.read().splitlines()
    assert "ONNX Runtime 1." in lines[0] and "autodidact 0." in lines[0] and "width 4" in lines[0], lines[0]
    cells = [[c.strip() for c in l.strip("|").split("|")] for l in lines if l.startswith("| ")]
    assert cells[0] == ["network", "threads", "batch", "ORT ms", "ORT img/s", "fp32 ms", "fp32 img/s", "ratio", "difference"]
    assert [c[:3] for c in cells[2:]] == [["resnet18", "1", "1"], ["resnet18", "1", "3"]], cells


def test_disagreement():
    """Logits that differ by more than is allowed are a failure, and the table is there all the same."""
    out, err = peers(*QUICK, "--precision", "fp32", "--tolerance", "1e-12", code=1)
    assert "| resnet18 | 1 | 3 |" in out
    assert err.count("failed: resnet18, 1 thread, batch ") == 2 and "of the largest" in err, err


def test_failure():
    """What one side refuses is named."""
    _, err = peers(*QUICK, "--exits", "9", code=1)
    assert "failed: resnet18: " in err and "--exits 9: it takes all, deepest, or 1 to 4" in err, err


def test_usage():
    for args, text in ((["resnet9"], "resnet9: models/ has no such network"), (["--batch", "1,0"], "--batch"),
                       (["--precision", "int8"], "--precision"), (["--rounds", "0"], "--rounds takes"),
                       (["--onnxruntime", "/nowhere"], "/nowhere is missing: ./check installs them")):
        out, err = peers(*args, code=2)
        assert out == "" and text in err, err


def main():
    tests = [(f.__name__, have_runtime, f) for f in (test_deepest, test_exits, test_table, test_disagreement, test_failure)]
    tests += [("test_usage", lambda: True, test_usage)]
    failed = False
    print(f"1..{len(tests)}")
    for number, (name, possible, test) in enumerate(tests, 1):
        if not possible():
            print(f"ok {number} - {name} # SKIP needs node with {RUNTIME}", flush=True)
            continue
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Exception:
            failed = True
            print("".join("# " + l + "\n" for l in traceback.format_exc().splitlines()), end="")
            print(f"not ok {number} - {name}", flush=True)
    return 1 if failed else 0


sys.exit(main())
