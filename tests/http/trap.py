"""The program trap_server, started and stopped."""
import atexit, os, signal, subprocess
from wire import BUILD, once


class Server:
    def __init__(self, header_ms=5000, body_ms=5000, idle_ms=5000, connections=200, listen="127.0.0.1:0", token="", peer=0, trusted="",
                 upload=0, upload_peer=0, rate=0, stderr=None):
        values = (header_ms, body_ms, idle_ms, connections, listen, token, peer, trusted, upload, upload_peer, rate)
        command = [os.path.join(BUILD, "tests/http/trap_server")] + [str(v) for v in values]
        self.terminated = False
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr)
        atexit.register(lambda: self.process.poll() is None and self.process.kill())
        self.address = self.process.stdout.readline().decode().strip()

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.stop()

    def terminate(self):
        self.terminated = True
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        # Once: a second SIGTERM could come when its handler is gone again, on the way out.
        if not self.terminated and self.process.poll() is None:
            self.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        assert code == 0, f"the server ended with {code}"

    def stats(self):
        return once(self.address, "GET", "/stats").json
