"""bench/goodput on a small load: everything that is sent is accounted for, by the client and by the server; a wider model gives
the labels of the narrow one; a generator that was late says so. Prints TAP. Nothing is said about speed."""
import json, os, socket, subprocess, sys, tempfile, threading, traceback

TOP = os.path.abspath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
DATA = os.path.join(os.environ.get("AUTODIDACT_DATA", os.path.join(TOP, "..", "shared", "data")), "cifar-100-binary")
GENERATOR = os.path.join(BUILD, "bench", "openloop", "generator")
OWN_LOGITS = os.path.join(BUILD, "tests", "onnx", "own_logits")
sys.path.insert(0, os.path.join(TOP, "bench", "openloop"))
import traffic, widen

CLASSES = """
[gold]
share = 0.5
deadline = 2000
Priority = u=1
SLA-On-Miss = fail
images = 0-4

[bronze]
share = 0.5
deadline = 2000
told = no
SLA-Classifier = 1
"""


def test_goodput():
    """Two classes against the daemon, under a load that any machine bears."""
    if not os.path.isdir(DATA):
        return "CIFAR-100 is not there"
    with tempfile.TemporaryDirectory() as folder:
        classes, out = os.path.join(folder, "classes"), os.path.join(folder, "out")
        with open(classes, "w") as f:
            f.write(CLASSES)
        p = subprocess.run([sys.executable, os.path.join(TOP, "bench", "goodput"), BUILD, "--data", DATA, "--classes", classes,
                            "--capacity", "50", "--loads", "1", "--seconds", "1", "--rounds", "1", "--images", "20", "--json", out],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
        assert p.returncode == 0, p.stdout + p.stderr
        with open(out) as f:
            found = json.loads(f.readline())["rounds"][0]
    every, gold, bronze = found["all"], found["classes"]["gold"], found["classes"]["bronze"]
    assert every["requests"] == gold["requests"] + bronze["requests"] > 20, found
    for figures in (every, gold, bronze):
        assert figures["answered"] + sum(figures["refused"].values()) == figures["requests"], figures
        assert sum(figures["exits"].values()) == figures["answered"] >= figures["met"], figures
    assert set(bronze["exits"]) <= {"1"} and bronze["said_met"] == 0, bronze
    server, generator = found["server"], found["generator"]
    assert server["met"] + server["missed"] == gold["requests"] and server["met"] >= gold["said_met"], found
    assert server["readiness"]["asked"] == server["readiness"]["ready"] > 0, server
    assert generator["unsent"] == generator["lost"] == generator["unanswered"] == 0, generator


def test_wider():
    """Logits of a network that was made wider, against its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = {name: os.path.join(folder, name) for name in ("narrow", "like", "wide", "inputs", "a", "b")}
        spec = os.path.join(TOP, "models", "resnet18.json")
        for width, name in ((8, "narrow"), (16, "like")):
            subprocess.run([OWN_LOGITS, "make", spec, str(width), "0", path[name]], check=True)
        widen.widen(path["narrow"], path["like"], path["wide"])
        subprocess.run([OWN_LOGITS, "noise", path["narrow"], "5", path["inputs"]], check=True)
        logits = []
        for model, out in (("narrow", "a"), ("wide", "b")):
            subprocess.run([OWN_LOGITS, "run", path[model], path["inputs"], path[out]], check=True)
            values = widen.array.array("f")
            with open(path[out], "rb") as f:
                values.frombytes(f.read())
            logits.append(values)
        assert os.path.getsize(path["wide"]) > 3 * os.path.getsize(path["narrow"])
    largest = max(map(abs, logits[0]))
    worst = max(abs(a - b) for a, b in zip(*logits))
    assert 0 < worst < 1e-5 * largest, (worst, largest)


class Slow:
    """A server that answers the first request of each connection late, in two pieces, and then closes."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self.socket.getsockname()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            client = self.socket.accept()[0]
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        text = b""
        while not text.endswith(b"END"):
            piece = client.recv(4096)
            if not piece:
                return
            text += piece
        threading.Event().wait(0.3)
        body = b'{"detail":"12.5 ms are past","index":7}'
        answer = (b"HTTP/1.1 503 Service Unavailable\r\nSLA-Deadline: missed\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                  % len(body) + body)
        client.sendall(answer[:30])
        threading.Event().wait(0.05)
        client.sendall(answer[30:])
        client.close()


def test_open_loop():
    """Ten requests within 0.1 s to a server that takes 0.3 s for each: none waits for another, over connections that are opened
    as they are needed; with three connections at most, seven are counted as not sent."""
    server = Slow()
    load = traffic.Load([traffic.Class("all", 1, 100, {})], "constant", 100, 0.1, 1, 1)
    assert len(load.requests) == 10
    for connections, sent in ((40, 10), (3, 3)):
        with tempfile.TemporaryDirectory() as folder:
            found = traffic.send(GENERATOR, folder, load, [(7, b"END")], server.address, connections)
        figures = traffic.figures(found)
        answers = [r for r in found.records if r.done_ns >= 0]
        assert len(answers) == sent and figures["generator"]["unsent"] == 10 - sent, figures
        assert all(r.done_ns - r.sent_ns > 300e6 and r.status == 503 and found.notes[r.detail] == "# ms are past" and
                   found.notes[r.deadline] == "missed" for r in answers), figures
        assert figures["all"]["refused"]["503 # ms are past"] == sent and figures["all"]["met"] == 0, figures
        assert sent == 10 or traffic.spoilt(figures) is not None, figures


def test_arrivals():
    import random
    for name, arrivals in traffic.ARRIVALS.items():
        times = list(arrivals(1000, 4, random.Random(3)))
        expected = 2000 if name == "bursts" else 4000
        assert abs(len(times) - expected) < 5 * expected ** 0.5 and times == sorted(times) and times[-1] < 4, name
        if name == "bursts":
            assert all(t % 1 < 0.5 for t in times)


def main():
    tests = [test_goodput, test_wider, test_open_loop, test_arrivals]
    print(f"1..{len(tests)}")
    bad = 0
    for number, test in enumerate(tests, 1):
        try:
            skipped = test()
            print(f"ok {number} {test.__name__}" + (f" # SKIP {skipped}" if skipped else ""), flush=True)
        except Exception:
            bad += 1
            print(f"not ok {number} {test.__name__}", flush=True)
            traceback.print_exc()
    return 1 if bad else 0


sys.exit(main())
