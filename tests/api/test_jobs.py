"""Training jobs end to end: the real daemon, the real trainer, a tiny data set. Prints TAP.

One daemon's state runs through the tests in their order, as it would through days: promoted under load, rejected,
cancelled, killed in the middle, restarted, rolled back."""
import hashlib, json, os, shutil, signal, struct, subprocess, sys, tempfile, threading, time, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "http"), os.path.join(HERE, "..", "tool")]
import contract, wire
from tiny_cifar import write_set

TOOL = os.path.join(wire.BUILD, "autodidact")
DAEMON = os.path.join(wire.BUILD, "autodidactd")
SPECS = os.path.join(wire.SOURCE, "models")
SPEC = os.path.join(SPECS, "resnet18.json")
TOKEN = "a-token-for-tests"
# Sanitizers cost a factor; the bounds of waiting grow with it.
BUILD = subprocess.run([DAEMON, "--version"], stdout=subprocess.PIPE, text=True).stdout
PATIENCE, THREADS = 1 if "sanitizer no" in BUILD else 8, "sanitizer thread" in BUILD
STEPS = 20 if THREADS else 50  # of an epoch
HYPER = {"width": 4, "epochs": 1, "batch": 20, "warmup": 0, "lr": 0.02, "threads": 1, "method": "byot"}


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def png(seed):
    """32x32 RGB, of one colour."""
    row = b"\0" + bytes([seed * 37 % 256, seed * 91 % 256, seed * 53 % 256]) * 32
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(row * 32)) + chunk(b"IEND", b""))


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class World:
    """A folder with data, a first model and the daemon's state."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="jobs-")
        self.data_root = self.path("data")
        # ThreadSanitizer makes an epoch of 1000 images take ten seconds.
        self.data = write_set(os.path.join(self.data_root, "tiny"), 600 if THREADS else 1200)
        os.symlink("/", os.path.join(self.data_root, "way_out"))
        self.state = self.path("state")
        self.token_file = self.path("token")
        with open(self.token_file, "w") as f:
            f.write(TOKEN + "\n")
        self.model = self.path("first.safetensors")
        self.train(self.model, epochs=5 if THREADS else 2, holdout=200, lr=0.05)
        self.process = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def train(self, out, init=None, **more):
        """`autodidact train`, as a user would type it."""
        options = {**HYPER, **more}
        words = [TOOL, "train", *([] if init else [SPEC]), "--data", self.data, "--out", out, "--progress", "none"]
        if init:
            words += ["--init", init]
        for name, value in options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        subprocess.run(words, check=True, timeout=120 * PATIENCE)

    def start(self, *more):
        settings = {"http.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0", "admin.token_file": self.token_file,
                    "state.directory": self.state, "model.file": self.model, "model.specs": SPECS,
                    "train.data_root": self.data_root, "train.margin": "0.2", "drain.delay_ms": "0",
                    "engine.workers": "1"}
        words = [DAEMON]
        for name, value in [*settings.items(), *more]:
            words += ["--set", f"{name}={value}"]
        self.log = open(self.path("log"), "a")
        homeless = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}  # as a service is
        self.process = subprocess.Popen(words, stderr=self.log, stdin=subprocess.DEVNULL, env=homeless)
        listen = os.path.join(self.state, "listen.json")

        def ready():
            assert self.process.poll() is None, self.tail()
            try:
                with open(listen) as f:
                    addresses = json.load(f)
                self.http, self.admin = addresses["http"], addresses["admin"]
                contract.listen(addresses)
                return wire.once(self.http, "GET", "/v2/health/ready").status == 200
            except (OSError, ValueError, wire.Closed):
                return False
        wire.until(ready, "the daemon is ready", 20 * PATIENCE)

    def tail(self):
        with open(self.path("log"), errors="replace") as f:
            return f.read()[-3000:]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(timeout=40 * PATIENCE)
        self.log.close()
        if number == signal.SIGKILL:
            os.unlink(os.path.join(self.state, "listen.json"))
        else:
            assert code == 0, f"exit code {code}\n{self.tail()}"

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, path, body=None, key=None, token=TOKEN):
        headers = [("Authorization", "Bearer " + token)] if token else []
        if key:
            headers.append(("Idempotency-Key", key))
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        return wire.once(self.admin, method, path, body, headers)

    def create(self, key=None, **members):
        body = {"kind": "train", "data": "cifar100:tiny", "model": "resnet18", **HYPER, **members}
        answer = self.call("POST", "/admin/v1/jobs", body, key)
        assert answer.status == 202, answer
        job = answer.json
        assert answer.header("Location") == f"/admin/v1/jobs/{job['id']}" == job["href"], answer
        return job["id"]

    def job(self, number):
        answer = self.call("GET", f"/admin/v1/jobs/{number}")
        assert answer.status == 200, answer
        return answer.json

    def wait(self, number, *states, seconds=60):
        """The job, once it is in one of the states, or over."""
        final = ("succeeded", "rejected", "failed", "cancelled")
        def reached():
            job = self.job(number)
            return job if job["state"] in (states or final) or job["state"] in final else None
        job = wire.until(reached, f"job {number} is {states or 'over'}", seconds * PATIENCE)
        assert not states or job["state"] in states, f"{job}\n{self.tail()}"
        return job

    def serving(self):
        answer = wire.once(self.http, "POST", "/v1/classify", png(1), [("Content-Type", "image/png")])
        assert answer.status == 200, answer
        return answer.json["version"]

    def children(self):
        """Processes that the daemon started for jobs; those that decode images are the daemon's own program."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as f:
                        if f.read().rsplit(")", 1)[1].split()[1] == str(self.process.pid):
                            found.append(int(entry))
                except OSError:
                    pass
        return [pid for pid in found if alive(pid) and os.path.basename(os.readlink(f"/proc/{pid}/exe")) != "autodidactd"]

    def version_file(self, number):
        return os.path.join(self.state, "models", "resnet18", str(number), "model.safetensors")


class Events:
    """The server-sent events of a job, read from a chunked body."""

    def __init__(self, number, timeout=60 * PATIENCE):
        self.wire = wire.Wire(world.admin, timeout)
        self.wire.send(f"GET /admin/v1/jobs/{number}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                       "Accept: text/event-stream\r\n\r\n")
        while b"\r\n\r\n" not in self.wire.buffer:
            self.wire.more()
        head, self.wire.buffer = self.wire.buffer.split(b"\r\n\r\n", 1)
        self.head = head.decode("latin-1").lower()
        assert self.head.startswith("http/1.1 200 "), self.head
        assert "content-type: text/event-stream" in self.head and "transfer-encoding: chunked" in self.head, self.head
        self.text, self.last = b"", 0

    def chunk(self):
        """Adds a chunk to the text; False at the last one."""
        w = self.wire
        while b"\r\n" not in w.buffer:
            w.more()
        line, rest = w.buffer.split(b"\r\n", 1)
        size = int(line, 16)
        while len(rest) < size + 2:
            w.more()
            rest = w.buffer.split(b"\r\n", 1)[1]
        self.text += rest[:size]
        assert rest[size:size + 2] == b"\r\n", rest
        w.buffer = rest[size + 2:]
        return size > 0

    def __iter__(self):
        """(event, data) until the stream ends."""
        more = True
        while more:
            more = self.chunk()
            while b"\n\n" in self.text:
                block, self.text = self.text.split(b"\n\n", 1)
                fields = dict(l.split(": ", 1) for l in block.decode().split("\n") if not l.startswith(":"))
                if "event" in fields:
                    assert int(fields["id"]) == self.last + 1, fields
                    self.last += 1
                    yield fields["event"], json.loads(fields["data"])
        assert self.text == b"", self.text
        self.wire.close()


world = None


def test_promoted():
    """promoted and swapped in under load, no reply lost"""
    answers, stop = [], threading.Event()

    def load():
        with wire.Wire(world.http) as w:
            n = 0
            while not stop.is_set():
                n += 1
                a = w.ask("POST", "/v1/classify", png(n), [("Content-Type", "image/png")])
                answers.append((a.status, a.json.get("version")))
                time.sleep(0.01)  # The training, at a lower priority, needs some of the processor.
    assert world.serving() == 1
    threads = [threading.Thread(target=load) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        number = world.create(init="resnet18", epochs=4, width=4)  # fewer may lose a class, as chance will have it
        job = world.wait(number, "succeeded")
        before = len(answers)
        wire.until(lambda: len(answers) > before + 20, "answers after the swap")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert {s for s, _ in answers} == {200}, answers[-5:]
    versions = [v for _, v in answers]
    assert set(versions) == {1, 2} and world.serving() == 2, set(versions)
    assert job["version"] == 2 and job["attempts"] == 1, job
    assert job["request"]["init"] == "resnet18/1", job
    assert [e["epoch"] for e in job["epochs"]] == [1, 2, 3, 4], job["epochs"]
    assert all(len(e["exits"]) == 4 and 0 <= e["ensemble"]["top1"] <= 1 for e in job["epochs"]), job["epochs"]
    judged = job["judgement"]
    assert judged["verdict"] == "promoted" and judged["serving"]["version"] == 1, judged
    assert judged["result"]["n"] == judged["serving"]["n"] == 200 and judged["note"] is None, judged
    assert judged["result"]["exits"][-1]["top1"] >= judged["serving"]["exits"][-1]["top1"] - 0.2, judged
    assert job["started"] and job["finished"] and "progress" not in job, job
    # The serving one's figures are those that a person gets.
    out = subprocess.run([TOOL, "eval", world.model, "--data", world.data, "--split", "holdout", "--json"],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    assert abs(json.loads(out)["exits"][-1]["top1"] - judged["serving"]["exits"][-1]["top1"]) < 1e-9, out


def kept_choices():
    """-> the option that has a training computed as the daemon's are: by what they have measured"""
    cache = os.path.join(world.state, "cache")
    kept = [n for n in os.listdir(cache) if n.startswith("training-") and not n.endswith(".lock")]
    assert len(kept) == ("reference" not in BUILD), os.listdir(cache)  # whose kernels have one algorithm each
    return {"choices": os.path.join(cache, kept[0])} if kept else {}


def test_same_bits():
    """a job gives the file that the same command gives, computed as it is noted in the state directory"""
    out, choices = world.path("again.safetensors"), kept_choices()
    before = [digest(path) for path in choices.values()]
    world.train(out, init=world.model, epochs=4, **choices)
    assert before == [digest(path) for path in choices.values()]  # nothing was left to be measured
    assert digest(out) == digest(world.version_file(2))


def test_rejected():
    """rejected: learning rate 0; the serving version stays"""
    number = world.create(spec="resnet18", lr=0, holdout=200)
    job = world.wait(number, "rejected")
    assert job["version"] is None and "rejected" in job["reason"], job
    assert job["judgement"]["verdict"] == "rejected", job
    judged = job["judgement"]
    assert judged["serving"]["exits"][-1]["top1"] - judged["result"]["exits"][-1]["top1"] > 0.2, judged
    assert world.serving() == 2 and not os.path.exists(world.version_file(3))


def test_taught():
    """a teacher is a model of the registry, tied to the version that serves when the job is made"""
    number = world.create(spec="resnet18", method="kd", teacher="resnet18", lr=0)
    job = world.wait(number, "rejected")
    assert job["request"]["teacher"] == "resnet18/2", job
    with open(os.path.join(world.state, "jobs", str(number), "result.safetensors"), "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        training = json.loads(json.loads(f.read(size))["__metadata__"]["autodidact.training"])
    assert training["method"] == "kd" and training["teacher"] == digest(world.version_file(2)), training
    assert training["holdout"] == 200, training
    assert job["judgement"]["note"] == "it has not learned what answers now as classifier 1, 2, 3", job


def test_warnings():
    """what can hardly be meant is done, and stands in the job's document and in the list's"""
    number = world.create(spec="resnet18", lr=0, epochs=1, warmup=1, holdout=200)
    wanted = ['"warmup" 1: the whole training is warm-up, since "epochs" is 1',
              '"lr" 0: no parameter learns; only running statistics move']
    assert world.wait(number, "rejected")["warnings"] == wanted
    listed = {job["id"]: job["warnings"] for job in world.call("GET", "/admin/v1/jobs").json["jobs"]}
    assert listed[number] == wanted and listed[1] == [], listed


def test_note():
    """judged on the job's held-out images, with a note where the serving version may have seen them"""
    number = world.create(spec="resnet18", lr=0, holdout=100, holdout_seed=7)
    job = world.wait(number, "rejected")
    judged = job["judgement"]
    assert judged["result"]["n"] == judged["serving"]["n"] == 100, judged
    assert judged["holdout"] == 100 and judged["holdout_seed"] == 7, judged
    assert "another choice of held-out images" in judged["note"], judged


def test_manual():
    """manual: waits for a person, who activates it; stored as whole numbers, it serves like others"""
    number = world.create(init="resnet18/1", promote="manual", lr=0, store="i8")
    job = world.wait(number, "succeeded")
    assert job["version"] == 3 and "waits for a person" in job["reason"], job
    assert job["judgement"]["verdict"] == "waiting" and world.serving() == 2, job
    answer = world.call("POST", "/admin/v1/models/resnet18/activate", {"version": 3})
    assert answer.status == 200 and answer.json["active"] == 3, answer
    assert world.serving() == 3
    assert os.path.getsize(world.version_file(3)) < 0.5 * os.path.getsize(world.version_file(1))
    a = wire.once(world.http, "POST", "/v1/classify", png(1), [("Content-Type", "image/png"), ("SLA-Classifier", "ensemble")])
    assert a.status == 200 and a.json["version"] == 3 and 0 < a.json["confidence"] <= 1, a


def test_rollback():
    """rollback goes to what served before, and further"""
    for version in (2, 1):
        answer = world.call("POST", "/admin/v1/models/resnet18/rollback")
        assert answer.status == 200 and answer.json["active"] == version, answer
        assert world.serving() == version
    answer = world.call("POST", "/admin/v1/models/resnet18/rollback")
    assert answer.status == 409 and "no other version before" in answer.json["detail"], answer
    answer = world.call("POST", "/admin/v1/models/resnet18/activate", {"version": 2})
    assert answer.status == 200 and world.serving() == 2, answer


def test_models():
    """versions with their sources; what is not there is refused"""
    answer = world.call("GET", "/admin/v1/models/resnet18")
    assert answer.status == 200, answer
    versions = answer.json["versions"]
    assert [(v["version"], v["state"], v["source"]) for v in versions] == [
        (1, "ready", "import"), (2, "active", "job"), (3, "ready", "job")], versions
    for v in versions:
        assert v["sha256"] == digest(world.version_file(v["version"])), v
    listed = world.call("GET", "/admin/v1/models").json
    assert listed["models"] == [answer.json], listed
    for method, path, body, status, words in [
            ("POST", "/admin/v1/models/resnet18/activate", {"version": 9}, 404, "no version 9"),
            ("POST", "/admin/v1/models/other/activate", {"version": 1}, 404, "other"),
            ("POST", "/admin/v1/models/other/rollback", None, 404, "other"),
            ("POST", "/admin/v1/models/resnet18/activate", {"version": "2"}, 400, "version"),
            ("POST", "/admin/v1/models/resnet18/activate", {"version": 2, "x": 1}, 400, "version"),
            ("POST", "/admin/v1/models/resnet18/rollback", {"version": 2}, 400, "no members"),
            ("GET", "/admin/v1/models/other", None, 404, "other"),
            ("GET", "/admin/v1/models/UPPER", None, 404, "names"),
            ("DELETE", "/admin/v1/models/resnet18", None, 405, "")]:
        a = world.call(method, path, body)
        assert a.status == status and words in a.json["detail"], (method, path, body, a)
    assert world.serving() == 2


def test_damaged():
    """a version whose file does not load, or is another one, is not activated"""
    path = world.version_file(3)
    with open(path, "rb") as f:
        whole = f.read()
    try:
        for content, words in [(whole[:1000], "model.safetensors"), (None, "model.safetensors"),
                               (open(world.model, "rb").read(), "SHA-256")]:
            os.unlink(path)
            if content is not None:
                with open(path, "wb") as f:
                    f.write(content)
            a = world.call("POST", "/admin/v1/models/resnet18/activate", {"version": 3})
            assert a.status >= 400 and words in a.json["detail"], a
            assert world.serving() == 2
            if content is None:
                open(path, "wb").close()
    finally:
        with open(path, "wb") as f:
            f.write(whole)


def test_idempotency():
    """Idempotency-Key: the same job again, another body is refused"""
    body = {"lr": 0, "spec": "resnet18", "promote": "manual", "epochs": 1, "holdout": 200}
    first = world.create(key="k-1", **body)
    assert world.create(key="k-1", **body) == first
    other = world.call("POST", "/admin/v1/jobs", {"kind": "train", "data": "cifar100:tiny", "spec": "resnet18"}, "k-1")
    assert other.status == 422 and "k-1" in other.json["detail"], other
    second = world.create(key="k-2", **body)
    assert second == first + 1
    bad = world.call("POST", "/admin/v1/jobs", {"kind": "train", "data": "cifar100:tiny", "spec": "resnet18"}, "k 3")
    assert bad.status == 400 and "Idempotency-Key" in bad.json["detail"], bad
    answer = world.call("POST", f"/admin/v1/jobs/{second}/cancel")
    assert answer.status in (200, 202), answer
    assert world.wait(second, "cancelled")["version"] is None
    world.wait(first, "succeeded")
    assert world.create(key="k-1", **body) == first


def test_bad_bodies():
    """bad bodies are refused with the member's name"""
    outside = os.path.join(world.folder, "outside")
    write_set(outside, 20, 20)
    good = {"kind": "train", "data": "cifar100:tiny", "spec": "resnet18"}
    rows = [
        ({**good, "kind": "x"}, 400, "kind"), ({k: v for k, v in good.items() if k != "kind"}, 400, "kind"),
        ({k: v for k, v in good.items() if k != "data"}, 400, "data"),
        ({k: v for k, v in good.items() if k != "spec"}, 400, "spec"),
        ({**good, "epocs": 3}, 400, "epocs"), ({**good, "epochs": "3"}, 400, "epochs"),
        ({**good, "epochs": 0}, 400, "epochs"), ({**good, "epochs": 1.5}, 400, "epochs"),
        ({**good, "epochs": True}, 400, "epochs"), ({**good, "lr": -1}, 400, "lr"), ({**good, "lr": "x"}, 400, "lr"),
        ({**good, "batch": 1}, 400, "batch"), ({**good, "width": -1}, 400, "width"),
        ({**good, "promote": "yes"}, 400, "promote"), ({**good, "kd_scale": "on"}, 400, "kd_scale"),
        ({**good, "method": "--help"}, 400, "method"), ({**good, "method": ["byot"]}, 400, "method"),
        ({**good, "method": "x" * 65}, 400, "method"), ({**good, "schedule": "a b"}, 400, "schedule"),
        ({**good, "model": "../x"}, 400, "model"), ({**good, "model": ".."}, 400, "model"),
        ({**good, "model": "Upper"}, 400, "model"), ({**good, "model": "x" * 65}, 400, "model"),
        ({**good, "spec": "../resnet18"}, 400, "spec"), ({**good, "spec": "nonesuch"}, 404, "spec"),
        ({**good, "init": "resnet18/0"}, 400, "init"), ({**good, "init": "../x"}, 400, "init"),
        ({**good, "init": "resnet18/77"}, 404, "init"), ({**good, "init": "nonesuch"}, 404, "init"),
        ({**good, "method": "kd", "teacher": "resnet18/0"}, 400, "teacher"),
        ({**good, "method": "kd", "teacher": "../x"}, 400, "teacher"),
        ({**good, "method": "kd", "teacher": "resnet18/77"}, 404, "teacher"), ({**good, "teacher": 1}, 400, "teacher"),
        # What its method does not read, or needs, is known before anything is trained.
        ({**good, "method": "nonesuch"}, 400, '"method" nonesuch: it takes baseline, dsn'),
        ({**good, "method": "baseline", "alpha": 0.5}, 400, '"alpha": "method" baseline does not read it: it is of byot'),
        ({**good, "label_smoothing": 2}, 400, '"label_smoothing" 2: it takes a number from 0 to 1'),
        ({**good, "mixup": 1e-7}, 400, '"mixup" 1e-07: it takes 0, or a number from 1e-06'),
        ({**good, "teacher": "resnet18"}, 400, '"teacher": "method" byot does not read it'),
        ({**good, "method": "kd"}, 400, '"method" kd needs "teacher"'),
        ({**good, "precision": "int8"}, 400, '"precision" int8: it takes fp32 or bf16'),
        ({**good, "peer_width": 8}, 400, "peer_width"), ({**good, "kd-scale": True}, 400, "kd-scale"),
        ({**good, "data": "tiny"}, 400, "data"), ({**good, "data": "mnist:tiny"}, 400, "data"),
        ({**good, "data": "cifar100:nonesuch"}, 400, "data"), ({**good, "data": "cifar100:../outside"}, 400, "data"),
        ({**good, "data": "cifar100:" + outside}, 400, "data"), ({**good, "data": "cifar100:/etc"}, 400, "data"),
        ({**good, "data": "cifar100:way_out" + outside}, 400, "data"),
        ({**good, "data": "cifar100:" + "x" * 2000}, 400, "data"), ({**good, "data": 1}, 400, "data"),
        ({**good, "data": "cifar100:ti\0ny"}, 400, ""),
        (b"[]", 400, ""), (b"{", 400, ""), (b'{"kind":"train","kind":"train"}', 400, ""), (b"", 400, ""),
        (b"[" * 3000, 400, ""), (b"x" * 70000, 413, ""),
    ]
    before = len(world.call("GET", "/admin/v1/jobs?limit=1000").json["jobs"])
    for body, status, words in rows:
        a = world.call("POST", "/admin/v1/jobs", body)
        assert a.status == status, (body, a)
        assert words in a.json["detail"] and a.header("Content-Type") == "application/problem+json", (body, a)
    a = wire.once(world.admin, "POST", "/admin/v1/jobs", json.dumps(good).encode(),
                  [("Authorization", "Bearer " + TOKEN), ("Content-Type", "text/plain")])
    assert a.status == 415, a
    for path, status in [("/admin/v1/jobs/0", 404), ("/admin/v1/jobs/99999", 404), ("/admin/v1/jobs/x", 404),
                         ("/admin/v1/jobs/-1", 404), ("/admin/v1/jobs/1e3", 404), ("/admin/v1/jobs?limit=0", 400),
                         ("/admin/v1/jobs?limit=x", 400), ("/admin/v1/jobs?before=-1", 400),
                         ("/admin/v1/jobs/99999999999999999999", 404)]:
        a = world.call("GET", path)
        assert a.status == status, (path, a)
    a = world.call("POST", "/admin/v1/jobs/99999/cancel")
    assert a.status == 404, a
    a = world.call("POST", "/admin/v1/jobs/1/cancel")
    assert a.status == 409 and "succeeded" in a.json["detail"], a
    assert len(world.call("GET", "/admin/v1/jobs?limit=1000").json["jobs"]) == before


def test_failed():
    """what only the trainer can know ends the job with its words"""
    os.makedirs(os.path.join(world.data_root, "empty"), exist_ok=True)
    for members, words in [({"data": "cifar100:empty"}, "train.bin"),
                           ({"spec": "resnet18", "holdout": 5000}, "holdout"),
                           ({"init": "resnet18", "holdout": 300}, "holdout")]:
        members = members if "init" in members else {"spec": "resnet18", **members}
        job = world.wait(world.create(**members), "failed")
        assert words in job["reason"] and job["version"] is None, job
    assert world.serving() == 2


def test_auth():
    """without the token nothing is answered"""
    for method, path in [("GET", "/admin/v1/jobs"), ("POST", "/admin/v1/jobs"), ("GET", "/admin/v1/jobs/1"),
                         ("POST", "/admin/v1/jobs/1/cancel"), ("GET", "/admin/v1/models/resnet18"),
                         ("POST", "/admin/v1/models/resnet18/rollback")]:
        for token in (None, "wrong", TOKEN + "x", TOKEN[:-1]):
            a = world.call(method, path, {} if method == "POST" else None, token=token)
            assert a.status == 401, (method, path, token, a)
            assert a.header("WWW-Authenticate"), a
    for path in ("/admin/v1/jobs", "/admin/v1/models/resnet18"):
        assert wire.once(world.http, "GET", path).status == 404
    assert world.serving() == 2


def test_events():
    """events: the document, progress while it trains, and an end with the job"""
    events = list(Events(1))
    assert len(events) == 1 and events[0][0] == "job", events
    assert events[0][1] == world.job(1), events
    a = world.call("GET", "/admin/v1/jobs/99999/events")
    assert a.status == 404, a
    assert world.call("GET", "/admin/v1/jobs/1/events", token=None).status == 401
    number = world.create(init="resnet18", epochs=5 if THREADS else 30, promote="manual")
    waiting = world.create(init="resnet18", epochs=1000)
    late = Events(waiting)
    for _ in range(5):  # Clients that go away while the stream runs.
        gone = iter(Events(number))
        next(gone)
        gone.gi_frame.f_locals["self"].wire.reset()
    events = list(Events(number))
    states = [data["state"] for name, data in events if name == "job"]
    assert states[-1] == "succeeded" and set(states) <= {"queued", "running", "evaluating", "succeeded"}, states
    order = ["queued", "running", "evaluating", "succeeded"]
    assert states == sorted(states, key=order.index), states
    assert events[-1][1] == world.job(number), events[-1]
    steps = [data["step"] for name, data in events if name == "progress"]
    assert steps and steps == sorted(steps), steps
    assert world.call("POST", f"/admin/v1/jobs/{waiting}/cancel").status in (200, 202)
    events = list(late)
    assert events[0][1]["state"] == "queued" and events[-1][1]["state"] == "cancelled", events


def test_cancelled():
    """cancelled while it trains and while it waits; the process is gone"""
    first, second = world.create(init="resnet18", epochs=1000), world.create(init="resnet18")
    job = world.wait(first, "running")
    wire.until(lambda: "progress" in world.job(first), "progress is shown", 20 * PATIENCE)
    job = world.job(first)
    assert job["progress"]["steps"] == 1000 * STEPS and job["progress"]["epochs"] == 1000, job
    assert world.job(second)["state"] == "queued"
    metrics = wire.once(world.http, "GET", "/metrics").body.decode()
    assert "\nautodidact_training_running 1\n" in metrics, metrics
    pids = world.children()
    assert len(pids) == 1, pids
    with open(f"/proc/{pids[0]}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    assert fields[16] == "10", f"niceness {fields[16]}"
    assert os.sched_getscheduler(pids[0]) == os.SCHED_IDLE
    assert int(fields[2]) == pids[0], "a process group of its own"
    with open(f"/proc/{pids[0]}/oom_score_adj") as f:
        assert f.read().strip() == "1000"
    assert os.readlink(f"/proc/{pids[0]}/cwd") == os.path.join(world.state, "jobs", str(first))
    assert os.readlink(f"/proc/{pids[0]}/fd/0") == "/dev/null"
    kinds = [os.readlink(f"/proc/{pids[0]}/fd/{fd}") for fd in os.listdir(f"/proc/{pids[0]}/fd")]
    assert not any("socket:" in k or ".db" in k for k in kinds), kinds
    a = world.call("POST", f"/admin/v1/jobs/{second}/cancel")
    assert a.status == 200 and a.json["state"] == "cancelled", a
    a = world.call("POST", f"/admin/v1/jobs/{first}/cancel", {})
    assert a.status == 202 and a.json["cancelling"], a
    job = world.wait(first, "cancelled")
    assert job["version"] is None and "cancelled" in job["reason"], job
    assert not alive(pids[0])
    assert world.call("POST", f"/admin/v1/jobs/{first}/cancel").status == 409
    metrics = wire.once(world.http, "GET", "/metrics").body.decode()
    assert "\nautodidact_training_running 0\n" in metrics, metrics
    assert 'autodidact_training_jobs_total{state="cancelled"}' in metrics, metrics
    assert not os.path.exists(os.path.join(world.state, "jobs", str(first), "result.safetensors.ckpt"))


def test_child_killed():
    """a training that something kills goes on from its checkpoint; the third time the job fails"""
    number = world.create(init="resnet18", epochs=1000)
    seen = 0
    for attempt in (1, 2, 3):
        wire.until(lambda: world.job(number)["attempts"] == attempt, f"attempt {attempt}")
        pid, = wire.until(world.children, "the process has started")
        job = wire.until(lambda: (lambda j: j if len(j["epochs"]) > seen else None)(world.job(number)),
                         "another epoch is done", 30 * PATIENCE)
        if attempt > 1: # The first epoch that a new attempt adds follows the last one.
            assert [e["epoch"] for e in job["epochs"]] == list(range(1, len(job["epochs"]) + 1)), job["epochs"]
        seen = len(job["epochs"])
        os.kill(pid, signal.SIGKILL)
    job = world.wait(number, "failed")
    assert job["attempts"] == 3 and "killed by signal 9" in job["reason"], job


def test_daemon_killed():
    """daemon killed in the middle: the job goes on from its checkpoint and is promoted"""
    number = world.create(init="resnet18", epochs=6, seed=5)
    job = wire.until(lambda: (lambda j: j if len(j["epochs"]) >= 2 else None)(world.job(number)), "two epochs", 30 * PATIENCE)
    assert job["state"] == "running", job
    pid, = world.children()
    world.stop(signal.SIGKILL)
    wire.until(lambda: not alive(pid), "the child died with the daemon")
    checkpoint = os.path.join(world.state, "jobs", str(number), "result.safetensors.ckpt")
    assert os.path.exists(checkpoint)
    world.start()
    assert world.serving() == 2
    job = wire.until(lambda: (lambda j: j if j["state"] not in ("queued", "running") or "progress" in j else None)(
        world.job(number)), "it goes on", 20 * PATIENCE)
    assert job["attempts"] == 2, job
    if "progress" in job:
        # An epoch is said before its checkpoint is written, so that none is missing: the first one's stands.
        assert job["progress"]["step"] >= STEPS, job["progress"]
    job = world.wait(number, "succeeded")
    assert [e["epoch"] for e in job["epochs"]] == list(range(1, 7)), job["epochs"]
    assert job["version"] == world.serving() == 6, job
    out = world.path("straight.safetensors")
    world.train(out, init=world.version_file(2), epochs=6, seed=5, **kept_choices())
    assert digest(out) == digest(world.version_file(6)), "the resumed job gives other bits"


def test_orderly_stop():
    """an orderly stop costs a job no attempt; the daemon waits for the checkpoint"""
    number = world.create(init="resnet18", epochs=1000)
    wire.until(lambda: len(world.job(number)["epochs"]) > 1, "two epochs", 30 * PATIENCE)
    pid, = world.children()
    events = iter(Events(number))
    assert next(events)[1]["state"] == "running"
    world.stop()
    assert [data["state"] for name, data in events if name == "job"][-1:] in ([], ["running"], ["queued"])
    assert not alive(pid)
    world.start()
    job = wire.until(lambda: (lambda j: j if "progress" in j else None)(world.job(number)), "it goes on", 20 * PATIENCE)
    assert job["state"] == "running" and job["attempts"] == 1 and job["progress"]["step"] >= 2 * STEPS, job
    assert world.call("POST", f"/admin/v1/jobs/{number}/cancel").status == 202
    world.wait(number, "cancelled")


def test_restart():
    """the activated version serves after a restart; model.file does not undo it, a new file does"""
    assert world.call("POST", "/admin/v1/models/resnet18/activate", {"version": 3}).status == 200
    os.makedirs(os.path.join(world.state, "models", "resnet18", ".new-9"))
    world.stop(signal.SIGKILL)
    world.start()
    assert world.serving() == 3
    assert not os.path.exists(os.path.join(world.state, "models", "resnet18", ".new-9"))
    world.stop()
    world.model = world.path("again.safetensors")
    world.start()
    assert world.serving() == 7
    assert world.call("POST", "/admin/v1/models/resnet18/rollback").json["active"] == 3
    world.stop()
    world.start()
    assert world.serving() == 3


def test_serving_gone():
    """a serving version whose file is gone: the one before it serves, and the log says so"""
    world.stop()
    os.rename(world.version_file(3), world.path("away"))
    world.start()
    assert world.serving() == 6
    assert "3/model.safetensors" in world.tail()
    os.rename(world.path("away"), world.version_file(3))


def test_audit():
    """what changed something is in the audit, refusals too"""
    import sqlite3
    world.stop()
    db = sqlite3.connect(os.path.join(world.state, "autodidact.db"))
    rows = db.execute("SELECT method, path, status, detail FROM audit ORDER BY id").fetchall()
    assert ("POST", "/admin/v1/models/resnet18/activate", 200, "") in rows, rows
    assert any(r[1] == "/admin/v1/jobs" and r[2] == 400 and "epocs" in r[3] for r in rows), rows
    assert any(r[2] == 202 for r in rows) and not any(r[0] == "GET" and r[2] != 401 for r in rows), rows
    assert any(r[0] == "GET" and r[2] == 401 and r[3].startswith("127.0.0.1: ") for r in rows), rows
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
    world.start()


def test_audit_refused():
    """refusals are audited: no token, broken JSON, no such job; past a rate they are only counted"""
    import sqlite3
    path = os.path.join(world.state, "autodidact.db")
    before = sqlite3.connect(path).execute("SELECT max(id) FROM audit").fetchone()[0]
    for body, status in ((b'{"kind":', 400), (b"[]", 400), (b"x" * 70000, 413)):
        assert world.call("POST", "/admin/v1/jobs", body).status == status
    assert wire.once(world.admin, "POST", "/admin/v1/jobs", b"{}", [("Authorization", "Bearer " + TOKEN), ("Content-Type", "a/b")]).status == 415
    assert world.call("POST", "/admin/v1/jobs/99999/cancel").status == 404
    assert world.call("POST", "/admin/v1/nothing", {}).status == 404
    assert world.call("DELETE", "/admin/v1/jobs/1").status == 405
    n = 200
    for i in range(n):
        assert world.call("GET" if i % 2 else "POST", "/admin/v1/jobs", None, token="wrong").status == 401
    assert world.call("POST", "/admin/v1/models/resnet18/activate", {"version": world.serving()}).status == 200
    world.stop()
    db = sqlite3.connect(path)
    rows = db.execute("SELECT method, path, status, detail FROM audit WHERE id > ? ORDER BY id", (before,)).fetchall()
    db.close()
    jobs = [r[2:] for r in rows if r[1] == "/admin/v1/jobs" and r[2] != 401]
    assert [s for s, _ in jobs] == [400, 400, 413, 415], rows
    assert "line 1" in jobs[0][1] and "object" in jobs[1][1] and "70000" in jobs[2][1] and "a/b" in jobs[3][1], jobs
    assert [(r[0], r[1].split("/")[-1], r[2]) for r in rows if r[2] in (404, 405)] == [
        ("POST", "cancel", 404), ("POST", "nothing", 404), ("DELETE", "1", 405)], rows
    assert ("POST", "/admin/v1/models/resnet18/activate", 200, "") in rows, rows
    entered = [r for r in rows if r[1] and r[2] == 401]
    counted = sum(int(r[3].split()[0]) for r in rows if not r[1] and r[2] == 401)
    assert 0 < len(entered) <= 60 and len(entered) + counted == n, (len(entered), counted)  # two windows at most
    world.start()


def test_locked():
    """a second daemon on the same state is refused"""
    p = subprocess.run([DAEMON, "--set", "http.listen=127.0.0.1:0", "--set", f"state.directory={world.state}"],
                       stderr=subprocess.PIPE, text=True, timeout=20)
    assert p.returncode == 1 and "another autodidactd" in p.stderr, p.stderr
    assert world.serving()


def main():
    global world
    wire.leave_out_on_reference("training as a job")
    world = World()
    try:
        world.start()
        wire.run([test_promoted, test_same_bits, test_rejected, test_taught, test_warnings, test_note, test_manual, test_rollback, test_models,
                  test_damaged, test_idempotency, test_bad_bodies, test_failed, test_auth, test_events, test_cancelled,
                  test_child_killed, test_daemon_killed, test_orderly_stop, test_restart, test_serving_gone,
                  test_audit, test_audit_refused, test_locked])
    finally:
        if os.environ.get("TEST_KEEP"):
            print("# kept", world.folder)
            world.process.kill()
        else:
            world.close()


main()
