#!/usr/bin/env python3
"""The processes that decode, from outside: what they may do, and what it costs when one is stopped or killed in the midst of
a photograph, or who starts them is. Needs Linux; what only root may look at is left out for others."""
import os, re, resource, signal, sys, tempfile, threading, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "api"))
from daemon import Closed, Daemon, Skip, Wire, make_model, once, png, problem, run, until
import processes
from images import black_png, chunk, progressive_bomb

LONG = progressive_bomb(8192, 3051, 39)  # some hundred milliseconds, of a sanitizer some seconds
HELPERS = 4  # two for small images, two for large ones
TOKEN = "token-" + os.urandom(12).hex()
VALUE = "value-" + os.urandom(12).hex()  # of an environment variable
TICK = 1 / os.sysconf("SC_CLK_TCK")


def helpers(d):
    """-> ids of those in the sandbox"""
    found = []
    for pid in processes.family(d.process.pid)[1:]:
        try:
            if processes.status(pid)["Seccomp"] == "2":
                found.append(pid)
        except (OSError, KeyError):
            pass
    return found


def starter(d):
    """-> the one that starts them"""
    parents = {int(processes.status(pid)["PPid"]) for pid in helpers(d)}
    assert len(parents) == 1, parents
    return parents.pop()


def used(pid):
    """-> seconds of processor time"""
    with open(f"/proc/{pid}/stat") as f:
        words = f.read().rpartition(")")[2].split()
    return TICK * (int(words[11]) + int(words[12]))


def state(pid):
    try:
        return processes.status(pid)["State"][0]
    except OSError:
        return None


def counted(d):
    """-> (helpers started, lost)"""
    m = d.metrics()
    return tuple(sum(v for k, v in m.items() if k.split("{")[0] == name) for name in (
        "autodidact_decode_helpers_started_total", "autodidact_decode_helpers_lost_total"))


class Photograph(threading.Thread):
    """Posts one that takes long; its answer and how long it took."""

    def __init__(self, d, headers=()):
        super().__init__(daemon=True)
        self.d, self.headers, self.answer = d, headers, None
        self.start()

    def run(self):
        start = time.monotonic()
        self.answer = self.d.classify(LONG, self.headers, type="image/jpeg")
        self.seconds = time.monotonic() - start

    def done(self):
        self.join(100)
        assert self.answer is not None, "a photograph was never answered"
        return self.answer


def strike(d, number, headers=()):
    """Sends a signal to a helper that is in the midst of a photograph -> (the request, the helper). A photograph that was
    through before is posted again."""
    while True:
        before = {pid: used(pid) for pid in helpers(d)}
        photograph = Photograph(d, headers)
        while photograph.is_alive():
            for pid, seconds in before.items():
                if used(pid) > seconds + 0.05:
                    os.kill(pid, number)
                    if photograph.is_alive():
                        return photograph, pid
            time.sleep(0.002)
        if number == signal.SIGSTOP:
            for pid in before:
                os.kill(pid, signal.SIGCONT)


def replaced(d, *gone):
    """All helpers are there, and those are not among them."""
    until(lambda: len(helpers(d)) == HELPERS and not set(gone) & set(helpers(d)), "the helper is replaced")


def goes_on(d):
    """Images are decoded, the daemon is well."""
    assert d.classify().status == 200
    assert once(d.address, "GET", "/v2/health/live").status == 200
    assert once(d.address, "GET", "/v2/health/ready").status == 200


def memory_of(pid):
    """All bytes that a process can read. Only root may look."""
    out = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if m and not line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                start, end = (int(x, 16) for x in m.groups())
                while start < end:
                    try:
                        memory.seek(start)
                        data = memory.read(min(end - start, 1 << 24))
                    except (OSError, OverflowError):
                        break  # reserved, and not there
                    out.append(data)
                    start += len(data) or end
    return b"".join(out)


d = None


def only_root():
    if os.geteuid() != 0:
        raise Skip("only root may look at a process in the sandbox")


def no_sanitizer():
    if b"Sanitizer" in open(f"/proc/{d.process.pid}/maps", "rb").read() or "asan" in open(f"/proc/{d.process.pid}/maps").read():
        raise Skip("a sanitizer maps the whole address space")


def posture():
    """helpers have a filter of system calls, no capability, no way to more, one thread; the background's are nice"""
    assert d.classify().status == 200
    assert len(helpers(d)) == HELPERS == d.metrics()["autodidact_decode_helpers"]
    for pid in helpers(d):
        s = processes.status(pid)
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2" and s["Threads"] == "1", s
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(s[name], 16) == 0, (name, s[name])
    levels = sorted(os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, d.process.pid) for pid in helpers(d))
    assert levels[:HELPERS // 2] == [0] * (HELPERS // 2) and levels[HELPERS // 2] > 0, levels


def limits():
    """helpers may open no file, start no process, write no file and leave no core"""
    for pid in helpers(d):
        text = open(f"/proc/{pid}/limits").read()
        for name in ("Max open files", "Max processes", "Max file size", "Max core file size"):
            assert re.search(rf"^{name} +0 +0 ", text, re.M), (name, text)


def descriptors():
    """of files a helper has one socket and nothing else, and nothing of the daemon's environment"""
    only_root()
    for pid in helpers(d):
        found = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        found = {fd: to for fd, to in found.items() if fd != "2" or "pipe" not in to and not to.startswith("/")}
        assert set(found) == {"0"} and found["0"].startswith("socket:"), found
        assert VALUE.encode() not in open(f"/proc/{pid}/environ", "rb").read()


def mappings():
    """a helper maps programs, libraries and the memory of its own jobs, and no other helper's; neither model nor state"""
    only_root()
    shared = {}
    for pid in (*helpers(d), starter(d)):
        for line in open(f"/proc/{pid}/maps"):
            words = line.split(None, 5)
            path = words[5].strip() if len(words) > 5 else ""
            assert d.state not in path and "safetensors" not in path, line
            assert "s" not in words[1] or "memfd" in path or "/dev/zero" in path, line
            assert not ("w" in words[1] and "x" in words[1]), line
            if "memfd" in path:
                shared.setdefault(words[4], set()).add(pid)
    assert len(shared) == len(helpers(d)) and all(len(owners) == 1 for owners in shared.values()), shared


def secrets():
    """neither the token nor what another helper is working on lies in a helper's memory"""
    only_root()
    no_sanitizer()
    mark = b"mark-" + os.urandom(12)
    image = png()
    marked = image[:33] + chunk(b"prIv", mark) + image[33:]
    with Wire(d.address) as w:
        assert w.ask("POST", "/v1/classify", marked, [("Content-Type", "image/png")]).status == 200
    have = 0
    for pid in (*helpers(d), starter(d)):
        memory = memory_of(pid)
        assert len(memory) > 100000, len(memory)
        assert TOKEN.encode() not in memory, f"the token is in process {pid}"
        assert VALUE.encode() not in memory, f"the environment is in process {pid}"
        have += mark in memory
    assert have <= 1, f"an image is in {have} processes"


def others_go_on(photograph):
    """-> how many small images were answered while a photograph was not. All of them are."""
    n = 0
    while photograph.is_alive() and n < 1000:
        assert d.classify().status == 200
        n += 1
    return n


def killed():
    """a helper that is killed in the midst costs its request, which gets 503; it is replaced and counted"""
    before = counted(d)
    photograph, pid = strike(d, signal.SIGKILL)
    problem(photograph.done(), 503)
    replaced(d, pid)
    assert counted(d) == (before[0] + 1, before[1] + 1), (before, counted(d))
    goes_on(d)


def crashed():
    """a helper that crashes costs its request, which gets 422; it is replaced and counted"""
    before = counted(d)
    photograph, pid = strike(d, signal.SIGSEGV)
    problem(photograph.done(), 422)
    replaced(d, pid)
    assert counted(d) == (before[0] + 1, before[1] + 1), (before, counted(d))
    goes_on(d)


def stopped():
    """a helper that is stopped in the midst costs its request, within the limit; the others go on; it is replaced"""
    before = counted(d)
    photograph, pid = strike(d, signal.SIGSTOP)
    others_go_on(photograph)
    problem(photograph.done(), 503)
    replaced(d, pid)
    assert counted(d) == (before[0] + 1, before[1] + 1), (before, counted(d))
    goes_on(d)


def starter_stopped():
    """with the starter stopped a stopped helper is given up when its time is over, or its request's is"""
    chief = starter(d)
    for headers, statuses in (((), (503,)), ((("SLA-Deadline-Ms", "2500"),), (503, 504))):
        photograph, pid = None, None
        os.kill(chief, signal.SIGSTOP)
        try:
            photograph, pid = strike(d, signal.SIGSTOP, headers)
            others_go_on(photograph)
            assert photograph.done().status in statuses, photograph.answer
        finally:
            os.kill(chief, signal.SIGCONT)
        replaced(d, pid)
        goes_on(d)


def idle():
    """helpers that are killed while they have nothing to do cost nobody anything"""
    for _ in range(5):
        gone = helpers(d)
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        until(lambda: all(state(pid) in (None, "Z") for pid in gone), "they have ended")
        for _ in range(10):
            answer = d.classify()
            assert answer.status == 200, answer
        for pid in gone:
            replaced(d, pid)


def storm():
    """helpers are killed all the time: each request is answered once, nothing leaks, lost and started ones agree"""
    def open_files():
        return len(os.listdir(f"/proc/{d.process.pid}/fd"))

    statuses, failures, over = {}, [], threading.Event()

    def client(number):
        try:
            with Wire(d.address) as w:
                for i in range(60):
                    body, kind = (LONG, "image/jpeg") if number == 0 and i % 20 == 0 else (png(64 + i, 48, number), "image/png")
                    name = f"{number}-{i}"
                    answer = w.ask("POST", "/v1/classify", body, [("Content-Type", kind), ("X-Request-Id", name)])
                    assert answer.header("X-Request-Id") == name, answer
                    statuses[answer.status] = statuses.get(answer.status, 0) + 1
                assert w.quiet(0.1)
        except Exception as e:
            failures.append(f"{type(e).__name__}: {e}")

    def killer():
        import random
        while not over.wait(0.02):
            try:
                os.kill(random.choice(helpers(d)), signal.SIGKILL)
            except (ProcessLookupError, IndexError):
                pass

    before, files = counted(d), open_files()
    clients = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(4)]
    death = threading.Thread(target=killer, daemon=True)
    for t in (death, *clients):
        t.start()
    for t in clients:
        t.join(300)
        assert not t.is_alive(), "a request was never answered"
    over.set()
    death.join()
    print(f"# {dict(sorted(statuses.items()))}", flush=True)
    assert not failures, failures
    assert sum(statuses.values()) == 240 and set(statuses) <= {200, 503} and statuses[200] >= 100, statuses
    until(lambda: len(helpers(d)) == HELPERS == d.metrics()["autodidact_decode_helpers"], "all are replaced")
    started, lost = (b - a for a, b in zip(before, counted(d)))
    print(f"# {lost:.0f} lost, {started:.0f} started", flush=True)
    assert started == lost > 3 * HELPERS, (started, lost)
    assert open_files() <= files + 2 * HELPERS + 2, (files, open_files())  # a seat lets go of its last one when it is used
    goes_on(d)


def hangups():
    """clients that hang up in the midst of what cannot be stopped cost a helper each, and nothing else"""
    image = black_png(4000, 3000, 16, 6)
    before = counted(d)
    for i in range(12):
        wire = Wire(d.address)
        wire.send(f"POST /v1/classify HTTP/1.1\r\nHost: test\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n")
        wire.send(image)
        time.sleep(0.02 * (i % 4))
        wire.reset()
        assert d.classify().status == 200
    until(lambda: d.metrics()["autodidact_requests_in_flight"] == 0, "nothing is in flight")
    replaced(d)
    started, lost = (b - a for a, b in zip(before, counted(d)))
    print(f"# {lost:.0f} lost, {started:.0f} started", flush=True)
    assert started == lost, (started, lost)
    goes_on(d)


def starter_killed():
    """without who starts them, helpers that are left go on; without any, images get 503, the daemon is live and stops"""
    os.kill(starter(d), signal.SIGKILL)
    time.sleep(0.2)
    assert once(d.address, "GET", "/v2/health/live").status == 200
    for _ in range(10):
        assert d.classify().status in (200, 503)
    assert once(d.address, "GET", "/metrics").status == 200
    status = once(d.address, "GET", "/v2/health/ready").status
    assert status == 200 and d.classify().status == 200 or status == 503 and d.classify().status == 503


def end():
    """the daemon stops as always, and leaves nobody behind"""
    left = processes.family(d.process.pid)
    assert d.stop() == 0, d.text()
    until(lambda: all(state(pid) in (None, "Z") for pid in left), "all have ended")


def orphans():
    """a daemon that is killed leaves nobody behind, a helper that is stopped neither"""
    e = Daemon(SETTINGS)
    photograph = None
    try:
        assert e.classify().status == 200
        os.kill(helpers(e)[0], signal.SIGSTOP)
        left = processes.family(e.process.pid)
        e.process.kill()
        e.process.wait()
        until(lambda: all(state(pid) in (None, "Z") for pid in left), "all have ended")
    finally:
        e.stop()


def busy_end():
    """a daemon stops though a helper is stopped in the midst of a photograph"""
    with Daemon(SETTINGS) as e:
        left = processes.family(e.process.pid)
        photograph, pid = strike(e, signal.SIGSTOP)
        assert e.stop() == 0
        assert photograph.done().status == 503
        until(lambda: all(state(one) in (None, "Z") for one in left), "all have ended")


def main():
    global d, SETTINGS
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        with open(path, "w") as f:
            f.write(TOKEN + "\n")
        os.chmod(path, 0o600)
        SETTINGS = ["admin.listen=127.0.0.1:0", f"admin.token_file={path}", "decode.helpers=2", "decode.timeout_ms=5000"]
        d = Daemon(SETTINGS, environment={"ENTRUSTED": VALUE})
        tests = [posture, limits, descriptors, mappings, secrets, killed, crashed, stopped, starter_stopped, idle, storm, hangups,
                 starter_killed, end, orphans, busy_end]
        only = sys.argv[1:]
        run([t for t in tests if not only or t.__name__ in only])


main()
