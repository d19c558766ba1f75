"""The program `autodidact`: run, refused, and what it writes. Standard library only."""
import hashlib, json, os, struct, subprocess

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "autodidact")
SPEC = os.path.join(TOP, "models", "resnet18.json")


def run(*args, code=0, **more):
    """Runs the program, checks its exit code, returns (stdout, stderr)."""
    p = subprocess.run([PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, **more)
    assert p.returncode == code, f"{' '.join(args)}: exit code {p.returncode}, wanted {code}\n{p.stderr}"
    return p.stdout, p.stderr


def fails(*args, code=1, text="", **more):
    """Fails with one line on stderr that has the text, and says nothing on stdout."""
    out, err = run(*args, code=code, **more)
    assert out == "", out
    assert err.count("\n") == 1 and err.endswith("\n"), err
    assert text in err, f"{text!r} is not in {err!r}"
    return err


def lines(text):
    return [json.loads(l) for l in text.splitlines()]


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def metadata(path):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        return json.loads(f.read(n))["__metadata__"]


def rewrite_metadata(source, out, change):
    """A copy of a model whose metadata change() has changed."""
    with open(source, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), f.read()
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    with open(out, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


REFERENCE = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, text=True).stdout.endswith(" reference kernels\n")


def many_minutes_on_reference(test):
    """For tests of several trainings, which all together would take that long with the reference kernels."""
    test.skipped = REFERENCE
    return test
