#!/usr/bin/env python3
"""The daemon and what it reads and keeps: files that never end or that change, disks that are full. Prints TAP."""
import base64, glob, json, os, re, shutil, socket, sqlite3, subprocess, sys, tempfile, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../api"))
from daemon import BUILD, Daemon, Skip, contract, leave_out_with_sanitizers, make_model, once, png, problem, run, until

TOOL = os.path.join(BUILD, "autodidact")


def odd_files(folder):
    """-> {path of what is no regular file: a word of the message}"""
    fifo, sock = os.path.join(folder, "fifo"), os.path.join(folder, "socket")
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(sock)
    return {"/dev/zero": "a device", fifo: "a FIFO", sock: "a socket", folder: "directory"}


def ends(process, seconds=60):
    """Its exit code and what it said; it must end by itself."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{process.args} does not end")
    return process.returncode, (out or "") + (err or "")


def odd_models():
    """model.file that is a device, a FIFO, a socket or a directory: exit 1, one line that names it"""
    with tempfile.TemporaryDirectory() as folder:
        for path, word in odd_files(folder).items():
            d = Daemon(model=path, wait=False)
            code, text = d.process.wait(60), d.text()
            lines = [l for l in text.splitlines() if "error" in l or l.startswith("autodidactd:")]
            assert code == 1 and len(lines) == 1 and path in lines[0] and word in lines[0], (code, text)


def odd_files_of_the_tool():
    """the tool says of such files what they are, whatever they were meant to be"""
    spec = os.path.join(os.environ.get("top_srcdir", "."), "models/resnet18.json")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.safetensors")
        for path, word in odd_files(folder).items():
            if path == folder:
                continue
            for words in (["describe", path], ["eval", path, "--data", "cifar10:" + folder, "--split", "test"], ["import", path, "--spec", spec, "--out", out],
                          ["import", make_model(), "--spec", spec, "--labels", path, "--out", out],
                          ["classify", path, "--url", "http://127.0.0.1:9"]):
                code, text = ends(subprocess.Popen([TOOL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                                   text=True))
                assert code in (1, 2) and path in text and word in text, (words, code, text)
        for name in ("data_batch_1.bin", "batches.meta.txt"):
            os.mkfifo(os.path.join(folder, name))
        code, text = ends(subprocess.Popen([TOOL, "train", spec, "--data", "cifar10:" + folder, "--method", "dsn", "--epochs", "1", "--out", out],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        assert code == 1 and folder in text and "a FIFO" in text, text


def large_model():
    """a model file above model.bytes_max is refused before it is read"""
    d = Daemon(["model.bytes_max=4K"], wait=False)
    assert d.process.wait(60) == 1 and "4096 bytes" in d.text(), d.text()


def stuck_read():
    """a stop ends what a thread waits for: the model file is never read to its end"""
    model = make_model()
    preload = os.path.join(BUILD, "tests/app/stuck_read.so")
    with tempfile.TemporaryDirectory() as folder:
        d = Daemon(["drain.timeout_ms=100"], model=model, state=os.path.join(folder, "state"), wait=False,
                   environment=[("LD_PRELOAD", preload), ("STUCK_READ", model), ("ASAN_OPTIONS", "verify_asan_link_order=0")])
        d.wait_listening()
        assert once(d.address, "GET", "/v2/health/live").status == 200
        assert d.stop() == 1
        assert "stopping hard" in d.text(), d.text()
        assert not any(l.endswith("stopped") for l in d.text().splitlines()), d.text()


def changing_model():
    """model.file that is cut short and written again while it is imported: an error or a model, never a crash"""
    good = open(make_model(width=64), "rb").read()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        over = threading.Event()

        def change():
            while not over.is_set():
                with open(path, "wb") as f:  # as `cp` does
                    f.write(good)
                time.sleep(0.002)
                os.truncate(path, len(good) // 2)
                time.sleep(0.002)
        writer = threading.Thread(target=change)
        writer.start()
        try:
            until(lambda: os.path.exists(path), "the model is written")
            for _ in range(8):
                d = Daemon(model=path, wait=False)
                until(lambda: d.process.poll() is not None or (d.addresses() and "ready" in d.text()), "the import is over", 60)
                code = d.stop()
                assert code in (0, 1), (code, d.text())
        finally:
            over.set()
            writer.join()


class Disk:
    """A small file system of its own, which can be filled or made read-only."""

    def __init__(self, size="32m"):
        self.folder = tempfile.TemporaryDirectory(prefix="autodidact-disk-")
        self.path = self.folder.name
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", self.path],
                                               stderr=subprocess.DEVNULL).returncode != 0:
            raise Skip("only root can mount a file system")
        self.state = os.path.join(self.path, "state")

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.read_only(False)
        subprocess.run(["umount", "-l", self.path], check=True)
        shutil.rmtree(self.path + "-data", ignore_errors=True)

    def read_only(self, on):
        subprocess.run(["mount", "-o", "remount," + ("ro" if on else "rw"), self.path], check=True)

    def fill(self):
        with open(os.path.join(self.path, "filler"), "wb", buffering=0) as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass

    def clear(self):
        os.unlink(os.path.join(self.path, "filler"))


JOB = {"kind": "train", "spec": "resnet18", "method": "dsn", "data": "cifar10:tiny", "epochs": 1, "batch": 20, "width": 4}


def model_of(d, name="resnet18"):
    return once(d.admin, "GET", "/admin/v1/models/" + name).json


def wait_ready(d):
    """By the line of the log, since there may be no listen.json."""
    line = until(lambda: next((l for l in d.text().splitlines() if "listening:" in l), None) or d.dead(), "listening", 60)
    d.address, d.admin = line.split("http ")[1].split(",")[0], line.split("admin ")[1].strip()
    contract.listen({"http": d.address, "admin": d.admin})
    until(lambda: d.ready() or d.dead(), "the daemon is ready", 60)


def serves_but_takes_nothing(d):
    """Ready, though degraded; classifies; refuses jobs and changes with 507 that names the place."""
    health = once(d.address, "GET", "/v2/health/ready")
    assert health.status == 200 and health.json == {"ready": True, "degraded": True}, health
    assert d.classify().status == 200
    assert d.metrics()['autodidact_degraded{part="store"}'] == 1
    problem(once(d.admin, "POST", "/admin/v1/jobs", json.dumps(JOB).encode(), [("Content-Type", "application/json")]), 507, d.state)
    assert once(d.admin, "GET", "/admin/v1/jobs").status == 200


def is_whole(d):
    return "degraded" not in once(d.address, "GET", "/v2/health/ready").json and d.metrics()['autodidact_degraded{part="store"}'] == 0


def job_world(disk):
    """-> settings with which a job can be posted"""
    data = os.path.join(disk.folder.name + "-data")
    os.makedirs(os.path.join(data, "tiny"), exist_ok=True)
    return ["train.data_root=" + data, "model.specs=" + os.path.join(os.environ.get("top_srcdir", "."), "models")]


def stand_in():
    """a version that cannot be read at one start: the one before it serves until it can, and the choice stands"""
    with tempfile.TemporaryDirectory() as state:
        with Daemon(state=state, model=make_model(seed=1)):
            pass
        with Daemon(state=state, model=make_model(seed=2)) as d:
            assert model_of(d)["active"] == 2
        path = os.path.join(state, "models/resnet18/2/model.safetensors")
        os.rename(path, path + ".away")
        with Daemon(state=state, model=None) as d:
            found = model_of(d)
            assert found["active"] == 2 and found["serving"] == 1 and path in found["stands_in"], found
            assert once(d.address, "GET", "/v2/health/ready").json == {"ready": True, "degraded": True}
            assert d.classify().json["version"] == 1
            assert d.metrics()['autodidact_degraded{part="models"}'] == 1
            os.rename(path + ".away", path)
            until(lambda: d.classify().json["version"] == 2, "version 2 serves again", 60)
            found = until(lambda: "stands_in" not in model_of(d) and model_of(d), "the stand-in is over")
            assert found["active"] == 2 and found["serving"] == 2, found
            until(lambda: once(d.address, "GET", "/v2/health/ready").json == {"ready": True}, "health is whole")
            assert sum("version 1 serves instead of version 2" in l for l in d.text().splitlines()) == 1, d.text()


def canary():
    """a version that computes what is not finite, or the same for all images, does not serve: the one before it does"""
    for kind, words in (("infinite", ("classifier 2 computes inf", "not finite")), ("constant", ("classifier 2 computes the same",))):
        with tempfile.TemporaryDirectory() as state:
            with Daemon(state=state):
                pass
            with Daemon(state=state, model=make_model(kind=kind)) as d:
                found = model_of(d)
                assert found["active"] == 2 and found["serving"] == 1 and all(w in found["stands_in"] for w in words), found
                assert d.classify().json["version"] == 1
                activate = ("POST", "/admin/v1/models/resnet18/activate", b'{"version":2}', [("Content-Type", "application/json")])
                problem(once(d.admin, *activate), 422, "version 2 of model resnet18", *words)
                assert d.classify().json["version"] == 1
                answer = once(d.admin, "POST", "/admin/v1/models/resnet18/rollback")
                assert answer.status == 200 and answer.json["active"] == 1, answer
                problem(once(d.admin, *activate), 422, *words)
                assert model_of(d)["active"] == model_of(d)["serving"] == 1, model_of(d)


def damaged_database():
    """a database whose pages are damaged is set aside, and the versions on the disk are entered in a new one"""
    first, second = make_model(seed=1), make_model(seed=2)
    with tempfile.TemporaryDirectory() as state:
        path = os.path.join(state, "autodidact.db")
        for model in (first, second):
            with Daemon(state=state, model=model):
                pass
        for n, (model, serving) in enumerate(((None, 2), (first, 1), (make_model(seed=3), 3)), 1):
            with open(path, "r+b") as f:
                f.seek(4096)
                f.write(b"\xa5" * (os.path.getsize(path) - 4096))
            with Daemon(state=state, model=model) as d:
                assert len(glob.glob(path + ".damaged-*")) == n, os.listdir(state)
                assert d.classify().json["version"] == serving, d.text()
                found = model_of(d)
                assert found["active"] == found["serving"] == serving, found
                assert [v["version"] for v in found["versions"]] == [1, 2, 3][:max(2, serving)], found
                assert "are lost" in d.text() and "version 2 of model resnet18 was found on the disk" in d.text(), d.text()
                time.sleep(1)  # copies are named by the second


def without_constraints(path):
    """-> a connection to a database in whose tables anything can be written, and what puts the constraints back"""
    def change(fn):
        with sqlite3.connect(path, isolation_level=None) as c:
            c.execute("PRAGMA writable_schema=ON")
            for name, sql in c.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall():
                c.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (fn(name, sql), name))
        c.close()
    kept = {}

    def loose(name, sql):
        kept[name] = sql
        sql = re.sub(r"CHECK \((\w+ (=|>|IN|BETWEEN)[^()]*(\([^()]*\))?|length[^=]*= 64)\)", "", sql).replace("NOT NULL", "")
        sql = sql.replace(" STRICT, WITHOUT", " WITHOUT").replace(" STRICT", "")
        return re.sub(r"\b(INTEGER|TEXT)\b(?! PRIMARY KEY)", "", sql)
    change(loose)
    return sqlite3.connect(path, isolation_level=None), lambda: change(lambda name, sql: kept[name])


def damaged_rows():
    """rows of jobs that cannot be what was written: each is named in the log and left out, the rest is served"""
    good = {"state": 5, "model": "m", "request": json.dumps(JOB), "created": 1, "started": 2, "finished": 3, "attempts": 1, "version": 0,
            "judgement": None, "reason": "why"}
    odd = [("state", 77), ("state", -1), ("state", None), ("state", "x"), ("model", None), ("model", "../../etc"), ("model", 7),
           ("model", "m" * 100000), ("request", None), ("request", b"\0\xff"), ("request", "x" * (2 << 20)), ("created", "x"), ("created", -1 << 63),
           ("started", None), ("finished", 1.5), ("attempts", -1), ("attempts", 1 << 60), ("version", "x"), ("judgement", 5),
           ("judgement", "x" * (80 << 20)), ("reason", b"x"), ("reason", "x" * (1 << 20))]
    with tempfile.TemporaryDirectory() as folder:
        state, tool = os.path.join(folder, "state"), os.path.join(folder, "tool")
        with open(tool, "w") as f:
            f.write("#!/bin/sh\nexit 3\n")
        os.chmod(tool, 0o755)
        os.makedirs(os.path.join(folder, "tiny"))
        settings = ["train.data_root=" + folder, "train.program=" + tool,
                    "model.specs=" + os.path.join(os.environ.get("top_srcdir", "."), "models")]
        with Daemon(settings, state=state):
            pass
        db, restore = without_constraints(os.path.join(state, "autodidact.db"))

        def add(**values):
            return db.execute(f"INSERT INTO job ({','.join(values)}) VALUES ({','.join('?' * len(values))})", list(values.values())).lastrowid
        whole = [add(**good), add(**{**good, "judgement": "no JSON"})]
        damaged = [add(**{**good, column: value}) for column, value in odd] + [add(**{**good, "state": 0, "request": None})]
        epochs = [(1, '{"epoch":1}'), (2, None), (3, "no JSON"), (4, "x" * (80 << 20)), (5, 5), ("six", '{"epoch":6}'), (7, '{"epoch":7}')]
        db.executemany("INSERT INTO epoch VALUES (?, ?, ?)", [(whole[0], *e) for e in epochs])
        db.executemany("INSERT INTO idempotency VALUES (?, ?, ?, 1)", [("odd", None, 1), ("text", "x", "y"), (5, "x" * (1 << 20), 1)])
        db.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", [(7, "x", None, 5, b"\0", "x", None), (1 << 62, 1, "", "", "x" * (1 << 20), 1, "")])
        db.close()
        restore()
        with Daemon(settings, state=state) as d:
            assert not glob.glob(os.path.join(state, "*damaged*")), os.listdir(state)
            for _ in range(2):
                listed = once(d.admin, "GET", "/admin/v1/jobs")
                assert listed.status == 200 and [j["id"] for j in listed.json["jobs"]] == whole[::-1], listed
                found = once(d.admin, "GET", f"/admin/v1/jobs/{whole[0]}")
                assert found.status == 200 and [e["epoch"] for e in found.json["epochs"]] == [1, 7], found
                for number in damaged:
                    problem(once(d.admin, "GET", f"/admin/v1/jobs/{number}"), 500, f"job {number}")
            text = d.text()
            for number in damaged:
                assert len(re.findall(rf"job {number}\b.*it is left out", text)) in (1, 2), (number, text)  # once a connection
            posted = {"Content-Type": "application/json"}
            for key, status in (("odd", 500), ("text", 500), ("new", 202)):
                answer = once(d.admin, "POST", "/admin/v1/jobs", json.dumps(JOB).encode(), [*posted.items(), ("Idempotency-Key", key)])
                assert answer.status == status, answer
            until(lambda: once(d.admin, "GET", answer.header("Location")).json["state"] == "failed", "the queue goes on")
            assert d.classify().status == 200


def damaged_versions():
    """rows of versions and of what is active that cannot be what was written: what is on the disk serves all the same"""
    changes = ["version SET number = 'x' WHERE id = 2", "version SET number = -5 WHERE id = 2", "version SET model = '../x' WHERE id = 2",
               "version SET model = NULL WHERE id = 2", "version SET sha256 = NULL WHERE id = 2", "version SET ready = 7, created = 'x', detail = 5 WHERE id = 2",
               "model SET current = 77", "model SET current = 'x', last_number = 'y'", "activation SET version = 99 WHERE id = 2", "activation SET previous = 2"]
    with tempfile.TemporaryDirectory() as folder:
        whole, state = os.path.join(folder, "whole"), os.path.join(folder, "state")
        for seed in (1, 2):
            with Daemon(state=whole, model=make_model(seed=seed)):
                pass
        for change in changes:
            shutil.rmtree(state, ignore_errors=True)
            shutil.copytree(whole, state)
            db, restore = without_constraints(os.path.join(state, "autodidact.db"))
            db.execute("UPDATE " + change)
            db.close()
            restore()
            with Daemon(state=state, model=None) as d:
                answer = d.classify()
                assert answer.status == 200 and answer.json["version"] in (1, 2), (change, answer, d.text())
                assert once(d.admin, "GET", "/admin/v1/jobs").status == 200
                found = once(d.admin, "GET", "/admin/v1/models")
                assert found.status == 200, (change, found)
                answer = once(d.admin, "POST", "/admin/v1/models/resnet18/activate", b'{"version":1}', [("Content-Type", "application/json")])
                assert answer.status == 200 and answer.json["serving"] == 1, (change, answer, d.text())


def read_only_disk():
    """on a read-only disk the daemon serves what is there, refuses changes with 507, and goes on when it can be written"""
    with Disk() as disk:
        with Daemon(job_world(disk), state=disk.state):
            pass
        disk.read_only(True)
        d = Daemon(job_world(disk), state=disk.state, wait=False)
        try:
            wait_ready(d)
            serves_but_takes_nothing(d)
            assert model_of(d)["active"] == 1 and model_of(d)["serving"] == 1
            p = subprocess.run([os.path.join(BUILD, "autodidactd"), "--check-config", "--set", "http.listen=127.0.0.1:0", "--set",
                                f"state.directory={disk.state}"], capture_output=True, text=True, timeout=60)
            assert p.returncode == 0 and "warning: state.directory" in p.stderr, p
            disk.read_only(False)
            until(lambda: is_whole(d), "changes are taken again", 60)
        finally:
            assert d.stop() == 0, d.text()


def read_only_and_empty(made=True):
    """with nothing but a read-only directory model.file is served all the same"""
    with Disk() as disk:
        if made:
            os.mkdir(disk.state)
        disk.read_only(True)
        d = Daemon(job_world(disk), state=disk.state, wait=False)
        try:
            wait_ready(d)
            serves_but_takes_nothing(d)
            disk.read_only(False)
            until(lambda: is_whole(d), "changes are taken again", 60)
            until(lambda: model_of(d).get("active") == 1, "the model is kept")
            assert d.classify().json["version"] == 1
        finally:
            assert d.stop() == 0, d.text()
        with Daemon(job_world(disk), state=disk.state, model=None) as d:
            assert d.classify().json["version"] == 1


def read_only_without_directory():
    """the same where not even the state directory is there"""
    read_only_and_empty(made=False)


def full_disk():
    """on a full disk the daemon serves what is there, and goes on when there is room"""
    for stopped_before in (True, False):
        with Disk() as disk:
            d = Daemon(job_world(disk), state=disk.state)
            if stopped_before:
                assert d.stop() == 0
            disk.fill()
            if stopped_before:
                d = Daemon(job_world(disk), state=disk.state, wait=False)
                wait_ready(d)
                assert d.classify().status == 200
            problem(once(d.admin, "POST", "/admin/v1/jobs", json.dumps(JOB).encode(), [("Content-Type", "application/json")]), 507, d.state)
            assert d.classify().status == 200
            disk.clear()
            until(lambda: is_whole(d), "changes are taken again", 60)
            assert d.stop() == 0, d.text()


def full_disk_at_first():
    """a disk too small for the model: it serves, and is kept when there is room"""
    with Disk() as disk:
        disk.fill()
        with open(os.path.join(disk.path, "filler"), "r+b") as f:
            f.truncate(os.path.getsize(f.name) - (300 << 10))  # for the database, not for a model
        with Daemon(state=disk.state, model=make_model(width=32)) as d:
            assert d.classify().status == 200
            assert d.metrics()['autodidact_degraded{part="models"}'] == 1, d.text()
            disk.clear()
            until(lambda: d.metrics()['autodidact_degraded{part="models"}'] == 0, "the model is kept", 60)
            assert model_of(d)["active"] == model_of(d)["serving"], model_of(d)


def audit_on_a_full_disk():
    """entries of the audit that find no room: one line for the cause, and one that says how many are missing"""
    with Disk() as disk:
        with Daemon(job_world(disk), state=disk.state) as d:
            disk.fill()
            for _ in range(40):
                assert once(d.admin, "POST", "/admin/v1/jobs/99/cancel").status == 404
            disk.clear()
            until(lambda: once(d.admin, "POST", "/admin/v1/jobs/99/cancel").status and "entries are made again" in d.text(), "there is room")
            lines = [l for l in d.text().splitlines() if " audit" in l]
            assert len(lines) == 2 and re.search(r"audit of POST .*(full|space)", lines[0]) and re.search(r"[1-9]\d* are missing", lines[1]), lines


def locked_database():
    """a database that another program has locked: the daemon starts, serves, says so, and goes on when it is free"""
    with tempfile.TemporaryDirectory() as state:
        with Daemon(state=state):
            pass
        other = sqlite3.connect(os.path.join(state, "autodidact.db"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with Daemon(state=state) as d:
            assert d.classify().json["version"] == 1
            assert d.metrics()['autodidact_degraded{part="store"}'] == 1
            assert "locked" in d.text(), d.text()
            assert once(d.admin, "GET", "/admin/v1/jobs").status == 200
            other.execute("ROLLBACK")
            until(lambda: d.metrics()['autodidact_degraded{part="store"}'] == 0, "it takes changes again", 60)
            until(lambda: once(d.admin, "POST", "/admin/v1/jobs/99/cancel").status == 404, "jobs are looked for again")
            other.execute("BEGIN IMMEDIATE")  # while it runs: who only asks does not wait
            assert once(d.admin, "GET", "/admin/v1/jobs").status == 200 and d.classify().status == 200
            other.execute("ROLLBACK")
        other.close()


def killed_children():
    """a job whose process something kills at once is tried again after pauses, not in a hot loop"""
    with tempfile.TemporaryDirectory() as folder:
        tool, starts = os.path.join(folder, "tool"), os.path.join(folder, "starts")
        with open(tool, "w") as f:
            f.write(f"#!/bin/sh\ndate +%s.%N >> {starts}\nkill -9 $$\n")
        os.chmod(tool, 0o755)
        os.makedirs(os.path.join(folder, "tiny"))
        settings = ["train.data_root=" + folder, "train.program=" + tool,
                    "model.specs=" + os.path.join(os.environ.get("top_srcdir", "."), "models")]
        with Daemon(settings) as d:
            answer = once(d.admin, "POST", "/admin/v1/jobs", json.dumps(JOB).encode(), [("Content-Type", "application/json")])
            assert answer.status == 202, answer
            found = until(lambda: (lambda j: j["state"] == "failed" and j)(once(d.admin, "GET", "/admin/v1/jobs/1").json), "it has failed", 60)
            assert found["attempts"] == 3 and "killed by signal 9" in found["reason"], found
            with open(starts) as f:
                at = [float(l) for l in f]
            assert len(at) == 3 and at[1] - at[0] > 0.9 and at[2] - at[1] > 1.9, at


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def gated_tool(disk):
    """-> a tool that fails once its gate is there, and that gate"""
    gate, tool = os.path.join(disk.folder.name + "-data", "gate"), os.path.join(disk.folder.name + "-data", "tool")
    with open(tool, "w") as f:
        f.write(f"#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.05; done\nexit 3\n")
    os.chmod(tool, 0o755)
    return tool, gate


def queue_on_a_full_disk():
    """a queue and a full disk: pauses, a line for a cause, no work; with room again they go on"""
    with Disk() as disk:
        settings = job_world(disk)
        tool, gate = gated_tool(disk)
        with Daemon(settings + ["train.program=" + tool], state=disk.state) as d:
            for _ in range(3):
                answer = once(d.admin, "POST", "/admin/v1/jobs", json.dumps(JOB).encode(), [("Content-Type", "application/json")])
                assert answer.status == 202, answer
            until(lambda: once(d.admin, "GET", "/admin/v1/jobs/1").json["state"] == "running", "the first job runs")
            disk.fill()
            open(gate, "w").close()
            time.sleep(1)
            lines, before = len(d.text().splitlines()), processor_seconds(d.process.pid)
            time.sleep(5)
            used = processor_seconds(d.process.pid) - before
            assert used < 1.5, f"{used} s of processor in 5 s"
            assert len(d.text().splitlines()) - lines < 10, d.text()
            disk.clear()
            until(lambda: all(j["state"] == "failed" for j in once(d.admin, "GET", "/admin/v1/jobs").json["jobs"]), "all have ended", 120)


def job_ends_on_a_full_disk():
    """a job that ends while the disk is full is what it is in the API at once, and in the database when there is room"""
    with Disk() as disk:
        settings = job_world(disk)
        tool, gate = gated_tool(disk)
        with Daemon(settings + ["train.program=" + tool], state=disk.state) as d:
            answer = once(d.admin, "POST", "/admin/v1/jobs", json.dumps(JOB).encode(), [("Content-Type", "application/json")])
            assert answer.status == 202, answer
            until(lambda: once(d.admin, "GET", "/admin/v1/jobs/1").json["state"] == "running", "the job runs")
            disk.fill()
            open(gate, "w").close()
            found = until(lambda: once(d.admin, "GET", "/admin/v1/jobs/1").json["state"] != "running"
                          and once(d.admin, "GET", "/admin/v1/jobs/1").json, "the job has ended")
            assert found["state"] == "failed" and "exit code 3" in found["reason"], found
            assert once(d.admin, "GET", "/admin/v1/jobs").json["jobs"][0]["state"] == "failed"
            disk.clear()
        with Daemon(settings + ["train.program=" + tool], state=disk.state) as d:
            found = once(d.admin, "GET", "/admin/v1/jobs/1").json
            assert found["state"] == "failed" and "exit code 3" in found["reason"], found


def serves_within(megabytes):
    """Whether a daemon with so much memory listens; else it must have ended with one clear error. What it is asked it answers, and
    it stops in good order."""
    large = json.dumps({"images": [base64.b64encode(png()).decode()] * 60}).encode() + b" " * (4 << 20)
    # OpenBLAS makes its threads when it is loaded, and ends a process that has no memory for them.
    d = Daemon(["engine.workers=2", "drain.timeout_ms=2000"], wait=False, memory_max=megabytes << 20, environment=[("OPENBLAS_NUM_THREADS", "1")])
    try:
        until(lambda: d.process.poll() is not None or "ready" in d.text() or "there is no model" in d.text(), f"{megabytes} MB: a start", 60)
        listens = d.process.poll() is None
        if listens:
            d.wait_listening()
            for _ in range(2):
                for body, type in ((png(), "image/png"), (large, "application/json")):
                    answer = once(d.address, "POST", "/v1/classify", body, [("Content-Type", type)])
                    assert answer.status in (200, 500, 503, 504), (megabytes, answer, d.text())
    finally:
        code = d.stop()
    assert code == (0 if listens else 1), (megabytes, code, d.text())
    if not listens:
        errors = [l for l in d.text().splitlines() if " error: " in l or l.startswith("autodidactd: ")]
        assert len(errors) == 1, (megabytes, d.text())
    return listens


def short_memory():
    """any limit of memory: a start ends in one clear error or serves, every request has an answer, nothing aborts"""
    leave_out_with_sanitizers()
    low, high = 100, 1600
    assert not serves_within(low) and serves_within(high)
    while high - low > 10:  # the border is where the most goes wrong
        middle = (low + high) // 2
        if serves_within(middle):
            high = middle
        else:
            low = middle
    for more in (15, 30, 60, 100, 150, 250):
        serves_within(high + more)


run([odd_models, odd_files_of_the_tool, large_model, stuck_read, changing_model, stand_in, canary, damaged_database, damaged_rows,
     damaged_versions, read_only_disk, read_only_and_empty, read_only_without_directory, full_disk,
     full_disk_at_first, queue_on_a_full_disk, job_ends_on_a_full_disk, audit_on_a_full_disk, locked_database,
     killed_children, short_memory])
