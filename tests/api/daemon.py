"""A daemon under test: started with a small model on free ports in a state directory of its own."""
import atexit, json, os, resource, signal, socket, struct, subprocess, sys, tempfile, time, zlib
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "http")]
import contract
from wire import BUILD, SOURCE, Answer, Closed, Skip, Wire, once, problem, run, until

MADE = tempfile.TemporaryDirectory(prefix="autodidact-models-")
SAMPLES = os.path.join(SOURCE, "models/samples")


def make_model(width=8, classes=10, seed=1, kind="calibrated", name=None):
    """Path of a model file with random weights (tests/api/make_model.c)."""
    path = os.path.join(MADE.name, f"{width}-{classes}-{seed}-{kind}-{name}.safetensors")
    if not os.path.exists(path):
        subprocess.run([os.path.join(BUILD, "tests/api/make_model"), os.path.join(SOURCE, "models/resnet18.json"), path,
                        str(width), str(classes), str(seed), kind] + ([name] if name else []), check=True)
    return path


def png(width=32, height=32, seed=0, data=None, claim=None):
    """A PNG; `claim` is the size its header speaks of, when it is to lie."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    rows = b"".join(b"\0" + bytes((x * 7 + y * 13 * (seed + 1) + c * 61 * seed) % 256
                                  for x in range(width) for c in range(3)) for y in range(height))
    w, h = claim or (width, height)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows) if data is None else data) + chunk(b"IEND", b""))


def leave_out_with_sanitizers(why="sanitizers reserve terabytes"):
    """Skips a test of limits of memory."""
    version = subprocess.run([os.path.join(BUILD, "autodidactd"), "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    if "sanitizer no" not in version:
        raise Skip(why)


def form(*parts, boundary="x"):
    """A body of multipart/form-data. parts: (name, data) or (name, data, headers behind Content-Disposition)."""
    body = b""
    for name, data, *headers in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode() + b"".join(h.encode() for h in headers)
        body += b"\r\n\r\n" + (data if isinstance(data, bytes) else data.encode()) + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


class Daemon:
    def __init__(self, settings=(), model="", state=None, arguments=(), environment=(), wait=True, stderr=None,
                 memory_max=None):  # bytes of address space, which no process of the daemon can raise
        self.folder = None if state else tempfile.TemporaryDirectory(prefix="autodidact-")
        self.state = state or os.path.join(self.folder.name, "state")
        self.log = tempfile.TemporaryFile()
        if os.path.exists(os.path.join(self.state, "listen.json")):
            os.unlink(os.path.join(self.state, "listen.json"))  # of one that was killed
        values = {"http.listen": "127.0.0.1:0", "state.directory": self.state, "drain.delay_ms": "0",
                  "model.file": make_model() if model == "" else model or ""}
        values.update(settings if isinstance(settings, dict) else dict(s.split("=", 1) for s in settings))
        command = [os.path.join(BUILD, "autodidactd"), *arguments]
        for name, value in values.items():
            command += ["--set", f"{name}={value}"] if value is not None else []
        limit = None if memory_max is None else lambda: resource.setrlimit(resource.RLIMIT_AS, (memory_max, memory_max))
        self.process = subprocess.Popen(command, stderr=stderr or self.log, env={**os.environ, **dict(environment)}, preexec_fn=limit)
        atexit.register(lambda: self.process.poll() is None and self.process.kill())
        if wait:
            self.wait_listening()
            until(lambda: self.ready() or self.dead(), "the daemon is ready", 60)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        code = self.stop()
        if kind in (None, SystemExit):
            assert code == 0, f"the daemon ended with {code}:\n{self.text()}"

    def text(self):
        log = self.log.fileno()  # whose offset is the daemon's, too: a seek would have it write over its first lines
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def dead(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.text()}")
        return False

    def addresses(self):
        try:
            with open(os.path.join(self.state, "listen.json")) as f:
                return json.load(f)
        except (OSError, ValueError):
            return None

    def wait_listening(self):
        found = until(lambda: self.addresses() or self.dead(), "listen.json is there", 60)
        self.address, self.admin = found["http"], found["admin"]
        contract.listen(found)

    def ready(self):
        try:
            return once(self.address, "GET", "/v2/health/ready").status == 200
        except (OSError, Closed):
            return False

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def classify(self, body=None, headers=(), query="", type="image/png"):
        return once(self.address, "POST", "/v1/classify" + query, png() if body is None else body,
                    [("Content-Type", type), *headers])

    def classify_json(self, document, headers=(), query=""):
        return self.classify(json.dumps(document).encode(), headers, query, "application/json")

    def metrics(self):
        """-> {sample with its labels: value}"""
        lines = once(self.address, "GET", "/metrics").body.decode().splitlines()
        return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}
