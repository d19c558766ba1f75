#!/usr/bin/env python3
"""The daemon from outside: start, what stops a start, signals, draining, the admin listener's door, restart."""
import contextlib, json, os, signal, socket, stat, subprocess, sys, tempfile, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../api"))
from daemon import BUILD, Closed, Daemon, Wire, make_model, once, png, problem, run, until
from wire import has_reference_kernels

SLOW = ["engine.workers=1", "engine.batch_max=2"]


def has_v6():
    try:
        with open("/proc/net/if_inet6") as f:  # its size is 0, whatever it holds
            return f.read(1) != ""
    except OSError:
        return False


def slow_body(n, seed=0):
    import base64
    return json.dumps({"images": [base64.b64encode(png(seed=seed + i)).decode() for i in range(n)]}).encode()


def fails(words, settings=(), model="", state=None, arguments=(), environment=()):
    """A start that must fail: exit 1, one line of error that holds the words."""
    d = Daemon(settings, model, state, arguments, environment, wait=False)
    code = d.process.wait(60)
    lines = [l for l in d.text().splitlines() if "error" in l or l.startswith("autodidactd:")]
    assert code == 1 and len(lines) == 1, (code, d.text())
    for word in words:
        assert word in lines[0], f"{word!r} is not in {lines[0]!r}"


def addresses():
    """listen.json and one log line hold the real ports; the file is gone after the stop"""
    with Daemon() as d:
        assert set(d.addresses()) == {"http", "admin"} and int(d.address.rsplit(":", 1)[1]) > 0
        assert d.admin == f"unix:{d.state}/admin.sock"
        assert len([l for l in d.text().splitlines() if d.address in l and d.admin in l]) == 1
        assert d.stop() == 0
        assert d.addresses() is None and not os.path.exists(d.admin[5:])


def locked():
    """a state directory has one daemon"""
    with Daemon() as d:
        fails([d.state, "state.directory"], state=d.state)
        assert d.classify().status == 200


def not_ready_without_model():
    """without a model: live, not ready, 503 with Retry-After"""
    with Daemon(model=None, wait=False) as d:
        d.wait_listening()
        assert once(d.address, "GET", "/v2/health/live").json == {"live": True}
        for answer in (once(d.address, "GET", "/v2/health/ready"), d.classify()):
            problem(answer, 503, "load")
            assert answer.header("Retry-After") == "1"
        assert once(d.address, "GET", "/v1/models").json == {"models": []}
        assert once(d.address, "GET", "/metrics").status == 200


def bad_models():
    """a model file that is missing, empty, cut short, or that lies: exit 1 and one line that names it"""
    with tempfile.TemporaryDirectory() as folder:
        good = open(make_model(), "rb").read()
        size = int.from_bytes(good[:8], "little")
        header = json.loads(good[8:8 + size])

        def variant(change):
            other = json.loads(json.dumps(header))
            change(other)
            text = json.dumps(other).encode()
            return len(text).to_bytes(8, "little") + text + good[8 + size:]
        first = next(k for k in header if k != "__metadata__")
        variants = {
            "missing": None, "empty": b"", "short-header": good[:100], "short-data": good[:-1], "long": good + b"x",
            "huge-header": (1 << 60).to_bytes(8, "little") + good[8:],
            "offsets": variant(lambda h: h[first].update(data_offsets=[0, 1 << 40])),
            "overlap": variant(lambda h: h[first].update(data_offsets=[4, h[first]["data_offsets"][1] + 4])),
            "shape": variant(lambda h: h[first].update(shape=[1 << 31, 1 << 31, 1 << 31])),
            "no-spec": variant(lambda h: h["__metadata__"].pop("autodidact.spec")), "text": b"hello\n" * 1000}
        for name, data in variants.items():
            path = os.path.join(folder, name + ".safetensors")
            if data is not None:
                with open(path, "wb") as f:
                    f.write(data)
            fails([path], model=path)


def bad_addresses():
    """addresses that are none, that are taken, or that are a file"""
    with Daemon() as d:
        fails(["http.listen", d.address, "another program"], ["http.listen=" + d.address])
    for bad in ("localhost", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:80x", "::1:80", ":", "", "80x", "unix:", "[::1]"):
        fails(["http.listen"], ["http.listen=" + bad])
    with tempfile.NamedTemporaryFile() as f:
        fails(["http.listen", "not a socket"], ["http.listen=unix:" + f.name])


def living_socket():
    """a UNIX socket that somebody listens on is not taken, and nobody removes another's"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        setting = ["http.listen=unix:" + path]
        with Daemon(setting) as d:
            fails(["http.listen", path, "another program"], setting)
            assert d.classify().status == 200
            os.unlink(path)
            with Daemon(setting) as e:
                assert d.stop() == 0
                assert e.classify().status == 200
            assert not os.path.exists(path)


def socket_paths():
    """a path that is too long for a socket: what set it, and where"""
    with tempfile.TemporaryDirectory() as folder:
        path, long = os.path.join(folder, "test.conf"), os.path.join(folder, "x" * 120)
        with open(path, "w") as f:
            f.write(f"[http]\n\nlisten = 127.0.0.1:0\n[admin]\nlisten = unix:{long}\n")
        fails([f"admin.listen ({path}:5): unix:{long}", "107"], arguments=["--config", path])
        fails([f"http.listen (AUTODIDACT_HTTP_LISTEN): unix:{long}", "107"], {"http.listen": None},
              environment=[("AUTODIDACT_HTTP_LISTEN", "unix:" + long)])
        fails(["state.directory (--set): admin.listen: unix:", "107"], state=long)
        here = os.path.relpath(folder)
        with Daemon(["http.listen=unix:" + os.path.join(here, "s")], state=os.path.join(here, "state")) as d:
            assert d.addresses() == {"http": f"unix:{folder}/s", "admin": f"unix:{folder}/state/admin.sock"}, d.addresses()


def all_addresses():
    """a port alone, and [::], take IPv6 and IPv4; a name its IPv4 address"""
    with Daemon(["http.listen=localhost:0"]) as d:
        assert d.address.startswith("127.0.0.1:")
    for listen in (["0", ":0", "*:0"] + ["[::]:0"] * has_v6()):
        with Daemon(["http.listen=" + listen], wait=False) as d:
            host, port = until(lambda: d.addresses() or d.dead(), "listening")["http"].rsplit(":", 1)
            assert host == ("[::]" if has_v6() else "0.0.0.0")
            for to in ["127.0.0.1"] + ["::1"] * has_v6():
                with socket.create_connection((to, int(port)), 20) as s:
                    s.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    assert s.recv(100).startswith(b"HTTP/1.1 200 ")


def private_files():
    """what the state directory holds is its owner's alone, whatever the umask; so is a database of before"""
    with tempfile.TemporaryDirectory() as folder:
        state, before = os.path.join(folder, "state"), os.umask(0)
        try:
            for _ in range(2):
                with Daemon(state=state) as d:
                    for at, folders, files in os.walk(state):
                        for name in folders + files:
                            mode = stat.S_IMODE(os.lstat(os.path.join(at, name)).st_mode)
                            assert mode & 0o077 == 0, (at, name, oct(mode))
                os.chmod(os.path.join(state, "autodidact.db"), 0o644)
        finally:
            os.umask(before)


def closed_stderr():
    """with stdin, stdout and stderr closed nothing is written into a file that took their numbers"""
    with tempfile.TemporaryDirectory() as folder:
        command = (f'exec {BUILD}/autodidactd --set http.listen=127.0.0.1:0 --set state.directory={folder} --set drain.delay_ms=0 '
                   f'--set model.file={make_model()} <&- >&- 2>&-')
        process = subprocess.Popen(["sh", "-c", command])
        until(lambda: os.path.exists(os.path.join(folder, "listen.json")) or process.poll() is not None, "listening")
        for fd in range(3):
            assert os.readlink(f"/proc/{process.pid}/fd/{fd}") == "/dev/null"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def other_listeners():
    """the public listener on IPv6 and on a UNIX socket; a stale socket file is replaced"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        with Daemon(["http.listen=unix:" + path]) as d:
            assert d.classify().status == 200
        if has_v6():
            with Daemon(["http.listen=[::1]:0"], wait=False) as d:
                host, port = until(lambda: d.addresses() or d.dead(), "listening")["http"].rsplit(":", 1)
                assert host == "[::1]"
                socket.create_connection(("::1", int(port))).close()


def admin_socket():
    """the admin socket has mode 0600 and needs no token"""
    with Daemon() as d:
        assert stat.S_IMODE(os.stat(d.admin[5:]).st_mode) == 0o600
        assert once(d.admin, "GET", "/admin/v1/jobs").status == 200
        assert once(d.address, "GET", "/admin/v1/jobs").status == 404
        assert once(d.admin, "POST", "/v1/classify", png()).status == 404


def admin_needs_token():
    """on TCP the daemon does not start without a token, or with a bad one"""
    tcp = "admin.listen=127.0.0.1:0"
    fails(["admin.token_file"], [tcp])
    fails(["admin.token_file", "/no/such"], [tcp, "admin.token_file=/no/such"])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        for bad in ("", "\n \n", "two words", "caf\u00e9", "a\nb", "x" * 5000):
            with open(path, "w") as f:
                f.write(bad)
            fails(["admin.token_file", path], [tcp, "admin.token_file=" + path])


def admin_token():
    """the bearer token opens the admin listener, nothing else does; SIGHUP reads it again"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        with open(path, "w") as f:
            f.write("first-token\n")
        with Daemon(["admin.listen=127.0.0.1:0", "admin.token_file=" + path]) as d:
            def ask(*values):
                return once(d.admin, "GET", "/admin/v1/jobs", headers=[("Authorization", v) for v in values])
            for good in ("Bearer first-token", "bearer first-token", "Bearer  first-token"):
                assert ask(good).status == 200, good
            for bad in ((), ("",), ("Bearer",), ("Bearer ",), ("Bearer first-toke",), ("Bearer first-token2",), ("first-token",),
                        ("Basic first-token",), ("Bearer FIRST-TOKEN",), ("Bearer " + "x" * 20000,)):
                answer = ask(*bad)
                problem(answer, 401, "Bearer")
                assert answer.header("WWW-Authenticate") == "Bearer" and answer.header("Connection") == "close"
            problem(once(d.admin, "GET", "/nowhere"), 401)  # nothing shows which paths there are
            with Wire(d.admin) as w:  # refused before the body is read
                w.send("POST /admin/v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
                assert w.answer().status == 401
            with open(path, "w") as f:
                f.write("\ufeffsecond-token\r\n")
            assert ask("Bearer second-token").status == 401
            d.process.send_signal(signal.SIGHUP)
            until(lambda: ask("Bearer second-token").status == 200, "the new token is taken")
            assert ask("Bearer first-token").status == 401
            with open(path, "w") as f:
                f.write("")
            d.process.send_signal(signal.SIGHUP)
            until(lambda: "nothing has changed" in d.text(), "the empty file is refused")
            assert ask("Bearer second-token").status == 200


def token_taken_back():
    """when admin.token_file is given no more, SIGHUP ends what the token opened"""
    with tempfile.TemporaryDirectory() as folder:
        token, config = os.path.join(folder, "token"), os.path.join(folder, "conf")
        with open(token, "w") as f:
            f.write("secret\n")
        with open(config, "w") as f:
            f.write(f"[admin]\nlisten = 127.0.0.1:0\ntoken_file = {token}\n")
        with Daemon(arguments=["--config", config]) as d:
            def ask():
                return once(d.admin, "GET", "/admin/v1/jobs", headers=[("Authorization", "Bearer secret")]).status
            assert ask() == 200
            open(config, "w").close()
            d.process.send_signal(signal.SIGHUP)
            until(lambda: "read again" in d.text(), "SIGHUP is heard")
            assert ask() == 401


def sigterm_delay():
    """SIGTERM: ready says 503 while requests are answered and connections end; then exit 0"""
    with Daemon(["drain.delay_ms=4000"]) as d, Wire(d.address) as w:
        assert w.ask("POST", "/v1/classify", png(), [("Content-Type", "image/png")]).header("Connection") is None
        d.process.send_signal(signal.SIGTERM)
        until(lambda: not d.ready(), "ready turns 503")
        answer = once(d.address, "GET", "/v2/health/ready")
        problem(answer, 503, "shutting down")
        assert once(d.address, "GET", "/v2/health/live").status == 200
        answer = w.ask("POST", "/v1/classify", png(), [("Content-Type", "image/png")])
        assert answer.status == 200 and answer.header("Connection") == "close" and w.closed()
        assert d.process.wait(20) == 0


def sigint():
    """SIGINT skips the delay"""
    with Daemon(["drain.delay_ms=60000"]) as d:
        assert d.stop(signal.SIGINT) == 0


def drain():
    """what is in flight at SIGTERM is answered, every request of it; then exit 0"""
    for attempt in range(5):
        with Daemon(["drain.timeout_ms=300000", *SLOW], make_model(width=32)) as d, contextlib.ExitStack() as open_wires:
            wires, body = [open_wires.enter_context(Wire(d.address, 200)) for _ in range(6)], slow_body(60)
            for w in wires:  # without the last byte: no work begins before all are there, however long that takes
                w.send(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                       + body[:-1])
            until(lambda: d.metrics()["autodidact_requests_in_flight"] == 6, "the requests are there")
            for w in wires:
                w.send(body[-1:])
            d.process.send_signal(signal.SIGTERM)
            until(lambda: "SIGTERM: draining" in d.text(), "SIGTERM has arrived")
            if not all(w.quiet(0) for w in wires):
                continue  # an answer may have left before
            for w in wires:
                answer = w.answer()
                assert answer.status == 200 and len(answer.json["results"]) == 60, answer
                assert answer.header("Connection") == "close" and w.closed()
            assert d.process.wait(20) == 0
            return
    raise AssertionError("in 5 tries SIGTERM came too late for the first answer")


def drain_upload():
    """an upload that is under way at SIGTERM is finished and answered; nobody new is let in"""
    with Daemon() as d, Wire(d.address) as w, Wire(d.address) as idle:
        assert idle.ask("GET", "/v2/health/live").status == 200
        image = png()
        w.send(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n")
        w.send(image[:50])
        until(lambda: d.metrics()["autodidact_requests_in_flight"] == 1, "the upload has begun")
        d.process.send_signal(signal.SIGTERM)
        assert idle.closed()
        try:
            Wire(d.address).close()
            raise AssertionError("a new connection was taken")
        except ConnectionRefusedError:
            pass
        w.send(image[50:])
        assert w.answer().status == 200
        assert d.process.wait(20) == 0


def drain_timeout():
    """drain.timeout_ms ends an upload that does not end, and work that takes too long gets 503"""
    # Shorter than the work on a quick machine; where a body was not there yet either, which is no work, the next is longer.
    for timeout_ms in (800, 3200, 12800):
        with Daemon([f"drain.timeout_ms={timeout_ms}", *SLOW], make_model(width=64)) as d, Wire(d.address) as upload:
            upload.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc")
            body = slow_body(64)
            until(lambda: d.metrics()["autodidact_requests_in_flight"] == 1, "the upload has begun")
            statuses = []

            def client():
                try:
                    with Wire(d.address, 200) as w:
                        statuses.append(w.ask("POST", "/v1/classify", body, [("Content-Type", "application/json")]).status)
                except (Closed, BrokenPipeError, ConnectionResetError):
                    statuses.append("cut")
            threads = [threading.Thread(target=client) for _ in range(10)]
            [t.start() for t in threads]
            until(lambda: d.metrics()["autodidact_requests_in_flight"] == 11, "the work is there")
            d.process.send_signal(signal.SIGTERM)
            [t.join() for t in threads]
            assert d.process.wait(30) == 0, d.text()
            assert upload.closed()
        if "cut" not in statuses: break
    assert set(statuses) <= {200, 503} and 503 in statuses and len(statuses) == 10, statuses


def second_sigterm():
    """a second SIGTERM cuts the delay and the wait short"""
    with Daemon(["drain.delay_ms=60000", "drain.timeout_ms=60000"]) as d, Wire(d.address) as w:
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc")
        until(lambda: d.metrics()["autodidact_requests_in_flight"] == 1, "the upload has begun")
        d.process.send_signal(signal.SIGTERM)
        until(lambda: not d.ready(), "draining")
        d.process.send_signal(signal.SIGTERM)
        assert d.process.wait(20) == 0


def sigterm_while_loading():
    """SIGTERM right after the start ends cleanly, model or not"""
    for delay in (0, 0.02, 0.05, 0.1):
        d = Daemon(model=make_model(width=32), wait=False)
        until(lambda: d.addresses() or d.dead(), "listening")
        time.sleep(delay)
        with d:
            pass


def restart():
    """after SIGKILL the same version serves again; another model.file becomes the next version"""
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "state")
        versions = []
        for model, number in ((make_model(seed=1), signal.SIGKILL), (make_model(seed=1), signal.SIGTERM), (make_model(seed=2), signal.SIGKILL),
                              (None, signal.SIGTERM)):
            d = Daemon(model=model, state=state)
            versions.append(d.classify().json["version"])
            d.stop(number)
        assert versions == [1, 1, 2, 2], versions


def algorithms():
    """algorithms are measured once and kept; a damaged file is measured again; rule keeps nothing; bf16 answers alike"""
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "state")
        cache = os.path.join(state, "cache")
        want = None
        for settings in (["engine.algorithms=rule"], ["engine.algorithms=measured"], [], ["engine.precision=auto"]):
            with Daemon(settings, state=state) as d:
                got = d.classify().json
                want = want or got
                assert abs(got["confidence"] - want["confidence"]) < 0.02, (settings, want, got)
            if has_reference_kernels():
                continue
            if "engine.algorithms=rule" in settings:
                assert not os.path.exists(cache)
                continue
            path, = (os.path.join(cache, name) for name in os.listdir(cache))
            text = open(path).read()
            assert text.startswith("autodidact choices 2, ") and "\nplan fp32 " in text, text
            if not settings:
                assert text == before, "measured again"
                open(path, "a").write("damaged\n")
            assert "damaged" not in text
            before = text
        fails(["engine.algorithms"], ["engine.algorithms=fast"])


def check_beside():
    """--check-config beside a running daemon: what that one holds is fine, and nothing of it is disturbed"""
    with Daemon() as d:
        command = [os.path.join(BUILD, "autodidactd"), "--check-config", "--set", f"http.listen={d.address}"]
        before = os.stat(d.admin[5:]).st_ino
        p = subprocess.run([*command, "--set", f"state.directory={d.state}"], capture_output=True, text=True, timeout=60)
        assert p.returncode == 0 and p.stdout.count("held by the daemon") == 2, p
        p = subprocess.run([*command, "--set", f"state.directory={d.state}/other"], capture_output=True, text=True, timeout=60)
        assert p.returncode == 1 and "http.listen (--set): cannot bind " + d.address in p.stderr, p
        assert os.stat(d.admin[5:]).st_ino == before and d.classify().status == 200
        assert once(d.admin, "GET", "/admin/v1/jobs").status == 200


def reload():
    """SIGHUP takes what can be taken, says what changed and what waits for a start; a broken file changes nothing"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "test.conf")

        def configure(text):
            with open(path, "w") as f:
                f.write(text)

        def hang_up(d, words):
            n = d.text().count("SIGHUP")
            d.process.send_signal(signal.SIGHUP)
            until(lambda: d.text().count("SIGHUP") > n, "SIGHUP is heard")
            assert words in d.text().splitlines()[-1], d.text()
        configure("[log]\nlevel = warning\n")
        with Daemon(arguments=["--config", path]) as d:
            configure("[log]\nlevel = info\n[sla]\ndefault_classifier = ensemble\n[http]\nidle_timeout_ms = 100ms\n[engine]\n"
                      "queue_max = 10\nbatch_max = 4\n[model]\nshare = resnet18=2.5\n")
            assert d.classify().header("SLA-Classifier") != "ensemble"
            hang_up(d, "the options have been read again: 6 changed")
            for words in ("log.level is info now; it was warning", "sla.default_classifier is ensemble now; it was deepest",
                          "http.idle_timeout_ms is 100 now", "engine.batch_max = 4 is taken at the next start; until then it is 32"):
                assert words in d.text(), (words, d.text())
            assert d.classify().header("SLA-Classifier") == "ensemble"
            with Wire(d.address) as w:
                assert w.ask("GET", "/v1/models").json["models"][0]["share"] == 2.5
                assert w.closed()  # after 100 ms, not a minute
            for text, words in (("[log]\nlevel = loud\n", f"{path}:2: log.level"), ("[log\n", f"{path}:1:"), ("[log]\nfile = /no/such/file\n",
                                f"log.file ({path}:2): cannot open /no/such/file"),
                                ("[image]\nbytes_max = 1G\n", f"image.bytes_max ({path}:2) is larger"),
                                ("[model]\nshare = a=0\n", f"model.share ({path}:2): the share of a takes 0.001 to 1000")):
                configure(text)
                hang_up(d, words)
                assert "nothing has changed" in d.text().splitlines()[-1]
                assert d.classify().header("SLA-Classifier") == "ensemble"
            os.unlink(path)
            hang_up(d, path)


def reopen():
    """log.file, and SIGUSR1 after it has been moved away"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")

        def read(name=path):
            with open(name) as f:
                return f.read()
        with Daemon([f"log.file={path}"]) as d:
            until(lambda: os.path.exists(path) and "ready" in read(), "ready")
            assert d.text() == "" and stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0
            os.rename(path, path + ".1")
            d.process.send_signal(signal.SIGUSR1)
            until(lambda: os.path.exists(path) and "SIGUSR1" in read(), "the file is made anew")
            assert "ready" not in read() and "ready" in read(path + ".1")
            assert d.stop() == 0
            assert read().endswith("stopped\n")
        with socket.create_server(("127.0.0.1", 0)) as taken:  # a start that fails says so on stderr, too
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            fails(["http.listen (--set)", address], [f"log.file={path}", f"http.listen={address}"])
            assert address in read()


def habits():
    """no signal that people send by habit kills"""
    with Daemon() as d:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGPIPE, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
                       signal.SIGIO, signal.SIGPWR, signal.SIGXFSZ, signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG, signal.SIGCONT):
            d.process.send_signal(number)
            assert d.classify().status == 200, number
        assert d.stop(signal.SIGQUIT) == 0


def second_sigint():
    """a second SIGINT ends at once"""
    with Daemon(["drain.timeout_ms=60000"]) as d, Wire(d.address) as w:
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc")
        until(lambda: d.metrics()["autodidact_requests_in_flight"] == 1, "the upload has begun")
        d.process.send_signal(signal.SIGINT)
        until(lambda: "SIGINT: draining" in d.text(), "draining")
        d.process.send_signal(signal.SIGINT)
        assert d.process.wait(20) == 0
        assert w.closed()


def full_pipe():
    """with a full pipe as stderr, which nobody reads, it starts, serves and stops"""
    read, write = os.pipe()
    with open(read, "rb"), open(write, "wb", buffering=0) as full:
        os.set_blocking(write, False)
        with contextlib.suppress(BlockingIOError):
            while full.write(b"x" * 4096): pass
        os.set_blocking(write, True)
        with Daemon(["log.level=debug"], stderr=full) as d:
            for _ in range(50):
                assert once(d.admin, "POST", "/admin/v1/jobs", b"{", [("Content-Type", "application/json")]).status == 400
                d.process.send_signal(signal.SIGHUP)
            assert d.classify().status == 200
            assert d.metrics()["autodidact_log_lost_total"] == 0
            assert d.stop() == 0


def notify():
    """systemd hears READY=1, RELOADING=1 with the time, and STOPPING=1"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(20)
            with Daemon(environment=[("NOTIFY_SOCKET", path)]) as d:
                assert s.recv(100) == b"READY=1"
                d.process.send_signal(signal.SIGHUP)
                name, value = s.recv(100).removeprefix(b"RELOADING=1\n").split(b"=")
                assert name == b"MONOTONIC_USEC" and 0 <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6 - int(value) < 60e6
                assert s.recv(100) == b"READY=1"
                d.stop()
                assert s.recv(100) == b"STOPPING=1"


def logs():
    """log.format and log.level"""
    with Daemon(["log.format=json"]) as d:
        for line in d.text().splitlines():
            j = json.loads(line)
            assert set(j) == {"time", "level", "message"} and j["level"] in ("info", "warning"), line
        assert any(d.address in json.loads(line)["message"] for line in d.text().splitlines())
    with Daemon(["log.format=journal", "log.level=error"]) as d:
        assert d.text() == ""


run([addresses, locked, not_ready_without_model, bad_models, bad_addresses, living_socket, socket_paths, all_addresses, private_files,
     closed_stderr, other_listeners, admin_socket, admin_needs_token, admin_token, token_taken_back, sigterm_delay, sigint, drain, drain_upload,
     drain_timeout, second_sigterm, second_sigint, sigterm_while_loading, restart, algorithms, check_beside, reload, reopen, habits,
     full_pipe, notify, logs])
