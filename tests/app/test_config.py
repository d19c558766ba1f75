#!/usr/bin/env python3
"""The daemon's command line: where values come from, and what is refused."""
import configparser, os, socket, subprocess, sys, tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../http"))
from wire import BUILD, run

PROGRAM = os.path.join(BUILD, "autodidactd")
FOLDER = tempfile.TemporaryDirectory()


def call(*arguments, environment=()):
    p = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **dict(environment)})
    return p.returncode, p.stdout, p.stderr


def file(text, name="test.conf"):
    path = os.path.join(FOLDER.name, name)
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return path


def values(*arguments, environment=()):
    code, out, err = call("--print-config", *arguments, environment=environment)
    assert code == 0 and err == "", (code, err)
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.read_string(out)
    return {f"{s}.{k}": v for s in parser.sections() for k, v in parser.items(s)}


def refused(words, *arguments, code=1, environment=()):
    got, out, err = call(*arguments, environment=environment)
    assert got == code and out == "" and len(err.splitlines()) == 1, (got, out, err)
    for word in words:
        assert word in err, f"{word!r} is not in {err!r}"


def help_and_version():
    """--help lists every option with its default; --version"""
    code, out, _ = call("--help")
    assert code == 0
    for name, value in values().items():
        assert name in out, name
    code, out, _ = call("--version")
    assert code == 0 and out.startswith("autodidactd ")


def usage():
    """bad usage is exit 2"""
    refused(["--frobnicate"], "--frobnicate", code=2)
    refused(["x"], "x", code=2)
    refused(["--set"], "--set", code=2)
    refused(["--config"], "--config", code=2)
    refused(["duplicate --config"], "--config", "a", "--config", "b", code=2)
    refused(["SECTION.KEY=VALUE"], "--set", "http.listen", code=2)
    refused(["SECTION.KEY=VALUE"], "--set", "listen=1", code=2)


def precedence():
    """flag over environment over file over default"""
    path = file("[engine]\nbatch_max = 5\nworkers = 3\nqueue_max=77\n")
    env = [("AUTODIDACT_ENGINE_BATCH_MAX", "6"), ("AUTODIDACT_ENGINE_WORKERS", "4")]
    got = values("--config", path, "--set", "engine.batch_max=7", environment=env)
    assert (got["engine.batch_max"], got["engine.workers"], got["engine.queue_max"]) == ("7", "4", "77")
    assert values()["engine.batch_max"] == "32"
    assert values("--set", "engine.batch_max=7", "--set", "engine.batch_max=8")["engine.batch_max"] == "8"


def round_trip():
    """what --print-config prints is a file that gives the same"""
    first = values("--set", "http.body_max_bytes=3M", "--set", "train.margin=0.123456789", "--set", "model.file=/a b=c;#d")
    assert first["http.body_max_bytes"] == str(3 << 20) and first["model.file"] == "/a b=c;#d"
    assert values("--set", "train.margin=0.0375")["train.margin"] == "0.0375"
    _, text, _ = call("--print-config", "--set", "http.body_max_bytes=3M", "--set", "train.margin=0.123456789",
                      "--set", "model.file=/a b=c;#d")
    assert values("--config", file(text)) == first


def unknown():
    """an unknown option names file and line, variable, or flag"""
    path = file("# a comment\n[http]\nlisten = 127.0.0.1:0\n\nlisen = 1\n")
    refused([path + ":5:", "http.lisen", "did you mean"], "--config", path)
    path = file("[htpp]\nlisten = 1\n")
    refused([path + ":2:", "htpp.listen", "http.listen"], "--config", path)
    refused(["--set http.lisen=1"], "--check-config", "--set", "http.lisen=1")
    assert values(environment=[("AUTODIDACT_ISA", "reference"), ("AUTODIDACT_DATA", "/x")])
    assert values(environment=[("AUTODIDACT_ISA", "")])
    for more in ([], ["--check-config"], ["--print-config"]):
        refused(["AUTODIDACT_ISA", "avx2", "avx512bf16", '"AVX2"'], environment=[("AUTODIDACT_ISA", "AVX2")], *more)


def kubernetes():
    """a variable of the environment that is no option is told and ignored: Kubernetes sets such for a Service of the name"""
    given = {"AUTODIDACT_SERVICE_HOST": "10.0.0.7", "AUTODIDACT_PORT": "tcp://10.0.0.7:8080", "AUTODIDACT_HTTP_LISEN": "1"}
    code, _, err = call("--check-config", *SPARE, environment=given.items())
    assert code == 0 and [name for name in given if f"warning: environment variable {name}: " in err] == list(given), err
    assert "did you mean http.listen?" in err
    assert values(environment=given.items()) == values()
    refused(["AUTODIDACT_ENGINE_WORKERS"], "--check-config", environment=[("AUTODIDACT_ENGINE_WORKERS", "many")])


def syntax():
    """a file that is none names its line"""
    for text, line, word in (("listen = 1\n", 1, "section"), ("[http\n", 1, "]"), ("[http]\nlisten\n", 2, "key = value"),
                             ("[http]\n= 1\n", 2, "key"), ("[HTTP]\n", 1, "HTTP"), ("[http]\nlisten = a\nlisten = b\n", 3, "line 2"),
                             (b"[http]\nlisten = a\0b\n", 2, "NUL"), ("[http]\nx" + "y" * 5000 + " = 1\n", 2, "longer"), ("[]\n", 1, "[]")):
        path = file(text)
        refused([f"{path}:{line}:", word], "--config", path)
    for good in ("", "\n\n", "\ufeff[http]\n", "[http]\r\nlisten = x:1\r\n", "; c\n# c\n[ http ]\n  listen   =   x:1  ", "[http]\nlisten =\n"):
        assert call("--print-config", "--config", file(good))[0] == 0, good


def units():
    """bytes and times take units, in a file, the environment and a flag alike; comments and quotes"""
    path = file('[http] # public\nbody_max_bytes = 3MiB ; enough\nidle_timeout_ms = 75s\n[model]\nfile = "/a ; b"   # odd\nspecs = /a;b\n')
    got = values("--config", path, "--set", "drain.delay_ms=2 s", environment=[("AUTODIDACT_DRAIN_TIMEOUT_MS", "1min")])
    assert [got[name] for name in ("http.body_max_bytes", "http.idle_timeout_ms", "model.file", "model.specs", "drain.delay_ms",
            "drain.timeout_ms")] == [str(3 << 20), "75000", '"/a ; b"', "/a;b", "2000", "60000"], got


def ranges():
    """values out of range say what is taken"""
    for name, bad in (("http.connection_limit", ("0", "x", "", "1.5", "1e3", "+5", " 5", "99999999999999999999", "-1")),
                      ("http.body_max_bytes", ("1", "5T", "5MM", "M", "9999G", "5s")), ("drain.delay_ms", ("11min", "5M", "1.5s")), ("train.margin", ("2", "-0.1", "nan", "inf", "x", "")),
                      ("sla.default_classifier", ("5", "Deepest", "", "deep")), ("log.level", ("verbose", "")),
                      ("http.listen", ("x" * 2000, "a\nb"))):
        for value in bad:
            refused([name], "--check-config", "--set", f"{name}={value}")


def files():
    """a config file that cannot be read"""
    refused(["/no/such/file"], "--config", "/no/such/file")
    refused([FOLDER.name], "--config", FOLDER.name)
    refused(["larger"], "--config", file(b"#" * (2 << 20)))


def check():
    """--check-config opens what a start would open, changes nothing, and names all that is wrong"""
    state = os.path.join(FOLDER.name, "a", "b")
    base = ["--check-config", "--set", "http.listen=127.0.0.1:0", "--set", f"state.directory={state}"]
    code, out, err = call(*base)
    assert code == 0 and err == "" and out.endswith("the configuration is good\n"), (code, out, err)
    for words in ("http.listen: 127.0.0.1:0", f"admin.listen: unix:{state}/admin.sock", f"state: {state}/, which will be made",
                  "model.file: none", "train.program: "):
        assert words in out, (words, out)
    assert not os.path.exists(os.path.dirname(state))

    def wrong(*expected, warnings=(), settings=()):
        code, out, err = call(*base, *(x for s in settings for x in ("--set", s)))
        lines = err.splitlines()
        found = [l for l in lines if l.startswith("autodidactd: warning: ")]
        assert code == (1 if expected else 0) and len(found) == len(warnings), (code, out, err)
        assert len(lines) == len(expected) + len(found) + bool(expected), err
        for words in (*expected, *warnings):
            assert any(all(w in l for w in words) for l in lines), (words, err)
    text, token = file("hello"), file("secret\n", "token")
    os.chmod(token, 0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        wrong(["http.listen (--set)", address, "another program"], settings=[f"http.listen={address}"])
    with socket.socket(socket.AF_UNIX) as s:
        path = os.path.join(FOLDER.name, "s")
        s.bind(path)
        wrong(settings=[f"http.listen=unix:{path}"])  # nobody listens
        s.listen()
        wrong(["http.listen", path, "another program"], settings=[f"http.listen=unix:{path}"])
        assert os.path.exists(path)
    wrong(["http.listen", "not a socket"], settings=[f"http.listen=unix:{text}"])
    wrong(["state.directory (--set)", text, "Not a directory"], ["state.directory", "admin"], settings=[f"state.directory={text}"])
    wrong(["admin.token_file"], settings=["admin.listen=127.0.0.1:0"])
    wrong(["admin.token_file", "/no/such"], settings=["admin.listen=127.0.0.1:0", "admin.token_file=/no/such"])
    wrong(settings=["admin.listen=127.0.0.1:0", f"admin.token_file={token}"])
    os.chmod(token, 0o644)
    wrong(warnings=[[token, "644"]], settings=["admin.listen=127.0.0.1:0", f"admin.token_file={token}"])
    open(token, "w").close()
    wrong(["admin.token_file", "empty"], warnings=[], settings=["admin.listen=127.0.0.1:0", f"admin.token_file={token}"])
    wrong(["model.file (--set)", "/no/such"], ["image.bytes_max"], settings=["model.file=/no/such", "image.bytes_max=64M"])
    wrong(["model.file", text], settings=[f"model.file={text}"])
    wrong(["model.file", "larger than the 1024 bytes"], settings=[f"model.file={file(b'x' * 2000)}", "model.bytes_max=1K"])
    os.chmod(token, 0o600)
    open(token, "w").write("secret\n")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    both = f"unix:{FOLDER.name}/both"
    for http, admin in ((f"127.0.0.1:{port}", f"127.0.0.1:{port}"), (f"localhost:{port}", f"0.0.0.0:{port}"), (both, both)):
        wrong(["admin.listen", admin, "http.listen", http],
              settings=[f"http.listen={http}", f"admin.listen={admin}", f"admin.token_file={token}"])
    code, _, err = call("--check-config", "--set", "http.listen=127.0.0.1:0", "--set", "state.directory=")
    assert code == 1 and "state.directory (--set)" in err, err
    wrong(["train.program", text], ["train.launcher", "nonesuch"], ["model.specs"], ["train.data_root"], ["log.file"],
          settings=[f"train.program={text}", "train.launcher=nonesuch -np 2", "model.specs=/no/such", f"train.data_root={text}", "log.file=/no/such/log"])
    wrong(warnings=[["engine.workers"]], settings=["engine.workers=1024"])
    log = os.path.join(FOLDER.name, "log")
    wrong(settings=[f"log.file={log}"])
    assert not os.path.exists(log)
    wrong(["log.file"], settings=[f"log.file={FOLDER.name}"])


SPARE = ["--set", "http.listen=127.0.0.1:0", "--set", f"state.directory={FOLDER.name}/spare"]

run([help_and_version, usage, precedence, round_trip, unknown, kubernetes, syntax, units, ranges, files, check])
