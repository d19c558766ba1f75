"""TAP, and HTTP/1.1 over bare sockets, for tests that must say exactly what goes over the wire. Standard library."""
import json, os, select, signal, socket, subprocess, sys, time, traceback

BUILD = os.environ.get("top_builddir", ".")
SOURCE = os.environ.get("top_srcdir", ".")


class Skip(Exception):
    pass


def run(tests):
    """Runs the functions, prints TAP, ends the program."""
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        name = (test.__doc__ or test.__name__).strip().splitlines()[0]
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except BaseException:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print("#", line, flush=True)
    sys.exit(1 if failed else 0)


def has_reference_kernels():
    """Whether the programs compute with the reference kernels: there are no others here, or AUTODIDACT_ISA says so."""
    version = subprocess.run([os.path.join(BUILD, "autodidact"), "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return version.stdout.endswith(" reference kernels\n")


def leave_out_on_reference(what):
    """Ends a program that would take many minutes with the reference kernels; that counts as skipped."""
    if has_reference_kernels():
        print(f"1..0 # SKIP {what} takes many minutes with the reference kernels", flush=True)
        sys.exit(0)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, f"duplicate header {name}"
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Closed(Exception):
    """The other side has closed the connection."""


class Wire:
    """One connection."""
    watch = None  # watch(address, method, path, answer) is called for each answer to ask()

    def __init__(self, address, timeout=20):
        self.address = address
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address[5:])
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        import struct
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed()
        self.buffer += data

    def answer(self, method="GET"):
        """Reads one answer; 100 Continue is passed over."""
        while True:
            while b"\r\n\r\n" not in self.buffer:
                self.more()
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            version, status = lines[0].split(" ")[:2]
            assert version == "HTTP/1.1", lines[0]
            headers = [tuple(p.strip() for p in line.split(":", 1)) for line in lines[1:]]
            if status != "100":
                break
        answer = Answer(int(status), headers, b"")
        length = int(answer.header("Content-Length") or 0)
        if method != "HEAD" and answer.status != 204:
            while len(self.buffer) < length:
                self.more()
            answer.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return answer

    def ask(self, method, path, body=None, headers=(), host=True):
        """Sends a request and reads its answer. headers: pairs, sent as they are."""
        lines = [f"{method} {path} HTTP/1.1"] + (["Host: test"] if host else [])
        lines += [f"{n}: {v}" for n, v in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines) + "\r\n\r\n")
        if body:
            self.send(body)
        answer = self.answer(method)
        if Wire.watch:
            Wire.watch(self.address, method, path, answer)
        return answer

    def closed(self, within=5):
        """Whether the other side closes, without sending anything more, within so many seconds."""
        self.socket.settimeout(within)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def quiet(self, seconds):
        """Whether nothing arrives and nothing is closed for so many seconds."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]


def once(address, method, path, body=None, headers=()):
    with Wire(address) as w:
        return w.ask(method, path, body, headers)


def until(condition, what, seconds=20):
    """Waits for a condition; the time is only a bound."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"within {seconds} s: {what}")


def problem(answer, status, *words):
    """Checks a problem document (RFC 9457) and that its text holds the words."""
    assert answer.status == status, answer
    assert answer.header("Content-Type") == "application/problem+json", answer
    document = answer.json
    assert set(document) == {"type", "title", "status", "detail", "error"}, document
    assert document["status"] == status and document["type"] == "about:blank" and document["title"], document
    assert document["error"] == document["detail"], document
    for word in words:
        assert word in document["detail"], f"{word!r} is not in {document['detail']!r}"
    return document
