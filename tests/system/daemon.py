"""Starts an autodidactd for the system tests, and talks to it. Standard library only."""
import http.client, json, os, signal, struct, subprocess, sys, tempfile, time, zlib


def png(pixels, width, height):
    """RGB bytes, row by row -> a PNG file's bytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[y * width * 3:(y + 1) * width * 3] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b""))


def cifar100(folder, part):
    """-> list of (fine label, PNG bytes) of test.bin or train.bin."""
    with open(os.path.join(folder, part + ".bin"), "rb") as f:
        data = f.read()
    out = []
    for at in range(0, len(data), 3074):
        planes = data[at + 2:at + 3074]
        pixels = bytearray(3072)
        for c in range(3):
            pixels[c::3] = planes[c * 1024:(c + 1) * 1024]
        out.append((data[at + 1], png(bytes(pixels), 32, 32)))
    return out


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


class Daemon:
    def __init__(self, program, model, state=None, settings=()):
        self.temporary = None if state else tempfile.TemporaryDirectory(prefix="autodidact-")
        self.state = state or self.temporary.name
        command = [program, "--set", "http.listen=127.0.0.1:0", "--set", f"state.directory={self.state}",
                   "--set", f"model.file={model}"]
        for s in settings:
            command += ["--set", s]
        self.log = open(os.path.join(self.state, "daemon.log"), "ab")
        self.process = subprocess.Popen(command, stderr=self.log)
        self.address, end = None, time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"the daemon stopped with {self.process.returncode}: see {self.log.name}\n"
                                 + open(self.log.name).read()[-2000:])
            try:
                with open(os.path.join(self.state, "listen.json")) as f:
                    host, port = json.load(f)["http"].rsplit(":", 1)
                self.address = (host, int(port))
                if self.get("/v2/health/ready")[0] == 200:
                    return
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise SystemExit("the daemon did not become ready within 60 s")

    def get(self, path):
        c = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            c.request("GET", path)
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def metrics(self):
        """-> {sample with labels: value}"""
        out = {}
        for line in self.get("/metrics")[1].decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out

    def resident_kb(self):
        return resident_kb(self.process.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        if self.temporary:
            self.temporary.cleanup()
        return code
